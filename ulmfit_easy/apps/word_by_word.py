"""Which words decide the answer of a saved model, its mixture included: each is left out, and the model asked again."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from ulmfit_easy.apps.attribute import CERTAIN, READINGS, Attribution
from ulmfit_easy.cleanup import no_warnings
from ulmfit_easy.errors import TextError, TrainingError
from ulmfit_easy.learner.predictor import Predictor
from ulmfit_easy.recipes.base import TextEstimator


class Answers(Protocol):
    """A model as a whole: its predictor, or the first of them, and the predictions of all together."""

    predictor: Predictor

    def predict(self, texts: Sequence) -> list: ...


class WholeEstimator:
    """An estimator, its mixture included, as `word_by_word` asks it."""

    def __init__(self, model: TextEstimator):
        model.check_fitted()
        self.model, self.predictor = model, model.learners_[0].predictor

    def predict(self, texts: Sequence) -> list:
        """Return the class, its number and the probabilities of each text. Only the last is known."""
        return [(None, None, p) for p in torch.from_numpy(self.model.probabilities(list(texts)))]


def word_by_word(model: Answers, text: str | tuple[str, ...], label: object = None) -> Attribution:
    """Return the score of each word: what the log-odds of a class, or a number, lose without it.

    Args:
        text: a string, or a tuple of fields.
        label: the class, by default the likeliest one.

    Raises: E104 for a text without words. E506 for a model with an answer per word or token.
    """
    target = model.predictor.prepare.target
    if target.per != "text":
        raise TrainingError("E506", received=f"explain for a model with an answer per {target.per}",
                            expected="one answer per text", fix="name a classifier")
    fields = (text,) if isinstance(text, str) else text
    words = [(i, word) for i, field in enumerate(fields) for word in field.split()]
    if not words:
        raise TextError("E104", received="a text without words", expected="a text between quotes", fix="give a text")
    size = -(-len(words) // READINGS)  # words that are left out together
    parts = [range(start, min(start + size, len(words))) for start in range(0, len(words), size)]

    def without(part: Sequence[int]) -> str | tuple[str, ...]:
        left = [" ".join(word for k, (j, word) in enumerate(words) if j == i and k not in part)
                for i in range(len(fields))]
        return left[0] if isinstance(text, str) else tuple(left)

    found = model.predict([text])
    with no_warnings():  # of those that lack their only known word
        found += model.predict([without(part) for part in parts])
    classes = model.predictor.classes
    column = 0 if classes is None else classes.index(label) if label is not None else int(found[0][2].argmax())
    said = np.array([float(np.ravel(each[2])[column]) for each in found])  # (1 + N,)
    if classes is not None:
        said = said.clip(CERTAIN, 1 - CERTAIN)
        said = np.log(said / (1 - said))
    scores = np.zeros(len(words))
    for part, rest in zip(parts, said[1:], strict=True):
        scores[list(part)] = said[0] - rest
    return Attribution([word for _, word in words], scores, classes and classes[column], float(said[0]))
