"""Run the cells of a table of results, each once, and keep each as a line of JSON.

A cell is a row (a way to train), a column (a data set) and a seed. A cell that has its line is not run again, so a run
that was stopped continues.
"""

import json
import platform
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch

from ulmfit_easy.terminal import say


class Cell(NamedTuple):
    """A cell before it is run. `seconds` is an estimate, on one thread."""

    seconds: float
    row: str
    column: str
    seed: int


def run(cells: Iterable[Cell], do: Callable[[str, str, int], dict], out: Path, again: bool = False) -> None:
    """Run these cells, in this order.

    Args:
        do: returns the numbers of the cell of a row, a column and a seed. An error is kept as its line.
        out: the file with the lines.
        again: run cells again that failed.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    for cell in cells:
        done = {(line["row"], line["column"], line["seed"]) for line in read(out) if "error" not in line or not again}
        if cell[1:] not in done:
            line = json.dumps(_line(cell, do))
            say(line)
            with open(out, "a", encoding="utf-8") as file:
                file.write(line + "\n")


def _line(cell: Cell, do: Callable) -> dict:
    line = {"row": cell.row, "column": cell.column, "seed": cell.seed}
    say(f"{time.strftime('%H:%M:%S')} {cell.row}/{cell.column} seed {cell.seed}")
    began, cpu = time.perf_counter(), time.process_time()
    try:
        line |= do(cell.row, cell.column, cell.seed)
    except Exception as e:
        traceback.print_exc()
        line["error"] = f"{type(e).__name__}: {e}"[:300]
    return line | {"seconds": round(time.perf_counter() - began, 1), "cpu_seconds": round(time.process_time() - cpu, 1),
                   "processor": processor()}


def read(file: Path) -> list[dict]:
    """Return the lines of a file, none if it does not exist."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def processor() -> str:
    """Return the name of the processor, and the instructions that torch takes of it."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(": ")[2] for line in info.read_text().splitlines() if line.startswith("model name")
             ] if info.exists() else []
    return f"{names[0] if names else platform.processor()}, {torch.backends.cpu.get_cpu_capability()}"
