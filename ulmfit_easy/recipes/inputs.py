"""Read the texts and labels that an estimator takes, and check them before anything slow."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from ulmfit_easy._fastcore import listify
from ulmfit_easy.data.balance import checked_weights
from ulmfit_easy.data.sources import clean_texts, is_missing
from ulmfit_easy.data.targets import SEVERAL, plain_labels, read_labels, unpacked
from ulmfit_easy.errors import LabelError, TextError, UlmfitError, counted, in_rows, short, some
from ulmfit_easy.text.given import several_texts
from ulmfit_easy.user_code import warn_user


def texts_of(given: Any, cols: Sequence = ("text",)) -> list:
    """Return the texts of anything that `several_texts` takes, as a list. Tuples of strings for several columns.

    Raises: TextError E101 for other values, with row numbers. E102 for other columns than `cols`.
    """
    given = _rows(given)
    if len(cols) > 1 and isinstance(given, pd.DataFrame) and (gone := [col for col in cols if col not in given]):
        raise TextError("E102", received=f"a table without the columns {some(map(repr, gone))}",
                        expected=f"the columns {some(map(repr, cols))}, as in training", fix="rename its columns")
    rows = list(several_texts(given, cols))
    if len(cols) == 1:
        return clean_texts([rows])[0]
    if bad := [i for i, row in enumerate(rows) if not (isinstance(row, tuple) and len(row) == len(cols))]:
        raise TextError("E102", received=f"texts that are not {len(cols)} fields, {in_rows(bad)}",
                        expected=f"the columns {some(map(repr, cols))}, as in training",
                        fix="give a table with these columns, or a tuple for each text")
    return clean_texts([list(column) for column in zip(*rows, strict=True)])[0] if rows else []


def fields_of(given: Any) -> list:
    """Return texts without labels as `texts_of` does. They may have any fields: each is a text for a language model."""
    rows = list(_rows(given)) if not isinstance(given, str) else given
    if isinstance(rows, list) and rows and all(isinstance(row, tuple) for row in rows):
        return clean_texts([[field for row in rows for field in row]])[0]
    return texts_of(given if hasattr(given, "columns") else rows)


def columns_of(given: Any, labels: Any, text_col: Any = None) -> tuple[Any, tuple, str]:
    """Return texts with the names of their columns and the name of the labels: a model remembers them.

    Args:
        given: texts, as for `ULMFiT.fit`. An iterator becomes a list.
        text_col: the columns of a table with texts, if the user named them.

    Raises: E102 for a table without these columns, or one whose columns repeat the labels.
    """
    given = _rows(given)
    given = given if hasattr(given, "__len__") or not isinstance(given, Iterable) else list(given)
    cols = tuple(listify(text_col))
    if not cols and isinstance(given, pd.DataFrame) and given.shape[1] > 1:
        told = list(map(str, labels))
        repeated = [col for i, col in enumerate(given.columns) if list(map(str, given.iloc[:, i])) == told]
        if "text" in given.columns:
            texts = given.select_dtypes(["object", "string"]).columns
            if others := [col for col in texts if col not in ("text", *repeated)]:
                warn_user(f"of the table the column 'text' alone is read, and not {some(map(repr, others))}: for texts "
                          "of several columns name them with text_col=")
        elif repeated:
            raise TextError("E102", received=f"a table with the labels in its column {repeated[0]!r}",
                            expected="texts alone, or a column named 'text'",
                            fix="pass the columns with texts, such as df[['question', 'answer']], or name them with "
                                "text_col=")
        else:
            cols = tuple(given.columns)
    if not cols and isinstance(given, list) and given and isinstance(given[0], tuple) and len(given[0]) > 1:
        cols = tuple(f"text{i + 1}" for i in range(len(given[0])))
    if not cols:
        own = getattr(several_texts(given), "name", None)
        cols = (own if isinstance(own, str) else "text",)
    name = getattr(labels, "name", None)
    name = next(each for each in (name, "label", "label of the texts") if isinstance(each, str) and each not in cols)
    return given, cols, name


def _rows(given: Any) -> Any:
    """Return a two-dimensional array as rows of fields, and anything else as it is.

    Raises: E101 for a matrix of features.
    """
    if hasattr(given, "toarray") or isinstance(given, np.ndarray) and (given.ndim > 2 or given.dtype.kind in "biufc"):
        raise TextError("E101", received=f"an array of shape {given.shape}" + " without text" * (given.ndim < 3),
                        expected="a string for each row",
                        fix="pass the texts themselves, not features such as TF-IDF: the estimator makes its own")
    if isinstance(given, np.ndarray) and given.ndim == 2 and given.shape[1] > 1:
        return [tuple(row) for row in given.tolist()]
    return given


def one_string(texts: Sequence) -> list[str]:
    """Return texts as strings, their fields one after the other: for linear models."""
    return ["\n".join(text) if isinstance(text, tuple) else text for text in texts]


@contextmanager
def said_of(name: str) -> Iterator[None]:
    """Let errors say which argument they are about."""
    try:
        yield
    except UlmfitError as e:
        e.received = f"{e.received}, in {name}"
        raise


def sized(given: Any, n: int) -> list:
    """Return labels as Python values. Raises: E205 for another number than `n`."""
    if isinstance(given, str | bytes | set | frozenset | Mapping):
        raise LabelError("E207", received=f"labels in a {type(given).__name__}", expected="a label for each text, in "
                         "the same order", fix="pass a list, an array or a column of the table")
    if isinstance(given, pd.DataFrame) and given.shape[1] == 1:  # of several the check below finds another number
        given = given.iloc[:, 0]
    labels = [] if given is None else plain_labels(given)
    if len(labels) != n:
        raise LabelError("E205", received=f"{n:,} texts and {len(labels):,} labels", expected="one label a text",
                         fix="pass two lists of the same length")
    return labels


def labels_of(given: Any, n: int, empty: Sequence[int] = ()) -> list:
    """Return labels as Python values, without those of the `empty` rows.

    Raises: E205 for another number than `n`, E202 for missing ones, E207 for types of no use.
    """
    labels = unpacked(sized(given, n))
    if any(isinstance(label, SEVERAL) for label in labels):
        raise LabelError("E207", received="lists of labels", expected="one label for each text",
                         fix="give labels as in training: one class for each text")
    if any(isinstance(label, float) and label == label and not label.is_integer() for label in labels):
        raise LabelError("E207", received="labels with fractions", expected="names of classes",
                         fix="ULMFiTRegressor learns to predict numbers; or turn classes into names, as astype(str) "
                             "does")
    rows = without(range(n), empty)
    labels = read_labels([without(labels, empty)], rows=rows)[1]
    types = {type(label).__name__ for label in labels}
    if len(types) > 1 or types - {"str", "int", "float", "bool"}:
        raise LabelError("E207", received=f"labels of type {some(sorted(types))}",
                         expected="one class a text, all of one type", fix="turn them into strings first")
    return labels


def weights_of(sample_weight: Any, n: int, empty: Sequence[int] = ()) -> list | None:
    """Return the weights of N rows, without those of the `empty` ones. None for none. Raises: E602."""
    if sample_weight is None:
        return None
    return without(checked_weights(sample_weight, n, "sample_weight").tolist(), empty)


def empty_rows(texts: Iterable) -> list[int]:
    """Return the numbers of the rows without text: missing, empty or blank, in each of their fields."""
    return [i for i, text in enumerate(texts) if all(is_missing(field) or not str(field).strip() for field in (
        text if isinstance(text, tuple) else [text]))]


def without(values: Sequence, rows: Sequence[int]) -> list:
    """Return the values of all rows but these."""
    left_out = set(rows)
    return [value for i, value in enumerate(values) if i not in left_out]


def check_shared(labels: Sequence) -> None:
    """Raise E207 if no two texts share a label, for example if the labels are row numbers."""
    if len(set(labels)) == len(labels) > 2:
        raise LabelError("E207", received=f"{len(labels):,} texts, each with a label of its own, such as "
                         f"{short(labels[0])!r}", expected="a class for each text, and several texts in each class",
                         fix="pass the texts first and then their labels" if isinstance(labels[0], str)
                         else "pass the classes as labels, not numbers of rows; ULMFiTRegressor learns numbers")


def as_array(labels: Sequence) -> np.ndarray:
    """Return an array of these very labels: numpy would turn large numbers into fractions next to small ones."""
    found = np.array(labels)
    return found if found.tolist() == list(labels) else np.array(labels, dtype=object)


def check_type(labels: Sequence, classes: Sequence) -> None:
    """E203 for labels that are the classes but for their type: `1` for `"1"` would count as wrong."""
    if labels and classes and not isinstance(labels[0], SEVERAL) and type(labels[0]) is not type(classes[0]) and not (
            {*labels} & {*classes}):
        raise LabelError("E203", received=f"labels of type {type(labels[0]).__name__}, such as {labels[0]!r}",
                         expected=f"the type of the classes, such as {classes[0]!r}",
                         fix="give labels the type that they had in training")


def rows_read(n: int, empty: Sequence[int], labels: Sequence = (), unlabelled: Sequence = (), note: str = "") -> str:
    """Return the line that tells what was read.

    For example, `60 rows, 2 classes (neg 24, pos 35), 1 without text (row 7, counted from 0)`.

    Args:
        n: number of rows.
        empty: the rows without text.
        note: tells what becomes of these.
    """
    parts = [counted(n, "row")]
    if labels:
        of = Counter(map(str, labels))
        parts.append(f"{len(of):,} classes ({some((f'{short(name)} {of[name]:,}' for name in sorted(of)), 10)})")
    if empty:
        parts.append(f"{len(empty):,} without text ({in_rows(empty)}, counted from 0){note}")
    if unlabelled:
        parts.append(counted(len(unlabelled), "unlabelled text"))
    return ", ".join(parts)


def corpus_of(df: pd.DataFrame, unlabelled: Iterable) -> list[str]:
    """Return every text that a language model may read, once: none that is kept aside. Each field is a text.

    Raises: E206 if none is left.
    """
    def fields(texts: Iterable) -> Iterator[str]:
        return (field for text in texts for field in (text if isinstance(text, tuple) else [text]))

    aside = set(fields(df.loc[df["valid"], "text"]))
    texts = dict.fromkeys(fields([*df.loc[~df["valid"], "text"], *unlabelled]))
    corpus = [text for text in texts if text not in aside and text.strip()]
    if len(corpus) < 2:
        raise LabelError("E206", received=f"{df['text'].nunique():,} different texts in {len(df):,} rows",
                         expected="two different texts or more that are not kept aside",
                         fix="give more texts that differ")
    return corpus
