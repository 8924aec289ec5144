"""Run the cells of a table of results, each once, and keep each as a line of JSON.

A cell is a row (a way to train), a column (a task) and a seed. A cell that has its line is not done again, so a run
that was stopped goes on.
"""

import argparse
import fnmatch
import json
import platform
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch


class Cell(NamedTuple):
    """A cell before it is run; `seconds` is an estimate, on one thread."""

    seconds: float
    row: str
    column: str
    seed: int


def arguments(description: str, out: str) -> argparse.ArgumentParser:
    """Return a parser of what `run` and a page need."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the data sets")
    parser.add_argument("--only", nargs="+", default=["*"], help="cells such as minilm/mr, with * and ?")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("runs/output") / out, help="the lines of JSON")
    parser.add_argument("--most", type=float, default=float("inf"), help="leave out cells of more seconds, by estimate")
    parser.add_argument("--again", action="store_true", help="try cells again that failed")
    parser.add_argument("--page", type=Path, help="write the page from the lines, and run nothing")
    return parser


def run(cells: Iterable[Cell], do: Callable[[str, str, int], dict], args: argparse.Namespace) -> None:
    """Run what was asked for of these cells, in this order. `do` returns the numbers of a cell's line."""
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for cell in cells:
        if cell.seconds > args.most or (args.seeds is not None and cell.seed not in args.seeds) or not any(
                fnmatch.fnmatch(f"{cell.row}/{cell.column}", each) for each in args.only):
            continue
        done = {(line["row"], line["column"], line["seed"]) for line in read(args.out)
                if "error" not in line or not args.again}
        if cell[1:] not in done:
            line = json.dumps(_line(cell, do))
            print(line, flush=True)
            with open(args.out, "a") as file:
                file.write(line + "\n")


def _line(cell: Cell, do: Callable) -> dict:
    line = {"row": cell.row, "column": cell.column, "seed": cell.seed}
    print(f"{time.strftime('%H:%M:%S')} {cell.row}/{cell.column} seed {cell.seed}", flush=True)
    began, cpu = time.perf_counter(), time.process_time()
    try:
        line |= do(cell.row, cell.column, cell.seed)
    except Exception as e:
        traceback.print_exc()
        line["error"] = f"{type(e).__name__}: {e}"[:300]
    return line | {"seconds": round(time.perf_counter() - began, 1), "cpu_seconds": round(time.process_time() - cpu, 1),
                   "processor": processor()}


def read(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def processor() -> str:
    """Return the name of the processor, and the instructions that torch takes of it."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(": ")[2] for line in info.read_text().splitlines() if line.startswith("model name")
             ] if info.exists() else []
    return f"{names[0] if names else platform.processor()}, {torch.backends.cpu.get_cpu_capability()}"
