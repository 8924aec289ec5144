"""Tables in files of several kinds: read whole, or in pieces where they are larger than the memory."""

import csv
import gzip
import io
import json
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ulmfit_easy.errors import FileError, some
from ulmfit_easy.extras import optional_package
from ulmfit_easy.files import decoded, existing


def read_table(path, *, encoding: str = "utf-8", header: int | str | None = "infer",
               delimiter: str | None = None, quoting: int = csv.QUOTE_MINIMAL) -> pd.DataFrame:
    """A CSV, TSV, JSON-lines or Parquet file (or `.gz` of one) as a table.

    CSV gives strings: `NA` and `007` stay what they are. JSON lines (`.jsonl`, `.ndjson`, or `.json`, which may also be
    one list of objects) and Parquet keep their types; Parquet needs the extra `parquet`.

    Args:
        header: the row with the names, counted from 0; None for a file without names.
        delimiter: by default a tab for `.tsv` and `.tab`, else a comma.
        quoting: as in the module `csv`; pass `csv.QUOTE_NONE` where `"` is an ordinary character. A TSV that looks like
            it is warned of.

    Raises: E403 not in `encoding`; E404 no such file; E407 not a table, or two columns of one name; E502 for
        an unknown encoding; E507 for Parquet without pyarrow.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind == "parquet":
        return pd.concat(_parquet(path, None), ignore_index=True)
    text = decoded(file_bytes(path), path, encoding)
    if kind == "json":
        return _json_table(path, text)
    try:  # with header=None no field is ever taken for an index, and names are never made up
        df = pd.read_csv(io.StringIO(text), header=None, **_csv_options(path, delimiter, quoting))
    except (ValueError, pd.errors.ParserError) as e:  # EmptyDataError is a ValueError
        raise _no_table(path, e, delimiter) from e
    df = df if header is None else _named(path, df, header)
    _warn_of_quotes(df, _csv_options(path, delimiter, quoting))
    return df


def read_pieces(path, chunksize: int, *, encoding: str = "utf-8", header: int | str | None = "infer",
                delimiter: str | None = None, quoting: int = csv.QUOTE_MINIMAL) -> Iterator[pd.DataFrame]:
    """The rows of a CSV, TSV or Parquet file as tables of `chunksize` rows each, one in memory at a time.

    The pieces are larger where the row `header` would not be in the first one.

    Raises: as `read_table`; E407 also for JSON.
    """
    path = existing(path)
    kind = kind_of(path)
    if kind == "parquet":
        yield from _parquet(path, chunksize)
        return
    if kind == "json":
        raise FileError("E407", received=f"{path}, to be read in pieces", expected="CSV or Parquet",
                        fix="leave chunksize out")
    decoded(bytes(4), path, encoding)  # E502 for one that Python does not know
    names, first = None, 1 if header is None or header == "infer" else header + 1  # rows up to the names
    options = {"header": None, "encoding": encoding, **_csv_options(path, delimiter, quoting)}
    try:
        width = pd.read_csv(path, nrows=1, **options).shape[1]
        with pd.read_csv(path, names=range(width + 1), chunksize=max(chunksize, first), **options) as pieces:
            for piece in pieces:
                if any(piece.pop(width).fillna("")):  # pandas 2 would drop the rest of a row with which a piece begins
                    raise ValueError(f"it has rows of more than {width} fields")
                if header is not None and names is None:
                    piece = _named(path, piece, header)
                    names = piece.columns
                elif names is not None:
                    piece.columns = names
                yield piece.reset_index(drop=True)
    except UnicodeDecodeError as e:
        raise FileError("E403", received=f"{path}, which is not {encoding}", expected=f"{encoding} text",
                        fix="save it as UTF-8, or pass the encoding that it is in") from e
    except (ValueError, pd.errors.ParserError, OSError, EOFError) as e:
        if isinstance(e, FileError):
            raise
        raise _no_table(path, e, delimiter) from e


def kind_of(path: Path) -> str:
    """"json", "parquet" or "csv", by the end of the name; `.gz` is looked through."""
    end = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()
    return "json" if end in (".jsonl", ".ndjson", ".json") else "parquet" if end == ".parquet" else "csv"


def file_bytes(path: Path) -> bytes:
    """The content of a file, without its compression if it ends in `.gz`; E404, or E407 for damaged gzip data."""
    if existing(path).is_dir():
        raise FileError("E404", received=f"the folder {path}", expected="a file", fix="name the file in it")
    data = path.read_bytes()
    if path.suffix.lower() != ".gz":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError) as e:
        raise FileError("E407", received=f"{path}, which is not whole gzip data ({e})", expected="a .gz file",
                        fix="fetch it again, or rename it if it is not compressed") from e


def _csv_options(path, delimiter, quoting) -> dict:
    if delimiter is None:
        delimiter = "\t" if {".tsv", ".tab"} & {s.lower() for s in path.suffixes} else ","
    return {"sep": delimiter, "quoting": quoting, "dtype": str, "keep_default_na": False, "index_col": False}


def _warn_of_quotes(df, options):
    """Warn of fields with line ends and tabs in them: rows that were read as one, where a " was meant as a letter."""
    if options["sep"] != "\t" or options["quoting"] != csv.QUOTE_MINIMAL:
        return
    rows = np.flatnonzero(df.apply(lambda column: column.str.contains("\n[^\n]*\t|\t[^\n]*\n")).any(axis=1))
    if len(rows):
        warnings.warn(f"line ends and tabs between quotes, in rows {some(rows)}: if \" is an ordinary character here, "
                      "lines were joined; pass quoting=csv.QUOTE_NONE (--no-quotes)", stacklevel=3)


def _no_table(path, e, delimiter):
    delimiter = _csv_options(path, delimiter, 0)["sep"]
    return FileError("E407", received=f"{path}, which cannot be read ({e})",
                     expected=f"a table with {delimiter!r} between fields",
                     fix="put texts with quotes or line breaks between quotes; read_table and "
                         "TextDataLoaders.from_csv also take delimiter= and quoting=")


def _named(path, df, header) -> pd.DataFrame:
    """The rows below the row `header`, with its values as the names of the columns."""
    row = 0 if header == "infer" else header
    if not 0 <= row < len(df):
        raise FileError("E407", received=f"header={row} for {path}, which has no such row",
                        expected="the row of the names, counted from 0",
                        fix="name a row that is there, or pass header=None for no names")
    names = df.iloc[row].tolist()
    if double := [name for name, n in Counter(names).items() if n > 1]:
        raise FileError("E407", received=f"{path} with more than one column named {some(map(repr, double))}",
                        expected="different names in the header",
                        fix="rename them; TextDataLoaders.from_csv also takes header=None")
    df = df.iloc[row + 1:].reset_index(drop=True)
    df.columns = names
    return df


def _json_table(path, text) -> pd.DataFrame:
    """One row for each line, or each object of one list; values stay what JSON says they are."""
    def refuse(where, why):
        return FileError("E407", received=f"{path}, {where} of which is {why}", expected="a JSON object, {...}, for "
                         "each row", fix="write one object a line, or one list of objects")
    rows = []
    if text.lstrip().startswith("["):
        try:
            rows = list(enumerate(json.loads(text), 1))
        except (ValueError, RecursionError) as e:
            raise refuse("all", f"no JSON ({e})") from e
        what = "entry"
    else:
        what = "line"
        for number, line in enumerate(text.split("\n"), 1):  # nothing else ends a line
            try:
                rows += [(number, json.loads(line))] if line.strip() else []
            except (ValueError, RecursionError) as e:
                raise refuse(f"line {number}", f"no JSON ({e})") from e
    for number, row in rows:
        if not isinstance(row, dict):
            raise refuse(f"{what} {number}", f"a {type(row).__name__}")
    return pd.DataFrame([row for _, row in rows], dtype=object)


def _parquet(path, chunksize) -> Iterator[pd.DataFrame]:
    optional_package("pyarrow", "parquet")
    import pyarrow
    import pyarrow.parquet

    existing(path)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            if chunksize is None:
                yield file.read().to_pandas()
                return
            for batch in file.iter_batches(chunksize):
                yield batch.to_pandas()
    except (pyarrow.ArrowException, OSError) as e:
        raise FileError("E407", received=f"{path}, which pyarrow cannot read ({e})", expected="a Parquet file",
                        fix="write it again") from e


class TableOnDisk:
    """A table in a file whose texts are never all in memory: they are read in pieces each time they are walked.

    `TextDataLoaders.from_df` takes it for a table, and `from_csv(..., chunksize=)` makes it. Labels and all other
    columns are held in memory.

    Args:
        chunksize: rows that are read at once.
        options: as for `read_table`.
    """

    def __init__(self, path, chunksize: int = 50_000, **options):
        self.path, self.chunksize, self.options = Path(path), chunksize, options

    def pieces(self) -> Iterator[pd.DataFrame]:
        """The whole table, piece by piece."""
        return read_pieces(self.path, self.chunksize, **self.options)


class TextsOnDisk:
    """The texts of a `TableOnDisk` in the rows that were kept; `texts_of` gives those of a piece."""

    def __init__(self, table: TableOnDisk, texts_of, kept: np.ndarray):
        self.table, self.texts_of, self.kept = table, texts_of, kept

    def __len__(self) -> int:
        return len(self.kept)

    def __iter__(self) -> Iterator:
        for piece in self.table.pieces():
            yield from self.texts_of(piece)

    def some(self, rows: Sequence[int]) -> Iterator:
        """The texts in these rows, in the order of the file."""
        wanted = np.zeros(len(self), bool)
        wanted[rows] = True
        return (text for text, is_wanted in zip(self, wanted, strict=True) if is_wanted)
