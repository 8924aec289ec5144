"""Check the texts and labels that an estimator takes, before anything slow."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from ulmfit_easy.data.sources import clean_texts, is_missing
from ulmfit_easy.data.targets import SEVERAL, plain_labels, read_labels, unpacked
from ulmfit_easy.errors import LabelError, counted, in_rows, short, some
from ulmfit_easy.text.given import several_texts


def texts_of(given: Iterable, cols: Sequence = ("text",)) -> list[str]:
    """Return the texts of anything that `several_texts` takes, as a list; E101 for other values, with row numbers."""
    return clean_texts([list(several_texts(given, cols))])[0]


def columns_of(texts: Iterable, labels: Iterable) -> dict[str, str]:
    """Return the names of the columns "text" and "label", as the user's Series have them: a model remembers them."""
    names = {own: name if isinstance(name := getattr(given, "name", None), str) else own
             for own, given in (("text", texts), ("label", labels))}
    return names if len({*names.values(), "valid"}) == 3 else {"text": "text", "label": "label"}


def labels_of(given: Iterable | None, n: int, empty: Sequence[int] = ()) -> list:
    """Return labels as Python values, without those of the `empty` rows.

    Raises: E205 for another number than `n`, E202 for missing ones, E207 for types of no use.
    """
    if isinstance(given, pd.DataFrame) and given.shape[1] == 1:  # of several the check below finds another number
        given = given.iloc[:, 0]
    labels = [] if given is None else unpacked(plain_labels(given))
    if len(labels) != n:
        raise LabelError("E205", received=f"{n:,} texts and {len(labels):,} labels", expected="one label a text",
                         fix="pass two lists of the same length")
    if any(isinstance(label, SEVERAL) for label in labels):
        raise LabelError("E207", received="lists of labels", expected="one label for each text",
                         fix="give the one that counts; TextDataLoaders.from_df and text_classifier_learner "
                             "learn several a text")
    rows = without(range(n), empty)
    labels = read_labels([without(labels, empty)], rows=rows)[1]
    types = {type(label).__name__ for label in labels}
    if len(types) > 1 or types - {"str", "int", "float", "bool"}:
        raise LabelError("E207", received=f"labels of type {some(sorted(types))}",
                         expected="one class a text, all of one type", fix="turn them into strings first")
    return labels


def empty_rows(texts: Iterable) -> list[int]:
    """Return the numbers of the rows without text: missing, empty or blank."""
    return [i for i, text in enumerate(texts) if is_missing(text) or not str(text).strip()]


def without(values: Sequence, rows: Sequence[int]) -> list:
    """Return the values of all rows but these."""
    left_out = set(rows)
    return [value for i, value in enumerate(values) if i not in left_out]


def check_shared(labels: Sequence) -> None:
    """E207 if no two texts share a label, as where the labels are numbers of rows."""
    if len(set(labels)) == len(labels) > 2:
        raise LabelError("E207", received=f"{len(labels):,} texts, each with a label of its own, such as "
                         f"{short(labels[0])!r}", expected="a class for each text, and several texts in each class",
                         fix="name the classes with labels=, not numbers of rows")


def as_array(labels: Sequence) -> np.ndarray:
    """Return an array of these very labels: numpy would turn large numbers into fractions beside small ones."""
    found = np.array(labels)
    return found if found.tolist() == list(labels) else np.array(labels, dtype=object)


def check_type(labels: Sequence, classes: Sequence) -> None:
    """E203 for labels that are the classes but for their type: `1` for `"1"` would count as wrong."""
    if labels and type(labels[0]) is not type(classes[0]) and {*map(str, labels)} & {*map(str, classes)}:
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


def corpus_of(df: pd.DataFrame, unlabelled: Iterable[str]) -> list[str]:
    """Return every text that a language model may read, once: none that is kept aside. E206 where none is left."""
    aside = set(df.loc[df["valid"], "text"])
    corpus = [t for t in dict.fromkeys([*df.loc[~df["valid"], "text"], *unlabelled]) if t not in aside and t.strip()]
    if len(corpus) < 2:
        raise LabelError("E206", received=f"{df['text'].nunique():,} different texts in {len(df):,} rows",
                         expected="two or more that are not among those kept aside", fix="give more texts that differ")
    return corpus
