"""The loss and the metric of a masked language model that reads pairs."""

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from ulmfit_easy.learner.losses import CrossEntropyLossFlat
from ulmfit_easy.learner.metrics.metric import AvgMetric
from ulmfit_easy.models.heads.next_sentence import PairOutput

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner

__all__ = ["NextSentenceAccuracy"]


class PairLoss(CrossEntropyLossFlat):
    """The mean loss of the hidden tokens and that of the pairs, added up (Devlin et al. 2019, appendix A.2)."""

    def __call__(self, pred: PairOutput, target: Tensor) -> Tensor:  # type: ignore[override]  # of pairs only
        return super().__call__(pred, target) + F.cross_entropy(pred.pairs.float(), pred.follows)


class NextSentenceAccuracy(AvgMetric):
    """The accuracy of next-sentence prediction: does the second part follow the first? Guessing gives 1/2."""

    def __init__(self):
        self._name = "next_sentence_accuracy"
        self.reset()

    def accumulate(self, learn: "Learner") -> None:
        right = learn.pred.pairs.argmax(1) == learn.pred.follows  # (B,)
        self.total, self.count = self.total + float(right.sum()), self.count + len(right)
