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
    """N labels as Python values; E205 for another number than `n`, E202 for missing ones, E207 for types of no use."""
    labels = [] if given is None else list(given)
    if len(labels) != n:
        raise LabelError("E205", received=f"{n:,} texts and {len(labels):,} labels", expected="one label a text",
                         fix="pass two lists of the same length")
    labels = read_labels([labels])[1]
    types = {type(label).__name__ for label in labels}
    if len(types) > 1 or types - {"str", "int", "float", "bool"}:
        raise LabelError("E207", received=f"labels of type {some(sorted(types))}",
                         expected="one class a text, all of one type", fix="turn them into strings first")
    return labels


def check_type(labels, classes):
    """E203 for labels that are the classes but for their type: `1` for `"1"` would count as wrong."""
    if labels and type(labels[0]) is not type(classes[0]) and {*map(str, labels)} & {*map(str, classes)}:
        raise LabelError("E203", received=f"labels of type {type(labels[0]).__name__}, such as {labels[0]!r}",
                         expected=f"the type of the classes, such as {classes[0]!r}",
                         fix="give labels the type that they had in training")


def corpus_of(df, unlabelled) -> list[str]:
    """Every text that a language model may read, once: none that is kept aside. E206 where none is left."""
    aside = set(df.loc[df["valid"], "text"])
    corpus = [t for t in dict.fromkeys([*df.loc[~df["valid"], "text"], *unlabelled]) if t not in aside]
    if len(corpus) < 2:
        raise LabelError("E206", received=f"{df['text'].nunique():,} different texts in {len(df):,} rows",
                         expected="two or more that are not among those kept aside", fix="give more texts that differ")
    return corpus
