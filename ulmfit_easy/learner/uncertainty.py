"""MC dropout: how far predictions spread when dropout stays on."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ulmfit_easy.learner.callbacks.preds import set_dropout
from ulmfit_easy.learner.inference import one_answer_a_text
from ulmfit_easy.learner.losses import above
from ulmfit_easy.learner.predictor import Named
from ulmfit_easy.learner.seeds import no_random
from ulmfit_easy.schema import takes, whole

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner


class _Fields(NamedTuple):
    label: object
    index: Tensor  # type: ignore[assignment]  # as in `Prediction`
    probs: Tensor
    std: Tensor


class UncertainPrediction(Named, _Fields):
    """The mean prediction for one text over several passes with dropout. Begins as `Prediction` does.

    Attributes:
        label, index, probs: the decision, and the mean probability of each class (C,). For regression the number.
        std: (C,) how far the passes spread around `probs`: near 0 where they agree.
    """


@takes({"n": whole(2)})
def predict_with_uncertainty(learn: "Learner", item: Iterable, n: int = 10, *,
                             seed: int | None = None) -> UncertainPrediction | list[UncertainPrediction]:
    """Return an `UncertainPrediction` for a text, or a list of these for a list of texts (MC dropout).

    Args:
        item: as for `learn.predict`.
        n: the number of passes, 2 or more, each with another dropout. More take longer and make `std` more exact.
        seed: with a whole number, the result is the same each time.

    Raises: TrainingError E506 for a model that answers for each token, such as a tagger.

    Source: Gal & Ghahramani 2016 (arXiv 1506.02142), section 4.
    """
    if seed is not None:
        with no_random(seed, reproducible=False):
            return predict_with_uncertainty(learn, item, n)
    one_answer_a_text(learn, "predict_with_uncertainty")
    ask = learn.predictor
    _, ids, alone = ask.read(item)
    docs = ids.docs
    ask.warn_of_no_words(docs)
    set_dropout(ask.model, True)
    passes = torch.stack([ask.activation(ask.logits(docs)) for _ in range(n)])  # (n, N, C)
    probs, std = passes.mean(0), passes.std(0)  # (N, C) each
    target, decided = learn.dls.target, probs
    if target.has_classes:
        decided = probs.argmax(-1) if target.one_class else above(probs, getattr(learn.loss_func, "thresh", 0.5))
    found = [UncertainPrediction(learn.dls.decode(d), d, p, s).of(learn.dls.classes)
             for d, p, s in zip(decided, probs, std, strict=True)]
    return found[0] if alone else found
