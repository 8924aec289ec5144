"""Answer for many reviews in Parquet files: a local cluster of two against one process, then with a worker killed.

`python bench/cluster.py MODEL --data /path/of/imdb` measures 100,000 reviews in 40 files. Each process has one thread.
Documents a second count the start of all processes too. Memory is that of each worker over the run, by quarters.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd

PARSER = argparse.ArgumentParser(description=__doc__)
PARSER.add_argument("model", help="what `ulmfit train` wrote")
PARSER.add_argument("--data", type=Path, required=True, help="folder of IMDb, with train.csv.gz")
PARSER.add_argument("--rows", type=int, default=100_000)
PARSER.add_argument("--files", type=int, default=40)
PARSER.add_argument("--words", type=int, help="cut reviews to so many words")
PARSER.add_argument("--workers", type=int, default=2)


def write_parts(folder: Path, args) -> None:
    """Reviews of IMDb, again and again, with a number for each row."""
    texts = pd.read_csv(args.data / "train.csv.gz", keep_default_na=False)["text"]
    if args.words:
        texts = texts.str.split().str[:args.words].str.join(" ")
    df = pd.DataFrame({"id": np.arange(args.rows), "text": texts.to_numpy()[np.arange(args.rows) % len(texts)]})
    for i, rows in enumerate(np.array_split(np.arange(args.rows), args.files)):
        df.iloc[rows].to_parquet(folder / f"part-{i:03}.parquet", index=False)


def tree_of(pid: int) -> list[int]:
    """A process and all that it has started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def megabytes(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0.0


def is_worker(pid: int) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def predict(args, given: Path, out: Path, *options: str, kill: bool = False) -> tuple[float, dict[int, list[float]]]:
    """Seconds of a run, and the megabytes of each process that answers, once a second."""
    memory, over = {}, threading.Event()
    command = [sys.executable, "-m", "ulmfit_easy", "predict", args.model, f"{given}/*.parquet", "--out", str(out)]
    started = time.perf_counter()
    run = subprocess.Popen([*command, *options], env={**os.environ, "OMP_NUM_THREADS": "1"})

    def watch():
        killed = not kill
        while not over.wait(1):
            at_work = [pid for pid in tree_of(run.pid) if is_worker(pid)] if options else [run.pid]
            for pid in at_work:
                memory.setdefault(pid, []).append(megabytes(pid))
            if not killed and len(list(out.glob("*.parquet"))) >= args.files // 2:
                os.kill(at_work[0], signal.SIGKILL)
                killed = True
                print(f"  killed worker {at_work[0]} after half of the parts")
    (watcher := threading.Thread(target=watch)).start()
    code = run.wait()
    over.set()
    watcher.join()
    assert code == 0, f"exit status {code}"
    return time.perf_counter() - started, memory


def told(name: str, seconds: float, memory: dict, args) -> None:
    print(f"{name}: {args.rows / seconds:,.1f} docs/s, {seconds:,.0f} s")
    for pid, values in memory.items():
        quarters = [f"{np.median(part):,.0f}" for part in np.array_split(values, 4) if len(part)]
        print(f"  process {pid}: {', '.join(quarters)} MB in the quarters of its run, {max(values):,.0f} at most")


def main():
    args = PARSER.parse_args()
    cluster = "--scheduler", "local", "--workers", str(args.workers)
    with tempfile.TemporaryDirectory(prefix="bench-cluster-") as tmp:
        (given := Path(tmp, "in")).mkdir()
        write_parts(given, args)
        one, memory = predict(args, given, Path(tmp, "one"))
        told("one process", one, memory, args)
        two, memory = predict(args, given, Path(tmp, "two"), *cluster)
        told(f"{args.workers} workers", two, memory, args)
        print(f"ratio {one / two:.2f}")
        predict(args, given, Path(tmp, "killed"), *cluster, kill=True)
        first = pd.read_parquet(Path(tmp, "one"))
        assert first["id"].tolist() == [*range(args.rows)]
        for name in ("two", "killed"):
            pd.testing.assert_frame_equal(first, pd.read_parquet(Path(tmp, name)))
        print(f"all outputs equal; {args.rows:,} rows, each once and in order, also with a worker killed")


if __name__ == "__main__":
    main()
