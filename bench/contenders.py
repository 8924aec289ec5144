"""Run a script of this folder in a process of its own, and measure its memory. The other scripts use it."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from statistics import median

FASTAI = "fastai 2.8.12"


def run(python: str, argv: list[str], threads: int, name: str) -> dict:
    """Return what a worker prints last, one line of JSON, with "mb", the peak memory of it and its own processes.

    Memory is proportional (PSS), so that pages shared by several processes count once. Only Linux tells it.
    """
    env = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    process = subprocess.Popen([python, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    peak, ended = [0], threading.Event()

    def watch():
        while not ended.wait(0.2):
            peak[0] = max(peak[0], sum(map(_pss, _tree(process.pid))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        out, err = process.communicate()
    finally:
        ended.set()
        watcher.join()
    if process.returncode:
        sys.exit(f"{name} failed:\n{err[-2000:]}")
    return json.loads(out.splitlines()[-1]) | {"mb": round(peak[0] / 1024)}


def rounds(names: list[str], n: int, measure) -> dict[str, list[dict]]:
    """Return the figures of each contender: n rounds through the list, forwards and backwards in turn."""
    results: dict[str, list[dict]] = {name: [] for name in names}
    for number in range(n):
        for name in names if number % 2 == 0 else reversed(names):
            results[name].append(got := measure(name))
            print(f"  round {number + 1}  {name:26} {json.dumps(got)}", flush=True)
    return results


def table(head: list[str], rows: list[list]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n" + "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def middle(results: dict[str, list[dict]], name: str, key: str, at: int | None = None) -> float:
    """Return the median of a figure over the rounds."""
    return median(got[key] if at is None else got[key][at] for got in results[name])


def _tree(pid: int) -> list[int]:
    try:
        children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
                    for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(each for child in children for each in _tree(child))]


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
