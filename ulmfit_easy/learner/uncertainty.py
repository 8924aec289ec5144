"""How sure a classifier is: the spread of its predictions when dropout stays on."""

from typing import NamedTuple

import torch
from torch import Tensor

from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.callbacks.preds import set_dropout
from ulmfit_easy.learner.inference import Named, one_answer_a_text, raw_predictions
from ulmfit_easy.learner.losses import above, activation_of
from ulmfit_easy.learner.seeds import no_random
from ulmfit_easy.models.evaluated import evaluated


class _Fields(NamedTuple):
    label: object
    index: Tensor
    probs: Tensor
    std: Tensor


class UncertainPrediction(Named, _Fields):
    """The mean prediction for one text over several passes with dropout; begins as `Prediction` does.

    Attributes:
        label, index, probs: the decision, and the mean probability of each class (C,); for regression the number.
        std: (C,) how far the passes spread around `probs`: near 0 where they agree.
    """


def predict_with_uncertainty(learn, item, n: int = 10, *, seed: int | None = None):
    """An `UncertainPrediction` for a text, or a list of these for a list of texts (MC dropout).

    Args:
        item: as for `learn.predict`.
        n: passes with other dropouts, 2 or more; the time grows with it, the error of `std` falls with its root.
        seed: of the dropouts; with it the same question has the same answer, and no other random numbers change.

    Raises:
        TrainingError: E502 for `n` below 2.

    Source: Gal & Ghahramani 2016 (arXiv 1506.02142), section 4.
    """
    if n < 2:
        raise TrainingError("E502", received=f"n={n}", expected="2 passes or more, for there to be a spread",
                            fix="leave it out for 10")
    if seed is not None:
        with no_random(seed, reproducible=False):
            return predict_with_uncertainty(learn, item, n)
    one_answer_a_text(learn, "predict_with_uncertainty")
    texts, alone = learn.dls.given(item)
    dl, act = learn.dls.test_dl(texts), activation_of(learn.loss_func)
    model = evaluated(learn.model)
    set_dropout(model, True)
    passes = torch.stack([act(raw_predictions(model, dl)) for _ in range(n)])  # (n, N, C)
    probs, std = passes.mean(0), passes.std(0)  # (N, C) each
    target, decided = learn.dls.target, probs
    if target.has_classes:
        decided = probs.argmax(-1) if target.one_class else above(probs, getattr(learn.loss_func, "thresh", 0.5))
    found = [UncertainPrediction(learn.dls.decode(d), d, p, s).of(learn.dls.classes)
             for d, p, s in zip(decided, probs, std, strict=True)]
    return found[0] if alone else found
