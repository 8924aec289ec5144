"""Tables in files of several kinds: read whole, or in pieces where they are larger than the memory."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pandas as pd

from ulmfit_easy.data.containers import opened
from ulmfit_easy.data.csv_form import HEAD, csv_options, is_misquoted, warn_of_quotes
from ulmfit_easy.data.json_form import empty, json_pieces, json_table, keys_of_lines, without_mark
from ulmfit_easy.decoding import decoded
from ulmfit_easy.errors import FileError, some
from ulmfit_easy.extras import optional_package
from ulmfit_easy.text.look import Look
from ulmfit_easy.user_code import warn_user

BUFFER = 1 << 20  # bytes of a column of Parquet that are read at once, whatever the size of a row group


def read_table(path: str | Path, *, encoding: str = "utf-8", header: int | Literal["infer"] | None = "infer",
               delimiter: str | None = None, quoting: int = csv.QUOTE_MINIMAL) -> pd.DataFrame:
    """Read a CSV, TSV, JSON-lines or Parquet file, or the first sheet of a workbook, as a table.

    The file may be compressed (gzip, bz2, xz), or the only one in a zip archive. CSV and workbooks give strings: `NA`
    and `007` stay what they are. JSON lines (`.jsonl`, `.ndjson`, or `.json`, which may also be one list of objects)
    and Parquet keep their types. Parquet needs the extra `parquet`, a workbook (`.xlsx`) the package openpyxl.

    JSON files of Prodigy, doccano, Label Studio and SQuAD are recognised. The labels of texts are then in the column
    `label`. Marked spans become the columns `words` and `tags` (IOB2).

    In a table with one column, a blank line is a row. A column without a name is called `Unnamed: 2`, as in pandas.

    Args:
        header: the row with the names, counted from 0. None for a file without names.
        delimiter: what stands between fields. By default a tab for `.tsv` and `.tab`, or what a first line `sep=;`
            names. Else a comma, or a tab or semicolon if the first rows have these and no comma.
        quoting: as in the module `csv`. Pass `csv.QUOTE_NONE` if `"` is an ordinary character. A warning tells if a
            lone `"` has joined lines.

    Raises: E404 if the file does not exist. E403 if it is not in `encoding`. E407 if it is not a table, or two columns
        have one name. E602 for an unknown encoding. E507 for Parquet without pyarrow.
    """
    path = Path(path)
    with opened(path) as (name, file):
        kind = kind_of(name)
        if kind == "parquet":
            return pd.concat(_parquet(path, file, None), ignore_index=True)
        if kind == "workbook":
            df = _first_sheet(path, file)
            return df if header is None else _named(path, df, header)
        text = decoded(file.read(), path, encoding)
    if kind == "json":
        return json_table(path, text)
    options = csv_options(text[:HEAD], name, delimiter, quoting, header)
    try:  # with header=None no field is ever taken for an index, and names are never made up
        df = pd.read_csv(io.StringIO(text), header=None, **options)
    except (ValueError, pd.errors.ParserError) as e:  # EmptyDataError is a ValueError
        raise _no_table(path, e, options["sep"]) from e
    df = df if header is None else _named(path, df, header)
    warn_of_quotes(df, options, lambda: is_misquoted(io.StringIO(text, newline=""), options["sep"]))
    return df


def read_pieces(path: str | Path, chunksize: int, *, encoding: str = "utf-8",
                header: int | Literal["infer"] | None = "infer", delimiter: str | None = None,
                quoting: int = csv.QUOTE_MINIMAL) -> Iterator[pd.DataFrame]:
    """Yield the rows of a CSV, TSV, JSON-lines or Parquet file as tables of `chunksize` rows, one in memory at a time.

    All tables have the same columns. They are larger if the row `header` would not be in the first one.

    Raises: as `read_table`. E407 also for workbooks, for other JSON, and for what annotation tools write.
    """
    path = Path(path)
    with opened(path) as (name, file):
        kind = kind_of(name)
        if kind == "parquet":
            yield from _parquet(path, file, chunksize)
            return
        decoded(bytes(4), path, encoding)  # E602 for one that Python does not know
        if kind != "csv":
            if kind == "workbook" or (keys := _keys(path, encoding, _state(path))) is None:
                raise FileError("E407", received=f"{path}, to be read in pieces", expected="CSV, JSON lines or Parquet",
                                fix="write it as CSV or Parquet; leave out chunksize=")
            with io.TextIOWrapper(file, encoding, newline="\n") as lines:
                yield from json_pieces(path, without_mark(lines), keys, chunksize)
            return
        options, n, first, names = dict[str, Any](), 0, 1 if header is None or header == "infer" else header + 1, None

        def misquoted() -> bool:
            return _is_misquoted(path, encoding, options["sep"], _state(path))

        try:
            with _characters(path, encoding) as text:
                options = csv_options(text.read(HEAD), name, delimiter, quoting, header)
            with _characters(path, encoding) as text:
                width = pd.read_csv(text, nrows=1, header=None, **options).shape[1]
            with (io.TextIOWrapper(file, encoding, newline="") as text,
                  pd.read_csv(text, header=None, names=range(width + 1), chunksize=max(chunksize, first),
                              **options) as pieces):
                for piece in pieces:
                    if any(piece.pop(width).fillna("")):  # pandas 2 would drop the rest of a row that begins a piece
                        raise ValueError(f"it has rows of more than {width} fields")
                    if header is not None and names is None:
                        piece = _named(path, piece, header)
                        names = piece.columns
                    elif names is not None:
                        piece.columns = names
                    warn_of_quotes(piece, options, misquoted, n)
                    n += len(piece)
                    yield piece.reset_index(drop=True)
        except UnicodeError as e:
            raise _not_in(encoding, path) from e
        except (ValueError, pd.errors.ParserError) as e:
            raise _no_table(path, e, (options or {"sep": delimiter or ","})["sep"]) from e


def comes_in_pieces(path: str | Path, encoding: str) -> bool:
    """Return True if `read_pieces` can read a file. Raise what it raises."""
    with opened(path) as (name, _):
        kind = kind_of(name)
    return kind in ("csv", "parquet") or kind == "json" and _keys(Path(path), encoding, _state(Path(path))) is not None


@lru_cache(maxsize=8)
def _keys(path: Path, encoding: str, state: tuple) -> list[str] | None:
    """`keys_of_lines` for a file, which is read for it once as long as it is the same."""
    decoded(bytes(4), path, encoding)
    try:
        with _characters(path, encoding, "\n") as text:
            return keys_of_lines(path, without_mark(text))
    except UnicodeError as e:
        raise _not_in(encoding, path) from e


@lru_cache(maxsize=8)
def _is_misquoted(path: Path, encoding: str, delimiter: str, state: tuple) -> bool:
    """`is_misquoted` for a file, which is read for it once as long as it is the same."""
    with _characters(path, encoding) as text:
        return is_misquoted(text, delimiter)


def _state(path: Path) -> tuple:
    """Return what changes with a file: its place on the disk, its size and its time. Empty if there is no file."""
    try:
        stat = path.stat()
    except OSError:  # reading it tells
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


@contextmanager
def _characters(path: Path, encoding: str, newline: str = "") -> Iterator[io.TextIOWrapper]:
    with opened(path) as (_, file), io.TextIOWrapper(file, encoding, newline=newline) as text:
        yield text


def _not_in(encoding: str, path: Path) -> FileError:
    return FileError("E403", received=f"{path}, which is not {encoding}", expected=f"{encoding} text",
                     fix="save it as UTF-8; pass the encoding= that it is in")


def kind_of(name: Path) -> str:
    """"json", "parquet", "workbook" or "csv", by the end of a name without compression."""
    end = name.suffix.lower()
    known = {".jsonl": "json", ".ndjson": "json", ".json": "json", ".parquet": "parquet", ".xlsx": "workbook"}
    return known.get(end, "csv")


def _no_table(path: Path, e: Exception, delimiter: str) -> FileError:
    if isinstance(e, pd.errors.EmptyDataError):
        return empty(path)
    return FileError("E407", received=f"{path}, which cannot be read ({e})",
                     expected=f"a table with {delimiter!r} between fields",
                     fix="put texts with quotes or line breaks between quotes; pass the delimiter= that it "
                         "has; pass quoting=csv.QUOTE_NONE if quotes are ordinary characters")


def _named(path: Path, df: pd.DataFrame, header: int | Literal["infer"]) -> pd.DataFrame:
    """Return the rows below the row `header`, with its values as the names of the columns."""
    row = 0 if header == "infer" else header
    if not 0 <= row < len(df):
        raise FileError("E407", received=f"header={row} for {path}, which has no such row",
                        expected="the row of the names, counted from 0",
                        fix="pass a row that is there; pass header=None for no names")
    names = [name if name.strip() else f"Unnamed: {i}" for i, name in enumerate(df.iloc[row].fillna(""))]
    if double := [name for name, n in Counter(names).items() if n > 1]:
        raise FileError("E407", received=f"{path} with more than one column named {some(map(repr, double))}",
                        expected="different names in the header",
                        fix="rename them; TextDataLoaders.from_csv also takes header=None")
    df = df.iloc[row + 1:].reset_index(drop=True)
    df.columns = names
    return df


def _first_sheet(path: Path, file: IO[bytes]) -> pd.DataFrame:
    """Return the first sheet of a workbook, as strings. E407 without openpyxl."""
    if find_spec("openpyxl") is None:
        raise FileError("E407", received=f"{path}, which is a workbook", expected="CSV, JSON lines or Parquet",
                        fix="save it as CSV (UTF-8); or pip install openpyxl")
    try:
        sheets = pd.read_excel(file, None, header=None, dtype=str, keep_default_na=False, engine="openpyxl")
    except (ValueError, KeyError, TypeError, AttributeError, SyntaxError) as e:  # ParseError is a SyntaxError
        raise FileError("E407", received=f"{path}, a workbook that openpyxl cannot read ({e})", expected="a workbook",
                        fix="save it as CSV (UTF-8)") from e
    if len(sheets) > 1:
        warn_user(f"{path} has {len(sheets)} sheets ({some(sheets, 3)}): only the first is read")
    return next(iter(sheets.values())).fillna("")


def _parquet(path: Path, source: IO[bytes], chunksize: int | None) -> Iterator[pd.DataFrame]:
    optional_package("pyarrow")
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(source, buffer_size=BUFFER) as file:
            pieces = [file.read()] if chunksize is None else file.iter_batches(chunksize)
            if not file.metadata.num_rows:
                pieces = [file.schema_arrow.empty_table()]
            counted, n = _range_of(file.schema_arrow), 0
            for piece in pieces:
                # whole numbers stay whole if some are missing, in one piece or in another
                df = piece.to_pandas(integer_object_nulls=True)
                df = df.reset_index(drop=not all(_is_column(name, piece.schema) for name in df.index.names))
                if counted:
                    df.insert(0, counted["name"], counted["start"] + counted["step"] * np.arange(n, n + len(df)))
                n += len(df)
                yield df
    except (pyarrow.ArrowException, OSError) as e:
        raise FileError("E407", received=f"{path}, which pyarrow cannot read ({e})", expected="a Parquet file",
                        fix="write it again") from e


def _range_of(schema: Any) -> dict | None:
    """Return name, start and step of an index of pandas that has a name, and whose numbers are not in the file."""
    return next((each for each in (schema.pandas_metadata or {}).get("index_columns", []) if isinstance(each, dict)
                 and each.get("kind") == "range" and each["name"] not in (None, *schema.names)), None)


def _is_column(name: object, schema: Any) -> bool:
    """Return True for an index of pandas that somebody has named. Dask names one that has no name."""
    return name in schema.names and name != "__null_dask_index__"


class TableOnDisk:
    """A table in a file whose texts are never all in memory: they are read in pieces each time they are walked.

    `TextDataLoaders.from_df` takes it for a table, and `from_csv(..., chunksize=)` makes it. Labels and all other
    columns are held in memory.

    Args:
        chunksize: rows that are read at once.
        options: as for `read_table`.
    """

    def __init__(self, path: str | Path, chunksize: int = 50_000, **options: Any):
        self.path, self.chunksize, self.options = Path(path), chunksize, options

    def pieces(self) -> Iterator[pd.DataFrame]:
        """Return the whole table, piece by piece."""
        return read_pieces(self.path, self.chunksize, **self.options)


class TextsOnDisk:
    """The texts of a `TableOnDisk` in the rows that were kept.

    Args:
        texts_of: gives the texts of a piece.
        look: what the first walk told. It has their hash, so that `TokenStore.build` finds texts that have changed.
    """

    def __init__(self, table: TableOnDisk, texts_of: Callable, kept: np.ndarray, look: Look):
        self.table, self.texts_of, self.kept, self.look = table, texts_of, kept, look

    def __len__(self) -> int:
        return len(self.kept)

    def __iter__(self) -> Iterator:
        for piece in self.table.pieces():
            yield from self.texts_of(piece)
