"""Exact match and F1 of answers, by the official definitions of SQuAD and KorQuAD."""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ulmfit_easy.data.targets.span import texts_of
from ulmfit_easy.errors import LabelError
from ulmfit_easy.schema import flag, takes

__all__ = ["SquadScore", "squad_score"]

_DROPPED = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_QUOTES = str.maketrans(dict.fromkeys("'\"《》<>〈〉()‘’", " "))  # blanks in KorQuAD


class SquadScore(NamedTuple):
    """The mean exact match and the mean F1 over questions, 0 to 1 each. The official scripts print them times 100."""

    exact_match: float
    f1: float


@takes({"chars": flag})
def squad_score(predictions: Sequence, answers: Iterable, *, chars: bool = False) -> SquadScore:
    """Return the exact match and the F1 of predicted answers, as SQuAD measures them.

    Case, punctuation, articles and white space are ignored. If there are several right answers, the most similar one is
    used. If there is no answer, only an empty prediction is right.

    Args:
        predictions: N texts, or what `learn.predict` returned.
        answers: N cells of a column `answers`, or N lists of texts.
        chars: measure F1 over characters and keep articles, as KorQuAD 1 does.

    Raises: LabelError E205 if predictions and answers differ in number.

    Source: evaluate-v2.0.py of SQuAD, whose figures for v1.1 are the same, and evaluate-v1.0.py of KorQuAD.
    """
    said = [each if isinstance(each, str) else each[0] for each in predictions]
    right = [texts_of(cell) for cell in answers]
    if not said or len(said) != len(right):
        raise LabelError("E205", received=f"{len(said)} predictions for {len(right)} questions",
                         expected="one prediction per question, of one question or more",
                         fix="predict the rows of the same table: squad_score(learn.predict(df), df['answers'])")
    exact = f1 = 0.0
    for each, texts in zip(said, right, strict=True):
        told = _normal(each, chars)
        golds = [gold for text in texts if (gold := _normal(text, chars))] or [""]
        exact += told in golds
        f1 += max(_f1(told, gold, chars) for gold in golds)
    return SquadScore(exact / len(said), f1 / len(said))


def _normal(text: str, chars: bool) -> str:
    """Return a text without what does not count."""
    if chars:
        return " ".join(text.translate(_QUOTES).lower().translate(_DROPPED).split())
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_DROPPED)).split())


def _f1(told: str, gold: str, chars: bool) -> float:
    """Return the F1 of the words, or of the characters, of two texts."""
    ours, theirs = ([*"".join(text.split())] if chars else text.split() for text in (told, gold))
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * (Counter(ours) & Counter(theirs)).total() / (len(ours) + len(theirs))
