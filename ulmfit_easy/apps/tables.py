"""Write a table of a command in the form that the ending of its file names."""

import csv
import gzip
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

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
    with writing(out, form, safe_cells) as put:
        put(df)


@contextmanager
def writing(out: Path | None, form: str = ".csv", safe_cells: bool = False,
            types: Any = None) -> Iterator[Callable[["pd.DataFrame"], None]]:
    """Give a function that adds a table below those before it. Only one table is in memory at a time.

    Args:
        types: `parquet_schema` of where the tables are from. Columns of these names keep its types in Parquet.
    """
    from ulmfit_easy.files import atomic_path
    from ulmfit_easy.viz import no_formula

    options: dict[str, Any] = {"index": False, "quoting": csv.QUOTE_NONNUMERIC}  # a text with a lone \r stays one row
    is_first = True

    def put(df: "pd.DataFrame") -> None:
        nonlocal is_first
        df = each_cell(df, no_formula) if safe_cells else df
        if form == ".parquet":
            parquet.put(df)
        elif form.startswith(".jsonl"):
            _to_json_lines(df, file)
        else:
            df.to_csv(file, header=is_first, sep="\t" if form.startswith(".tsv") else ",", **options)
        is_first = False

    if out is None:
        file = sys.stdout
        if hasattr(file, "reconfigure"):  # a notebook's cannot
            file.reconfigure(encoding="utf-8", errors="replace")  # as in a file, whatever the terminal's is
        yield lambda df: put(each_cell(df, lambda v: printable(v) if isinstance(v, str) else v)
                             if sys.stdout.isatty() else df)
        return
    with atomic_path(out) as tmp:
        if form == ".parquet":
            with tempfile.TemporaryFile(dir=tmp.parent) as kept:
                parquet = _Parquet(kept, types)
                yield put
                parquet.write(tmp)
            return
        # JSON may hold halves of characters, which no UTF-8 can
        text: dict[str, Any] = {"encoding": "utf-8", "errors": "replace", "newline": ""}
        with gzip.open(tmp, "wt", **text) if form.endswith(".gz") else open(tmp, "w", **text) as file:
            yield put


def each_cell(df: "pd.DataFrame", change: Callable) -> "pd.DataFrame":
    """Return the table with its names and cells changed. Whole numbers stay whole."""
    import pandas as pd

    return pd.DataFrame({change(c): pd.Series([change(v) for v in df[c]], df.index, object) for c in df}, df.index)


def parquet_schema(file: Path) -> dict[str, Any]:
    """Return the field of each column of a Parquet file: its name and type."""
    from ulmfit_easy.extras import optional_package

    return {field.name: field for field in optional_package("pyarrow.parquet").read_schema(file)}


class _Parquet:
    """Keeps tables in a file until all are there, since a later one may change the type of a column."""

    def __init__(self, file: IO[bytes], types: Any = None):
        self.file, self.types, self.schemas = file, types or {}, list[Any]()

    def put(self, df: "pd.DataFrame") -> None:
        import pyarrow

        with _of_one_type():
            table = pyarrow.Table.from_pandas(df, self._schema(df) if self.types else None, preserve_index=False)
        self.schemas.append(table.schema)
        with pyarrow.ipc.new_stream(self.file, table.schema) as stream:
            stream.write_table(table)

    def _schema(self, df: "pd.DataFrame") -> Any:
        import pyarrow

        new = pyarrow.Schema.from_pandas(df[[name for name in df if name not in self.types]], preserve_index=False)
        return pyarrow.schema([self.types.get(name) or new.field(name) for name in df])

    def write(self, path: Path) -> None:
        import pyarrow
        import pyarrow.parquet

        with _of_one_type():
            schema = pyarrow.unify_schemas(self.schemas, promote_options="permissive")
            self.file.seek(0)
            with pyarrow.parquet.ParquetWriter(path, schema) as writer:
                for _ in self.schemas:
                    writer.write_table(pyarrow.ipc.open_stream(self.file).read_all().cast(schema))


@contextmanager
def _of_one_type() -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, ValueError, TypeError) as e:
        raise FileError("E407", received=f"a column that Parquet cannot hold ({e})",
                        expected="values of one type in each column", fix="try --out with a name in .jsonl") from e


def plain(value: object) -> object:
    """Return what JSON can hold in place of a value that it cannot."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _to_json_lines(df: "pd.DataFrame", file: TextIO) -> None:
    from ulmfit_easy.data.sources import is_missing

    for row in df.to_dict("records"):
        row = {name: None if is_missing(value) else value for name, value in row.items()}
        file.write(json.dumps(row, default=plain) + "\n")
