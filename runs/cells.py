"""The command line of a table of results; its cells are run by `ulmfit_easy.recipes.experiments.cells`."""

import argparse
import fnmatch
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from ulmfit_easy.recipes.experiments import cells
from ulmfit_easy.recipes.experiments.cells import Cell, read  # noqa: F401  # for the scripts


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


def table(folder: Path, name: str) -> pd.DataFrame:
    """Return a table of a data set. Its labels are strings."""
    return pd.read_csv(folder / f"{name}.csv.gz", keep_default_na=False, dtype={"label": str})


def run(todo: Iterable[Cell], do: Callable[[str, str, int], dict], args: argparse.Namespace) -> None:
    """Run what was asked for of these cells, in this order. `do` returns the numbers of a cell's line."""
    wanted = [cell for cell in todo if cell.seconds <= args.most and (args.seeds is None or cell.seed in args.seeds)
              and any(fnmatch.fnmatch(f"{cell.row}/{cell.column}", each) for each in args.only)]
    cells.run(wanted, do, args.out, args.again)
