"""What an estimator takes: texts and labels, checked before anything slow begins."""

from ulmfit_easy.data.sources import clean_texts
from ulmfit_easy.data.targets import read_labels
from ulmfit_easy.errors import LabelError, TextError, some


def texts_of(given) -> list[str]:
    """Any iterable of strings as a list; E101 for anything else, with row numbers."""
    if isinstance(given, str) or hasattr(given, "columns"):  # both can be iterated, but not over texts
        raise TextError("E101", received=f"one {type(given).__name__}", expected="a list of texts",
                        fix="pass [text], or one column of the table")
    return clean_texts([list(given)])[0]


def labels_of(given, n: int) -> list:
    """N labels as Python values; E205 for another number than `n`, E202 for missing ones, E207 for mixed types."""
    labels = list(given)
    if len(labels) != n:
        raise LabelError("E205", received=f"{n:,} texts and {len(labels):,} labels", expected="one label a text",
                         fix="pass two lists of the same length")
    labels = read_labels([labels])[1]
    types = {type(label).__name__ for label in labels}
    if len(types) > 1 or types & {"list", "tuple", "set"}:
        raise LabelError("E207", received=f"labels of type {some(sorted(types))}",
                         expected="one class a text, all of one type", fix="turn them into strings first")
    return labels


def corpus_of(df, unlabelled) -> list[str]:
    """Every text that a language model may read, once: none that is kept aside."""
    aside = set(df.loc[df["valid"], "text"])
    return [t for t in dict.fromkeys([*df.loc[~df["valid"], "text"], *unlabelled]) if t not in aside]
