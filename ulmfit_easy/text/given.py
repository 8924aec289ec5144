"""The one reading of "texts" that all functions share which are given some."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ulmfit_easy.errors import TextError, did_you_mean, some

T = TypeVar("T")


def given_texts(given: Any, cols: Sequence = ("text",)) -> tuple[Iterable, bool]:
    """Return the texts that a caller means, and True if it is a single one.

    A string is one text, and so is a row. A row is a dict or a Series with the columns `cols`, or a tuple of strings
    for several columns. A list, tuple, array, Series, Index or iterator gives several texts, and so do these columns of
    a table, or its only column. Iterators stay what they are: their texts are checked when they are read.

    Raises: E101 for what cannot be texts, such as a number, bytes, or a set, which has no order. E102 for a table or a
        row without the columns.
    """
    if getattr(given, "ndim", None) == 0:
        given = given.item()  # an array of one string
    several = len(cols) > 1
    if isinstance(given, str) or (several and isinstance(given, tuple) and all(isinstance(f, str) for f in given)):
        return [given], True
    if isinstance(given, Mapping) or is_row(given, cols):
        fields = tuple(given[col] for col in _columns(given.keys(), cols))
        return [fields if several else fields[0]], True
    if hasattr(given, "columns"):
        columns = [given[col] for col in _columns(given.columns, cols)]
        return (list(zip(*columns, strict=True)) if several else columns[0]), False
    if getattr(given, "ndim", 1) == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if isinstance(given, bytes | set | frozenset) or not isinstance(given, Iterable):
        raise TextError("E101", received=f"one {type(given).__name__}", expected="a text, or a list of texts",
                        fix="pass the text as a string, or several in a list")
    return given, False


def several_texts(given: Any, cols: Sequence = ("text",)) -> Iterable:
    """Return the texts that a caller means, for functions that also take labels. E101 for one text or row."""
    texts, alone = given_texts(given, cols)
    if alone:
        fix = "pass [text], or one column" if len(cols) == 1 else "pass a list of rows, or the columns"
        raise TextError("E101", received=f"one {type(given).__name__}", expected="a list of texts",
                        fix=f"{fix} of the table")
    return texts


def is_row(given: Any, cols: Sequence) -> bool:
    """Return True for a Series with the names of the columns. Numbers would be in the index of any Series of texts."""
    if not hasattr(given, "iloc") or hasattr(given, "columns") or not all(isinstance(col, str) for col in cols):
        return False
    return set(cols) <= set(given.index) or (len(cols) == 1 and "text" in given.index)


def _columns(names: Iterable, cols: Sequence) -> Sequence:
    """Return the names of the text columns among those of a table or row: `cols`, else `text`, else the only one."""
    names = list(names)
    if len(cols) == 1 and cols[0] not in names and ("text" in names or len(names) == 1):
        cols = ["text"] if "text" in names else names
    if double := [col for col in cols if names.count(col) > 1]:
        raise TextError("E102", received=f"columns of one name, {some(map(repr, double))}", expected="one of each",
                        fix="rename the columns")
    if all(col in names for col in cols):
        return cols
    raise TextError("E102", received=f"the columns {some(names)}", expected=f"{some(map(repr, cols))}, with the texts",
                    fix=did_you_mean(cols[0], names, "pass one column of it, or rename that column"))


def in_batches(items: Iterable[T], size: Callable[[T], int], least: int) -> Iterator[list[T]]:
    """Yield items in lists. A list ends as soon as the sizes in it reach `least`."""
    batch, total = list[T](), 0
    for item in items:
        batch.append(item)
        total += size(item)
        if total >= least:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
