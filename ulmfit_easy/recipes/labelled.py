"""The labelled rows of one fit of an estimator: read and checked, and split into those to train on and those aside."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ulmfit_easy.data.splits import DefaultSplitter, Split, checked_split, no_valid
from ulmfit_easy.data.targets import CategoryTarget
from ulmfit_easy.errors import ArgumentError, TextError
from ulmfit_easy.recipes import inputs


@dataclass(frozen=True)
class Labelled:
    """The rows of one fit.

    Attributes:
        df: the M rows with a text. Its columns are `text`, a string or a tuple of strings, and `label`; once they are
            split `valid`, true for texts kept aside. Its index has the user's row numbers.
        n, empty: how many rows the user gave to train on, and which of them have no text.
        text_cols, label_col: the names of the user's columns.
        own_valid: True if the user gave the texts that are kept aside.
    """

    df: pd.DataFrame
    n: int
    empty: list[int]
    text_cols: tuple
    label_col: str
    own_valid: bool = False

    @classmethod
    def read(cls, texts: Any, labels: Any, text_col: Any = None) -> "Labelled":
        """Return the rows of N texts and their N labels. Raises: E1xx, E2xx with row numbers."""
        labels = labels if labels is None or hasattr(labels, "__len__") else list(labels)
        given, cols, label_col = inputs.columns_of(texts, labels, text_col)
        read = inputs.texts_of(given, cols)
        n, empty = len(read), inputs.empty_rows(read)
        if len(empty) == n:
            raise TextError("E104", received=f"{n:,} rows, none of them with a text" if n else "no texts",
                            expected="texts and their labels", fix="check the data")
        labels, read = inputs.labels_of(labels, n, empty), inputs.without(read, empty)
        inputs.check_shared(labels)
        CategoryTarget.learned(labels)  # two classes or more
        return cls(_table(read, labels, inputs.without(range(n), empty)), n, empty, cols, label_col)

    def with_valid(self, texts: Any, labels: Any) -> "Labelled":
        """Return these rows, and others after them that are kept aside. Raises: as `read`; E203 for other classes."""
        with inputs.said_of("X_val"):
            read = inputs.texts_of(texts, self.text_cols)
            empty = inputs.empty_rows(read)
            if len(empty) == len(read):
                raise TextError("E104", received="no texts", expected="texts to validate with",
                                fix="leave out X_val= and y_val=")
        with inputs.said_of("y_val"):
            labels = inputs.labels_of(labels, len(read), empty)
            known, rows = self.df["label"].tolist(), inputs.without(range(len(read)), empty)
            inputs.check_type(labels, known)
            CategoryTarget.learned(known).encode(labels, rows=rows)
        aside = _table(inputs.without(read, empty), labels, [self.n + i for i in rows])
        df = pd.concat([self.df.assign(valid=False), aside.assign(valid=True)])
        return replace(self, df=df, own_valid=True)

    def split(self, valid_pct: float, seed: int | None) -> "Labelled":
        """Return these rows with a share of them kept aside, unless the user has given some."""
        if self.own_valid:
            return self
        labels, texts = self.df["label"].tolist(), self.df["text"].tolist()
        splitter = DefaultSplitter(labels, valid_pct, seed, texts) if valid_pct else no_valid
        aside = checked_split(splitter, self.df)[1]
        return replace(self, df=self.df.assign(valid=np.isin(np.arange(len(self.df)), aside)))

    @property
    def splitter(self) -> Any:
        """The function from rows to those to train on and those aside, which was decided here."""
        aside = self.df["valid"].to_numpy(dtype=bool)
        both: Split = np.flatnonzero(~aside), np.flatnonzero(aside)
        return (lambda rows: both) if aside.any() else no_valid

    @property
    def labels(self) -> list:
        """The labels of the texts that the user gave to train on."""
        return self.df["label"][self.df.index < self.n].tolist()

    def table(self) -> pd.DataFrame:
        """Return a table with the user's columns and a row for each row of the user's, so that messages count these."""
        rows = self.df["text"].tolist()
        fields = [rows] if len(self.text_cols) == 1 else list(zip(*rows, strict=True))
        columns = dict(zip(self.text_cols, fields, strict=True)) | {self.label_col: self.df["label"].tolist()}
        found = pd.DataFrame({name: pd.Series(list(values), self.df.index, object) for name, values in columns.items()})
        return found.reindex(range(self.df.index[-1] + 1))


def _table(texts: list, labels: list, rows: Iterable[int]) -> pd.DataFrame:
    """Return a table of texts and labels, each cell as it is: a tuple too."""
    index = pd.Index(list(rows))
    return pd.DataFrame({name: pd.Series(values, index, object) for name, values in (
        ("text", texts), ("label", labels))})


def check_pair(texts: Any, labels: Any) -> bool:
    """Return True for texts to validate with and their labels, False for neither. E603 for one without the other."""
    if (texts is None) != (labels is None):
        given, lacks = ("X_val", "y_val") if labels is None else ("y_val", "X_val")
        raise ArgumentError("E603", received=f"{given}= without {lacks}=", expected="both or neither",
                            fix=f"pass {lacks}= too; leave out {given}=")
    return texts is not None
