"""Write a table of a command in the form that the ending of its file names."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.terminal import printable

if TYPE_CHECKING:
    import pandas as pd

FORMS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz", ".parquet")


def form_of(out: Path, example: str = "predictions.csv") -> str:
    """Return the form in which a file shall be written, by its ending. CSV for a pipe or a device.

    Raises: E602 for a folder or another ending, E507 for Parquet without pyarrow, E411 as `writable`.
    """
    from ulmfit_easy.extras import optional_package
    from ulmfit_easy.files import is_device, writable

    if writable(out).is_dir():
        raise ArgumentError("E602", received=f"--out {out}, a folder", expected="the name of a file",
                            fix=f"try --out {example}")  # in a model's folder it would stop the next training
    if is_device(out):
        return ".csv"
    form = next((form for form in FORMS if out.name.lower().endswith(form)), None)
    if form is None:
        raise ArgumentError("E602", received=f"--out {out}", expected=f"a name that ends in {', '.join(FORMS)}",
                            fix=f"try --out {out.with_suffix('.csv')}")
    if form == ".parquet":
        optional_package("pyarrow")
    return form


def write(df: "pd.DataFrame", out: Path | None, form: str = ".csv", safe_cells: bool = False) -> None:
    """Write a table to a file, or to standard output as CSV."""
    from ulmfit_easy.files import atomic_path
    from ulmfit_easy.viz import no_formula

    if safe_cells:
        df = each_cell(df, no_formula)
    options = {"index": False, "quoting": csv.QUOTE_NONNUMERIC}  # a text with a lone \r in it stays one row
    if out is None:
        if sys.stdout.isatty():
            df = each_cell(df, lambda value: printable(value) if isinstance(value, str) else value)
        if hasattr(sys.stdout, "reconfigure"):  # a notebook's cannot
            sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # as in a file, whatever the terminal's is
        df.to_csv(sys.stdout, **options)
        return
    with atomic_path(out) as tmp:
        if form == ".parquet":
            _to_parquet(df, tmp)
        elif form.startswith(".jsonl"):
            _to_json_lines(df, tmp)
        else:  # JSON may hold halves of characters, which no UTF-8 can
            df.to_csv(tmp, errors="replace", sep="\t" if form.startswith(".tsv") else ",", **options)


def each_cell(df: "pd.DataFrame", change: Callable) -> "pd.DataFrame":
    """Return the table with its names and cells changed. Whole numbers stay whole."""
    import pandas as pd

    return pd.DataFrame({change(c): pd.Series([change(v) for v in df[c]], df.index, object) for c in df}, df.index)


def _to_parquet(df: "pd.DataFrame", path: Path) -> None:
    import pyarrow

    try:
        df.to_parquet(path, index=False)
    except (pyarrow.ArrowException, ValueError, TypeError) as e:
        raise FileError("E407", received=f"a column that Parquet cannot hold ({e})",
                        expected="values of one type in each column", fix="try --out with a name in .jsonl") from e


def _to_json_lines(df: "pd.DataFrame", path: Path) -> None:
    import gzip

    from ulmfit_easy.data.sources import is_missing

    def plain(value: object) -> object:
        return value.tolist() if hasattr(value, "tolist") else str(value)

    with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "wt", encoding="ascii") as file:
        for row in df.to_dict("records"):
            row = {name: None if is_missing(value) else value for name, value in row.items()}
            file.write(json.dumps(row, default=plain) + "\n")
