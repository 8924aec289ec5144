"""Score predictions against the labels of a table: one function for each kind of answer, which a task names."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ulmfit_easy.data.targets.tags import SPAN_TAG
from ulmfit_easy.learner.metrics.squad import squad_score
from ulmfit_easy.viz import text_table

MOST_CLASSES = 12  # of a matrix that still fits into a terminal


class Report(NamedTuple):
    """Scores by name, and tables as text, which may be empty."""

    figures: dict[str, float]
    tables: str = ""


def of_equal(truth: Sequence, found: Sequence) -> Report:
    """Return the share of predictions that are their label. For tasks without a report of their own."""
    return Report({"accuracy": _share(list(each[0]) == list(true) if isinstance(each[0], list) else each[0] == true
                                      for each, true in zip(found, truth, strict=True))})


def of_classes(truth: Sequence, found: Sequence) -> Report:
    """Return accuracy and macro-F1 of one class for each text, a table by class, and which classes were confused."""
    from sklearn.metrics import f1_score

    true, said = [str(label) for label in truth], [str(each[0]) for each in found]
    names = sorted({*true, *said})
    figures = {"accuracy": _share(map(str.__eq__, true, said)),
               "macro-F1": float(f1_score(true, said, average="macro", zero_division=0))}
    pairs = Counter(zip(true, said, strict=True))
    if len(names) <= MOST_CLASSES:
        rows = [[name, *(pairs[name, other] for other in names)] for name in names]
        confused = text_table(rows, ["label \\ predicted", *names])
    else:
        wrong = [(a, b, n) for (a, b), n in pairs.most_common() if a != b]
        confused = text_table(wrong[:MOST_CLASSES], ["label", "predicted", "times"])
    return Report(figures, f"{_by_class(true, said)}\n\n{confused}")


def of_several_classes(truth: Sequence, found: Sequence) -> Report:
    """Return micro- and macro-F1 of several classes for each text, the share of texts with all right, and a table."""
    from sklearn.metrics import f1_score
    from sklearn.preprocessing import MultiLabelBinarizer

    true, said = ([[str(name) for name in names] for names in given] for given in (truth, [each[0] for each in found]))
    flags = MultiLabelBinarizer().fit([*true, *said])
    a, b = flags.transform(true), flags.transform(said)  # (N, C) each
    figures = {f"{kind}-F1": float(f1_score(a, b, average=kind, zero_division=0)) for kind in ("micro", "macro")}
    return Report(figures | {"all right": _share((a == b).all(1))}, _by_class(a, b, list(flags.classes_)))


def of_numbers(truth: Sequence, found: Sequence) -> Report:
    """Return the root mean squared error, the mean absolute error, and Spearman's rank correlation."""
    from scipy.stats import spearmanr

    true, said = (np.array(given, float).reshape(len(given), -1) for given in (list(truth), [e[0] for e in found]))
    off = said - true  # (N, n)
    varies = all(len(np.unique(each)) > 1 for each in (true, said))
    ranks = {"Spearman": float(np.mean([spearmanr(*each).statistic for each in zip(true.T, said.T, strict=True)]))}
    return Report({"RMSE": float(np.sqrt((off**2).mean())), "MAE": float(abs(off).mean())} | (ranks if varies else {}))


def of_tags(truth: Sequence, found: Sequence) -> Report:
    """Return the share of words with their tag. If tags name spans, also F1 of these, by the package seqeval."""
    true, said = ([list(map(str, tags)) for tags in given] for given in (truth, [each[0] for each in found]))
    words, guesses = sum(true, []), sum(said, [])
    figures = {"accuracy of words": _share(map(str.__eq__, words, guesses))}
    if not any(SPAN_TAG.match(tag) for tag in {*words, *guesses}):
        return Report(figures, _by_class(words, guesses))
    try:
        from seqeval.metrics import classification_report, f1_score
    except ImportError:
        return Report(figures, _by_class(words, guesses))
    return Report({"entity F1": float(f1_score(true, said, zero_division=0)), **figures},
                  classification_report(true, said, digits=3, zero_division=0).rstrip())


def of_answers(truth: Sequence, found: Sequence) -> Report:
    """Return exact match and F1 of answers, by the definition of SQuAD."""
    score = squad_score(found, [[text for text, _ in answers] for answers in truth])
    return Report({"exact match": score.exact_match, "F1": score.f1})


def _by_class(true: Sequence, said: Sequence, names: Sequence[str] | None = None) -> str:
    from sklearn.metrics import classification_report

    kept = {} if names is None else {"labels": range(len(names)), "target_names": list(names)}
    return classification_report(true, said, digits=3, zero_division=0, **kept).rstrip()


def _share(right: Iterable) -> float:
    return float(np.mean([bool(each) for each in right]))
