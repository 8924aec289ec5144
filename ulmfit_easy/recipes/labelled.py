"""The labelled rows of one fit of an estimator: read and checked, and split into those to train on and those aside."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ulmfit_easy._fastcore import listify
from ulmfit_easy.data.loaders import column_names
from ulmfit_easy.data.sources import accepted, find_columns
from ulmfit_easy.data.splits import ColSplitter, DefaultSplitter, Split, checked_split, no_valid
from ulmfit_easy.errors import ArgumentError, TextError
from ulmfit_easy.recipes import inputs
from ulmfit_easy.recipes.kinds import Kind, kind_of_labels


@dataclass(frozen=True)
class Labelled:
    """The rows of one fit.

    Attributes:
        df: the M rows with a text. Its columns are `text`, a string or a tuple of strings, and `label`. Once they are
            split `valid`, true for texts kept aside. Its index has the user's row numbers.
        n, empty: how many rows the user gave to train on, and which of them have no text.
        text_cols, label_col: the names of the user's columns.
        kind: how labels are read.
        own_valid: True if the user gave the texts that are kept aside.
    """

    df: pd.DataFrame
    n: int
    empty: list[int]
    text_cols: tuple
    label_col: str
    kind: Kind
    own_valid: bool = False

    @classmethod
    def read(cls, texts: Any, labels: Any, text_col: Any = None, kind: Kind | None = None,
             sample_weight: Any = None) -> "Labelled":
        """Return the rows of N texts and their N labels. Raises: E1xx, E2xx with row numbers.

        Args:
            kind: what the labels are. None finds out.
            sample_weight: (N,) how much each text counts. None lets each count alike.
        """
        labels = labels if labels is None or hasattr(labels, "shape") or hasattr(labels, "__len__") else list(labels)
        given, cols, label_col = inputs.columns_of(texts, labels, text_col)
        read = inputs.texts_of(given, cols)
        n, empty = len(read), inputs.empty_rows(read)
        if len(empty) == n:
            raise TextError("E104", received=f"{n:,} rows, none of them with a text" if n else "no texts",
                            expected="texts and their labels", fix="check the data")
        kind = kind or kind_of_labels(labels)
        labels, read = kind.read(labels, n, empty), inputs.without(read, empty)
        kind.check(labels)
        df = texts_and_labels(read, labels, inputs.without(range(n), empty))
        if (weights := inputs.weights_of(sample_weight, n, empty)) is not None:
            df["weight"] = weights
        return cls(df, n, empty, cols, label_col, kind)

    def with_valid(self, texts: Any, labels: Any) -> "Labelled":
        """Return these rows, and others after them that are kept aside. Raises: as `read`. E203 for other classes."""
        with inputs.said_of("X_val"):
            read = inputs.texts_of(texts, self.text_cols)
            empty = inputs.empty_rows(read)
            if len(empty) == len(read):
                raise TextError("E104", received="no texts", expected="texts to validate with",
                                fix="leave out X_val= and y_val=")
        with inputs.said_of("y_val"):
            labels = self.kind.read(labels, len(read), empty)
            known, rows = self.df["label"].tolist(), inputs.without(range(len(read)), empty)
            inputs.check_type(labels, known)
            self.kind.check_known(labels, known, rows)
        aside = texts_and_labels(inputs.without(read, empty), labels, [self.n + i for i in rows])
        if "weight" in self.df:
            aside["weight"] = 1.0
        df = pd.concat([self.df.assign(valid=False), aside.assign(valid=True)])
        return replace(self, df=df, own_valid=True)

    def split(self, valid_pct: float, seed: int | None) -> "Labelled":
        """Return these rows with a share of them kept aside, unless the user has given some."""
        if self.own_valid:
            return self
        labels, texts = self.kind.strata(self.df["label"].tolist()), self.df["text"].tolist()
        splitter = DefaultSplitter(labels, valid_pct, seed, texts) if valid_pct else no_valid
        train, aside = checked_split(splitter, self.df)
        if "weight" in self.df and not self.df["weight"].iloc[train].any():
            raise ArgumentError("E602", received="sample_weight= of 0 for each text to train on",
                                expected="some above 0", fix="pass X_val= and y_val=; leave out sample_weight=")
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

    @property
    def weights(self) -> np.ndarray | None:
        """The weights of the rows of `table`, (R,), None if each counts alike."""
        if "weight" not in self.df:
            return None
        return self.df["weight"].reindex(range(self.df.index[-1] + 1), fill_value=0.0).to_numpy(float)

    def columns(self, texts: Iterable) -> Any:
        """Return texts under the names of the user's columns: a Series, or a table of several."""
        texts = list(texts)
        fields = [texts] if len(self.text_cols) == 1 else list(zip(*texts, strict=True))
        found = pd.DataFrame({name: pd.Series(list(values), dtype=object)
                              for name, values in zip(self.text_cols, fields, strict=True)})
        return found if len(self.text_cols) > 1 else found[self.text_cols[0]]

    def table(self) -> pd.DataFrame:
        """Return a table with the user's columns and a row for each row of the user's, so that messages count these."""
        found = pd.DataFrame(self.columns(self.df["text"]))
        found[self.label_col] = pd.Series(self.df["label"].tolist(), dtype=object)
        return found.set_index(self.df.index).reindex(range(self.df.index[-1] + 1))


def texts_and_labels(texts: list, labels: list, rows: Iterable[int]) -> pd.DataFrame:
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


def from_table(df: pd.DataFrame, text_col: Any, label_col: Any,
               valid_col: Any = None) -> tuple[Any, Any, np.ndarray | None, list]:
    """Return the texts and the labels in a table, which rows are to validate with, and the names of the text columns.

    Rows of Prodigy's whose answer is not "accept" are left out.
    """
    found, n = find_columns(df, [*(of_texts := listify(text_col)), *listify(label_col)]), len(of_texts)
    texts, labels = found[:n], found[n:]
    rows = accepted(df, [*texts, *labels])
    valid = None
    if valid_col is not None:
        valid = np.isin(np.arange(len(df)), ColSplitter(valid_col)(df)[1])
    given, targets = (columns[0] if len(columns) == 1 else pd.concat(columns, axis=1) for columns in (texts, labels))
    if rows is not None:
        given, targets, valid = given.iloc[rows], targets.iloc[rows], None if valid is None else valid[rows]
    return given, targets, valid, list(column_names(texts))
