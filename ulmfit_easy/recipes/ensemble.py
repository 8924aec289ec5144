"""Several models as one."""

import reprlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.errors import ArgumentError, ArgumentTypeError, TrainingError, some
from ulmfit_easy.learner.onnx import to_onnx
from ulmfit_easy.learner.predictor import Asked, Predictor
from ulmfit_easy.recipes.blend import Blend
from ulmfit_easy.recipes.inputs import one_string
from ulmfit_easy.user_code import UNCHANGED, interrupted, warn_user


@interrupted(UNCHANGED)
def ensemble(models: Iterable[Asked], texts: Iterable, *, warn: bool = True) -> Tensor:
    """Return the mean of the models' probabilities for each text, (N, C): of probabilities, not of logits.

    Columns are in the order of the first model's classes, whatever the order of the others.

    Args:
        models: learners, or predictors.
        texts: as for `learn.predict`.
        warn: of texts without a known word, as `learn.predict` does, once.

    Raises: ArgumentError E603 for models of other classes. TrainingError E506 for answers per word or token.

    Source: Howard & Ruder 2018, section 3.3: a forward and a backward model, 0.5 to 0.7 points better than one.
    """
    models = list(models)
    if not models or not all(hasattr(model, "predictor") for model in models):
        raise ArgumentTypeError("E601", received=f"models={reprlib.repr(models)}", expected="learners or predictors, "
                                "one or more", fix="of an estimator pass model.learners_")
    first, *others = predictors = [model.predictor for model in models]
    if first.prepare.target.per != "text":
        raise TrainingError("E506", received=f"models with an answer per {first.prepare.target.per}",
                            expected="one answer per text", fix="ask each by its own predict")
    for theirs in (each.classes or [] for each in others):
        if sorted(map(repr, theirs)) != sorted(map(repr, first.classes or [])):
            raise ArgumentError("E603", received=f"models of other classes: {some(theirs or ['none'])}",
                                expected=f"those of the first one: {some(first.classes or ['none'])}",
                                fix="train all of them on the same labels")
    texts, ids, _ = first.read(texts)  # once: an iterator cannot be asked twice
    if warn:
        first.warn_of_no_words(ids.docs)
    read = [ids.docs, *(each.read(texts)[1].docs for each in others)]
    return torch.stack([_probs(each, docs, first.classes) for each, docs in zip(predictors, read, strict=True)]).mean(0)


def _probs(predictor: Predictor, docs: Sequence[np.ndarray], classes: Sequence | None) -> Tensor:
    probs = predictor.activation(predictor.logits(docs))  # (N, C)
    own = predictor.classes
    return probs if classes is None or own is None else probs[:, [own.index(c) for c in classes]]


def probabilities(models: Iterable[Asked], texts: Sequence, *, blend: Blend | None = None,
                  warn: bool = True) -> np.ndarray:
    """Return what `ensemble` does, mixed with linear models, in float64, (N, C).

    Each row has the sum 1 if a text has one class. Of a regression they are the numbers.
    """
    first, *_ = models = list(models)
    probs = ensemble(models, texts, warn=warn).double().numpy()
    if not first.predictor.prepare.target.one_class:
        return probs
    probs = probs if blend is None else blend.mixed(probs, one_string(texts))
    return probs / probs.sum(1, keepdims=True)


def first_to_onnx(models: Sequence[Asked], blend: Blend | None, path: str | Path, quantize: bool) -> Path:
    """Write the first of some models as a graph, see `Predictor.to_onnx`. Warn of what answers with it."""
    rest = ["the model of the other direction"] * (len(models) > 1) + ["the linear models"] * (blend is not None)
    if rest:
        warn_user(f"the graph is one model. Without {' and '.join(rest)}, it answers a little differently")
    return to_onnx(models[0], path, quantize=quantize)
