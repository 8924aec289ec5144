"""A model as a server asks it: its answers as JSON, the same whatever texts are read together."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from ulmfit_easy.apps.word_by_word import Answers, word_by_word
from ulmfit_easy.errors import ArgumentError, refuse_stranger, some
from ulmfit_easy.learner.predictor import Named
from ulmfit_easy.schema import plain
from ulmfit_easy.text.rules import without_lone_surrogates

DIGITS = 4  # decimals of a probability and of a score
NOISE = 5e-7  # float32 sums differ by less, if a text is read with others (at most 1.2e-7 was seen)


class Served:
    """A trained model with a name.

    Figures have four decimals, and numbers of a regression five digits. A text whose figure or decision could change
    with its neighbours is read again, alone. So each answer is that of `predict` for one text, to the last digit.

    Args:
        name: how requests name it.
        model: a `SavedModel`, or a `Predictor`.
    """

    def __init__(self, name: str, model: Answers):
        self.name, self.model, self.target = name, model, model.predictor.prepare.target
        self.fields = [str(col) for col in model.predictor.prepare.text_cols]
        own = getattr(getattr(model.predictor.decodes, "__self__", None), "thresh", None)  # of the loss
        self.thresh = np.array(0.5 if own is None else own)

    @property
    def about(self) -> dict[str, Any]:
        """The name, the task, the fields and the classes of the model."""
        classes = self.model.predictor.classes
        return {"name": self.name, "task": self.model.predictor.prepare.task, "fields": self.fields,
                "classes": None if classes is None else [*map(str, classes)]}

    def text(self, given: str | dict[str, str]) -> str | tuple[str, ...]:
        """Return a text of a request as the model reads it. E603 for other fields than it has."""
        if isinstance(given, str) and len(self.fields) == 1:
            return without_lone_surrogates(given)
        if not isinstance(given, dict) or given.keys() != {*self.fields}:
            got = "a string" if isinstance(given, str) else f"the fields {some(given)}"
            raise ArgumentError("E603", received=f"{got} for {self.name!r}", expected=f"the fields {some(self.fields)}",
                                fix=f"send {json.dumps({'text': dict.fromkeys(self.fields, '...')})}")
        fields = tuple(without_lone_surrogates(given[name]) for name in self.fields)
        return fields[0] if len(fields) == 1 else fields

    def answers(self, texts: Sequence) -> list[dict[str, Any]]:
        """Return the answer for each text."""
        if len(texts) > 1 and self.target.per == "text":
            found = self.model.predict(texts)
            found = [self.model.predict([text])[0] if self._unsure(each) else each
                     for text, each in zip(texts, found, strict=True)]
        else:  # an answer for each word has a decision for each, too many to look at
            found = [self.model.predict([text])[0] for text in texts]
        return [self._as_json(each) for each in found]

    def _unsure(self, found: Named) -> bool:
        """Return True if a difference of `NOISE` could show."""
        p = found.probs.double().numpy().ravel()  # (C,)
        if not self.target.has_classes:
            of_five_digits = 10.0 ** (np.floor(np.log10(np.maximum(abs(p), 1e-300))) - 4)
            return _near_a_step(p, of_five_digits, NOISE * np.maximum(abs(p), 1))
        decided = np.diff(np.sort(p)[-2:]) if self.target.one_class else abs(p - self.thresh)
        return _near_a_step(p, 10.0 ** -DIGITS, NOISE) or bool((decided < NOISE).any())

    def _as_json(self, found: Named) -> dict[str, Any]:
        answer = {name: _number(value) for name, value in found.cells().items()}
        if found.classes and found.probs.ndim == 1 and self.target.per == "text":
            probs = [round(p, DIGITS) for p in found.probs.tolist()]
            ranked = sorted(zip(map(str, found.classes), probs, strict=True), key=lambda pair: -pair[1])
            answer["probs"] = dict(ranked)
        return answer

    def explanations(self, asked: Sequence[tuple]) -> list[dict[str, Any]]:
        """Return what `explain` does for each text with its label."""
        return [self.explain(*each) for each in asked]

    def explain(self, text: str | tuple[str, ...], label: str | None = None) -> dict[str, Any]:
        """Return what each word adds to the answer, as `ulmfit explain` tells it. E604 for an unknown class."""
        names = {str(name): name for name in self.model.predictor.classes or []}
        if label is not None:
            refuse_stranger("label=", label, names)
        found = word_by_word(self.model, text, None if label is None else names[label])
        words = [{"word": word, "score": round(float(score), DIGITS)}
                 for word, score in zip(found.tokens, found.scores, strict=True)]
        return {"label": found.label, "evidence": round(found.evidence, DIGITS), "words": words}


def _number(value: Any) -> Any:
    """Return a value as JSON has it, a number of a regression with five digits."""
    value = plain(value)
    if isinstance(value, list):
        return [_number(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _near_a_step(values: np.ndarray, step: float | np.ndarray, noise: float | np.ndarray) -> bool:
    """Return True if a value could be rounded otherwise with a little noise."""
    return bool((abs(values / step % 1 - 0.5) * step < noise).any())
