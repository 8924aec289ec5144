"""Tables and folders of texts, read so that text stays text and nothing is lost without a word."""

import csv
import difflib
import gzip
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ulmfit_easy.errors import FileError, TextError, TrainingError, some
from ulmfit_easy.files import decoded, existing, read_text


def read_table(path, *, encoding: str = "utf-8", header: int | str | None = "infer",
               delimiter: str | None = None, quoting: int = csv.QUOTE_MINIMAL) -> pd.DataFrame:
    """A CSV or TSV file (or `.gz` of one) as a table of strings: `NA` and `007` stay what they are.

    Args:
        header: the row with the names, counted from 0; None for a file without names.
        delimiter: by default a tab for `.tsv` and `.tab`, else a comma.
        quoting: as in the module `csv`; pass `csv.QUOTE_NONE` where `"` is an ordinary character.

    Raises: E403 not in `encoding`; E404 no such file; E407 not a table, or two columns of one name; E502 for
        an unknown encoding.
    """
    path = Path(path)
    if delimiter is None:
        delimiter = "\t" if {".tsv", ".tab"} & {s.lower() for s in path.suffixes} else ","
    text = decoded(_bytes(path), path, encoding)
    try:  # with header=None no field is ever taken for an index, and names are never made up
        df = pd.read_csv(io.StringIO(text), header=None, sep=delimiter, quoting=quoting, dtype=str,
                         keep_default_na=False, index_col=False)
    except (ValueError, pd.errors.ParserError) as e:  # EmptyDataError is a ValueError
        raise FileError("E407", received=f"{path}, which cannot be read ({e})",
                        expected=f"a table with {delimiter!r} between fields",
                        fix="put texts with quotes or line breaks between quotes; read_table and "
                            "TextDataLoaders.from_csv also take delimiter= and quoting=") from e
    if header is None:
        return df
    row = 0 if header == "infer" else header
    names = df.iloc[row].tolist()
    if double := [name for name, n in Counter(names).items() if n > 1]:
        raise FileError("E407", received=f"{path} with more than one column named {some(map(repr, double))}",
                        expected="different names in the header",
                        fix="rename them; TextDataLoaders.from_csv also takes header=None")
    df = df.iloc[row + 1:].reset_index(drop=True)
    df.columns = names
    return df


def _bytes(path: Path) -> bytes:
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


def find_column(df: pd.DataFrame, col: int | str) -> pd.Series:
    """The column with this name or, for a number that is no name, at this position; E102 if there is none."""
    if col in df.columns:
        found = df[col]
        if isinstance(found, pd.DataFrame):
            raise TextError("E102", received=f"{found.shape[1]} columns named {col!r}", expected="one",
                            fix="rename the columns, or ask for one by its position")
        return found
    if isinstance(col, int) and -df.shape[1] <= col < df.shape[1]:
        return df.iloc[:, col]
    names = [str(c) for c in df.columns]
    close = difflib.get_close_matches(str(col), names, n=1, cutoff=0.5)
    raise TextError("E102", received=f"the column {col!r}, which is not there",
                    expected=f"one of: {some(names, 20)}",
                    fix=f"did you mean {close[0]!r}?" if close else "name a column of the table")


def clean_texts(columns: Sequence, on_missing: str = "raise") -> tuple[list, np.ndarray]:
    """The texts of each row, and the positions of the rows that were kept.

    Args:
        columns: Series or lists of equal length N, one for each field of a text.
        on_missing: for None, NaN and NA: "raise", "drop" the row, or "empty" for an empty text. Numbers,
            bytes and lists are always an error, never a word.

    Returns: M <= N strings, or tuples of strings where there are several columns; (M,) int64 row positions.
    Raises: E101 with the first rows and their number; E502 for another `on_missing`.
    """
    if on_missing not in ("raise", "drop", "empty"):
        raise TrainingError("E502", received=f"on_missing={on_missing!r}",
                            expected='"raise", "drop" or "empty"', fix="choose one of the three")
    rows = list(zip(*columns, strict=True))
    missing, wrong, types = set(), set(), set()
    for i, row in enumerate(rows):
        for text in row:
            if is_missing(text):
                missing.add(i)
            elif not isinstance(text, str):
                wrong.add(i)
                types.add(type(text).__name__)
    if wrong:
        raise TextError("E101", received=f"{len(wrong):,} texts of type {some(sorted(types))}, rows "
                        f"{some(sorted(wrong))}", expected="strings",
                        fix='turn numbers into text first: df["text"] = df["text"].astype(str)')
    if missing and on_missing == "raise":
        raise TextError("E101", received=f"{len(missing):,} missing texts, rows {some(sorted(missing))}",
                        expected="a text in each row", fix='drop these rows or fill them with ""; '
                        'TextDataLoaders also takes on_missing="drop" or "empty"')
    kept = [i for i in range(len(rows)) if on_missing != "drop" or i not in missing]
    texts = [tuple("" if is_missing(text) else str(text) for text in rows[i]) for i in kept]
    return [t[0] for t in texts] if len(columns) == 1 else texts, np.array(kept, dtype=np.int64)


def is_missing(value) -> bool:
    """True for None, NaN, NaT and NA; False for everything else, lists included."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)


def get_text_files(path, recurse: bool = True, folders: Sequence[str] | None = None, *,
                   extensions: Sequence[str] = (".txt",)) -> list[Path]:
    """The text files under `path`, in sorted order; `folders` keeps only these folders directly under it."""
    path = existing(path)
    roots = [path] if folders is None else [existing(path / folder) for folder in folders]
    files = {p for root in roots for p in (root.rglob("*") if recurse else root.glob("*"))
             if p.suffix.lower() in extensions and p.is_file()
             and not any(part.startswith(".") for part in p.relative_to(path).parts)}
    return sorted(files)


def parent_label(path) -> str:
    """The name of the folder that the file is in."""
    return Path(path).parent.name


class FileTexts:
    """The contents of text files, as a sequence of strings that is read from disk each time it is walked."""

    def __init__(self, files: Sequence[Path], encoding: str = "utf-8"):
        self.files, self.encoding = list(files), encoding

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> str:
        return read_text(self.files[i], self.encoding)

    def __iter__(self) -> Iterator[str]:
        return (read_text(file, self.encoding) for file in self.files)
