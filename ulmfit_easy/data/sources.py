"""Tables and folders of texts, read so that text stays text and nothing is lost without a word."""

import os
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ulmfit_easy.data.tables import TableOnDisk, TextsOnDisk
from ulmfit_easy.data.tables import read_table as read_table
from ulmfit_easy.decoding import read_text
from ulmfit_easy.errors import FileError, TextError, counted, did_you_mean, in_rows, some
from ulmfit_easy.files import existing
from ulmfit_easy.schema import one_of, plain, takes
from ulmfit_easy.text.look import SAMPLE, Look
from ulmfit_easy.user_code import warn_user


def find_column(df: pd.DataFrame, col: int | str) -> pd.Series:
    """Return the column with this name or, for a number that is no name, at this position. E102 if there is none.

    Raises: E407 for what is no table.
    """
    if not isinstance(df, pd.DataFrame):
        raise no_table(df)
    col = plain(col)
    if isinstance(col, Hashable) and col in df.columns:
        found = df[col]
        if isinstance(found, pd.DataFrame):
            raise TextError("E102", received=f"{found.shape[1]} columns named {col!r}",
                            expected="one column of that name", fix="rename the columns, or pass the position of one")
        return found
    if isinstance(col, int) and not isinstance(col, bool) and -df.shape[1] <= col < df.shape[1]:
        return df.iloc[:, col]
    raise TextError("E102", received=f"the column {col!r}, which is not there",
                    expected=f"one of: {some(df.columns, 20)}",
                    fix=did_you_mean(col, df.columns, "name a column of the table"))


def find_columns(df: pd.DataFrame, cols: Sequence) -> list[pd.Series]:
    """Return several columns, each as `find_column` does. E102 names all that are not there."""
    if isinstance(df, pd.DataFrame):
        missing = []
        for col in map(plain, cols):
            known = isinstance(col, Hashable) and col in df.columns
            if not known and not (isinstance(col, int) and -df.shape[1] <= col < df.shape[1]):
                missing.append(col)
        if len(missing) > 1:
            raise TextError("E102", received=f"the columns {some(map(repr, missing))}, which are not there",
                            expected=f"columns among: {some(df.columns, 20)}", fix="name columns of the table")
    return [find_column(df, col) for col in cols]


def likely_column(df: pd.DataFrame, kind: str, taken: Collection = ()) -> Hashable:
    """Return the name of the column `kind`, "text" or "label", or of the one that looks like it. None if none does.

    Of the first 100 rows, the text is the column with the longest cells. The label is the one with the fewest different
    values, two if possible, and not a value of its own in each row.

    Args:
        taken: columns that it is not.
    """
    if kind in df.columns and kind not in taken:
        return kind
    cells = df.loc[:, ~df.columns.duplicated(keep=False)].head(100).astype(str)
    names = [name for name in cells.columns if name not in taken]
    if kind == "text":
        return max(names, key=lambda name: cells[name].str.len().sum(), default=None)
    different = {name: cells[name].nunique() for name in names}
    names = [name for name in names if different[name] < max(2, len(cells))]
    return min(names, key=lambda name: (different[name] < 2, different[name]), default=None)


@takes({"on_missing": one_of(("raise", "drop", "empty"))})
def clean_texts(columns: Sequence, on_missing: str = "raise", first: int = 0, *,
                words: bool = False) -> tuple[list, np.ndarray]:
    """Return the texts of each row, and the positions of the rows that were kept.

    Args:
        columns: Series or lists of equal length N, one for each field of a text.
        on_missing: for None, NaN and NA: "raise", "drop" the row, or "empty" for an empty text. Numbers,
            bytes and lists are always an error, never a word.
        first: what messages call the first row.
        words: a list of words is a text too, with a space between words.

    Returns: M <= N strings, or tuples of strings if there are several columns. (M,) int64 row positions.
    Raises: E101 with the first rows and their number.
    """
    rows = list(zip(*([joined(cell) for cell in column] if words else column for column in columns), strict=True))
    missing, wrong, types = set(), set(), set()
    for i, row in enumerate(rows):
        for text in row:
            if is_missing(text):
                missing.add(i)
            elif not isinstance(text, str):
                wrong.add(i)
                types.add(type(text).__name__)
    if wrong:
        raise TextError("E101", received=f"{counted(len(wrong), 'text')} of type {some(sorted(types))}, "
                        + in_rows([first + i for i in sorted(wrong)]),
                        expected="strings, or lists of words without white space" if words else "strings",
                        fix='join the words: " ".join(words); lists of words are for a tag each, in Python: '
                        'y_block="tags"' if types == {"list"} else
                        'turn numbers into text first: df["text"] = df["text"].astype(str)')
    if missing and on_missing == "raise":
        raise TextError("E101", received=f"{counted(len(missing), 'missing text')}, "
                        + in_rows([first + i for i in sorted(missing)]), expected="a text in each row",
                        fix='drop these rows or fill them with ""; '
                        'TextDataLoaders also takes on_missing="drop" or "empty"')
    kept = [i for i in range(len(rows)) if on_missing != "drop" or i not in missing]
    texts = [tuple("" if is_missing(text) else str(text) for text in rows[i]) for i in kept]
    return [t[0] for t in texts] if len(columns) == 1 else texts, np.array(kept, dtype=np.int64)


def joined(cell: Any) -> Any:
    """Return a list of words as a text. Leave anything else as it is, and words that are empty or have white space."""
    words = cell.tolist() if isinstance(cell, np.ndarray) else cell
    if isinstance(words, list | tuple) and all(isinstance(word, str) and word.split() == [word] for word in words):
        return " ".join(words)
    return cell


def read_texts(table: pd.DataFrame | TableOnDisk, cols: Sequence, on_missing: str = "raise", *, words: bool = False,
               ) -> tuple[list | TextsOnDisk, np.ndarray, int, pd.DataFrame, list[pd.Series]]:
    """Return the texts in some columns of a table, as `clean_texts` gives them, with the table that is left.

    Returns: texts of M rows. (M,) int64 positions of these rows. How many rows there were. The table of the M rows, in
        which the texts of a `TableOnDisk` are empty. The columns of the texts.
    Raises: E102 without columns. E104 for a table without texts. E407 if it is not a table. The same as `find_column`,
        `clean_texts` and `TableOnDisk.pieces`.
    """
    if not len(cols):
        raise TextError("E102", received="no text_col", expected="the column of the texts", fix='text_col="text"')
    if isinstance(table, pd.DataFrame):
        columns = [find_column(table, col) for col in cols]
        texts, rows = clean_texts(columns, on_missing, words=words)
        if not len(rows):
            raise TextError("E104", received=f"a table of {counted(len(table), 'row')}, none of them with a text",
                            expected="one or more", fix="look at the table: was it read, or filtered, as you meant?")
        return texts, rows, len(table), table.iloc[rows], columns
    if not hasattr(table, "pieces"):
        raise no_table(table)
    parts, kept, columns, n = list[pd.DataFrame](), list[np.ndarray](), list[pd.Series](), 0

    def walked():
        nonlocal n, columns
        for piece in table.pieces():
            columns = [find_column(piece, col) for col in cols]
            texts, rows = clean_texts(columns, on_missing, n, words=words)
            left = piece.iloc[rows].copy()
            for column in columns:
                left[column.name] = ""
            parts.append(left)
            kept.append(rows + n)
            n += len(piece)
            yield from texts

    look = Look(walked(), SAMPLE).finish()
    if not n:
        raise TextError("E104", received=f"{table.path} without rows", expected="one or more", fix="check the file")
    all_kept = np.concatenate(kept)

    def texts_of(piece: pd.DataFrame) -> list:
        return clean_texts([find_column(piece, col) for col in cols], on_missing, words=words)[0]

    return TextsOnDisk(table, texts_of, all_kept, look), all_kept, n, pd.concat(parts, ignore_index=True), columns


def accepted(table: pd.DataFrame, columns: Sequence[pd.Series]) -> np.ndarray | None:
    """Return the (M,) int64 positions of the rows that teach their label. None if all of them do.

    In tables of annotation tools (`data.formats`) a column `answer` says "accept", "reject" or "ignore". Only accepted
    rows count, and a warning tells of the others. If it is one of the `columns` with texts and labels, all rows count.

    Raises: E104 if no row is accepted.
    """
    if list(table.columns).count("answer") != 1 or any(column.name == "answer" for column in columns):
        return None
    answers = table["answer"].tolist()
    if not all(isinstance(answer, str) and answer in ("accept", "reject", "ignore") for answer in answers):
        return None
    rows = np.flatnonzero([answer == "accept" for answer in answers])
    if len(rows) == len(answers):
        return None
    told = f"{len(answers) - len(rows):,} of {len(answers):,} rows"
    if not len(rows):
        raise TextError("E104", received=f"{told} with the answer reject or ignore", expected="rows with accept",
                        fix="rename the column 'answer', if it means something else")
    warn_user(f"{told} were left out: their answer is reject or ignore")
    return rows


def taught(df: pd.DataFrame, columns: Sequence[str | int]) -> pd.DataFrame:
    """Return the rows that teach their label, as `accepted` knows them."""
    rows = accepted(df, find_columns(df, columns))
    return df if rows is None else df.iloc[rows]


def no_table(given: object) -> FileError:
    return FileError("E407", received=f"{type(given).__name__} as a table", expected="a DataFrame",
                     fix="read_table and TextDataLoaders.from_csv read a file; pd.DataFrame({'text': texts, 'label': "
                         "labels}) makes a table of lists")


def is_missing(value: object) -> bool:
    """Return True for None, NaN, NaT and NA. False for everything else, lists included."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)


def get_text_files(path: str | Path, recurse: bool = True, folders: Sequence[str] | None = None, *,
                   extensions: Sequence[str] = (".txt",)) -> list[Path]:
    """Return the text files under `path`, in sorted order. `folders` keeps only these folders directly under it."""
    return get_files(path, extensions, recurse, folders)


def get_files(path: str | Path, extensions: Sequence[str] | None = None, recurse: bool = True,
              folders: Sequence[str] | None = None) -> list[Path]:
    """Return the files under `path`, sorted, without hidden ones. Only those that end in `extensions`, if given."""
    path = existing(path)
    roots = [path] if folders is None else [existing(path / folder) for folder in folders]
    files = {p for root in roots for p in (walked(root) if recurse else root.glob("*"))
             if (extensions is None or p.suffix.lower() in extensions) and p.is_file()
             and not any(part.startswith(".") for part in p.relative_to(path).parts)}
    return sorted(files)


def walked(root: Path) -> Iterator[Path]:
    """Yield the files under a folder, links to folders followed once each."""
    seen = set()
    for folder, below, names in os.walk(root, followlinks=True):
        seen.add(os.path.realpath(folder))
        below[:] = [name for name in below if os.path.realpath(os.path.join(folder, name)) not in seen]
        yield from (Path(folder, name) for name in names)


def parent_label(path: str | Path) -> str:
    """Return the name of the folder that the file is in."""
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


def values_of(getter: Callable | None, items: Sequence) -> list:
    """Return what a getter gives for each item or row of a table. Without a getter, return the items."""
    rows = (row for _, row in items.iterrows()) if isinstance(items, pd.DataFrame) else items
    return list(rows) if getter is None else [getter(row) for row in rows]


def fields_in(values: list) -> list[list]:
    """Return one list for each field of some texts: of strings one, of tuples as many as the first has."""
    if values and isinstance(values[0], tuple):
        return [list(field) for field in zip(*values, strict=True)]
    return [values]
