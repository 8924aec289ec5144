"""Getters: functions that read the text or the label of an item, which is a row of a table, a file or a tuple."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ulmfit_easy._fastcore import listify
from ulmfit_easy.data.sources import find_column, is_missing
from ulmfit_easy.errors import LabelError

__all__ = ["AttrGetter", "ColReader", "ItemGetter", "RegexLabeller"]


class ColReader:
    """Get the value of a column of a row. For several columns, a tuple of their values.

    Args:
        cols: names, or positions from 0.
        pref: a string to put before each value. A `Path` is the folder of the file that the value names.
        suff: a string to put after each value.
        label_delim: the string that separates several labels in one value. An empty value has no label.
    """

    def __init__(self, cols: int | str | Sequence, pref: str | Path = "", suff: str = "",
                 label_delim: str | None = None):
        self.cols = listify(cols)
        self.pref = f"{pref}{os.sep}" if isinstance(pref, Path) else pref
        self.suff, self.label_delim = suff, label_delim

    def __call__(self, row: Any) -> Any:
        values = tuple(self._value(_cell(row, col)) for col in self.cols)
        return values[0] if len(values) == 1 else values

    def _value(self, value: Any) -> Any:
        if is_missing(value):
            return value  # for the message that says which rows have none
        if self.label_delim is not None:
            return [part.strip() for part in str(value).split(self.label_delim) if part.strip()]
        return f"{self.pref}{value}{self.suff}" if self.pref or self.suff else value

    def columns(self, items: object) -> list[pd.Series] | None:
        """Return the columns of a table, E102 if one is missing. None without a table, or if values must change."""
        if not isinstance(items, pd.DataFrame) or self.pref or self.suff:
            return None
        return [find_column(items, col) for col in self.cols]


def _cell(row: Any, col: int | str) -> Any:
    if isinstance(row, pd.Series):
        return row.iloc[col] if isinstance(col, int) and col not in row.index else row[col]
    return getattr(row, col) if isinstance(col, str) and hasattr(row, col) else row[col]


class ItemGetter:
    """Get one part of an item: `ItemGetter(1)(("text", "label"))` is "label"."""

    def __init__(self, i: int):
        self.i = i

    def __call__(self, item: Any) -> Any:
        return item[self.i]


class AttrGetter:
    """Get an attribute of an item, or `default` if the item has no such attribute."""

    def __init__(self, nm: str, default: object = None):
        self.nm, self.default = nm, default

    def __call__(self, item: object) -> Any:
        return getattr(item, self.nm, self.default)


class RegexLabeller:
    """Get a label from the path of a file: the first group of a regular expression.

    Args:
        pat: the pattern. Folders of a path are separated by `/` on every system.
        match: look for the pattern at the beginning of the path only.

    Raises: E202 if a path does not have the pattern.
    """

    def __init__(self, pat: str, match: bool = False):
        self.pat, self.match = re.compile(pat), match

    def __call__(self, item: str | Path) -> str:
        path = item.as_posix() if isinstance(item, Path) else str(item)
        found = self.pat.match(path) if self.match else self.pat.search(path)
        if found is None:
            raise LabelError("E202", received=f"{path!r}, in which the pattern {self.pat.pattern!r} is not found",
                             expected="a label in each path", fix="change the pattern, or leave these files out")
        return found.group(1)


class FromFlags:
    """The names of the classes whose flag, as `getter` gives them, is true. E207 unless each class has one."""

    def __init__(self, getter: Callable, classes: Sequence):
        if classes is None:
            raise LabelError("E207", received="zeros and ones without names", expected="the names of the classes",
                             fix="pass MultiCategoryBlock(encoded=True, vocab=[...])")
        self.getter, self.classes = getter, list(classes)

    def __call__(self, item: Any) -> list:
        flags = listify(self.getter(item))
        if len(flags) != len(self.classes):
            raise LabelError("E207", received=f"{len(flags)} zeros and ones", expected=f"{len(self.classes)}, one for "
                             "each class", fix="let get_y give as many as vocab= has names")
        return [name for name, flag in zip(self.classes, flags, strict=True) if int(flag)]
