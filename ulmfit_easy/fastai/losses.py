"""The long tail of losses: no task takes one of them by default."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ulmfit_easy.learner.losses import CrossEntropyLossFlat, MSELossFlat
from ulmfit_easy.schema import number, takes

__all__ = ["FocalLoss", "FocalLossFlat", "L1LossFlat", "LabelSmoothingCrossEntropy", "LabelSmoothingCrossEntropyFlat"]


class LabelSmoothingCrossEntropyFlat(CrossEntropyLossFlat):
    """Cross-entropy with smoothed targets: `eps` of each is spread over all classes (Szegedy et al. 2015, section 7).

    The model becomes less sure, for example 99 % instead of 99.9 %. It is often better calibrated, and seldom less
    accurate.
    """

    def __init__(self, eps: float = 0.1, weight: Tensor | None = None, reduction: str = "mean", axis: int = -1):
        super().__init__(weight, reduction=reduction, axis=axis, label_smoothing=eps)


class LabelSmoothingCrossEntropy(LabelSmoothingCrossEntropyFlat):
    """`LabelSmoothingCrossEntropyFlat` with the classes in the second dimension, as in torch: (B, C) or (B, C, ...)."""

    def __init__(self, eps: float = 0.1, weight: Tensor | None = None, reduction: str = "mean"):
        super().__init__(eps, weight, reduction, axis=1)


class FocalLossFlat(CrossEntropyLossFlat):
    r"""Cross-entropy in which easy rows count little: $(1 - p)^\gamma \cdot -\log p$ for the target's probability p.

    Use it if one class is much rarer than another. "mean" divides by the number of rows, with class weights too.
    Rows with an unknown label are left out.
    Source: Lin et al. 2017, arXiv 1708.02002, where gamma is 2.
    """

    @takes({"gamma": number(0)})
    def __init__(self, gamma: float = 2.0, weight: Tensor | None = None, reduction: str = "mean", axis: int = -1):
        super().__init__(weight, reduction=reduction, axis=axis)
        self.gamma = gamma

    def _plain(self) -> bool:
        return False

    def _loss(self, logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        kept = target != self.ignore_index  # (N,)
        nll = F.cross_entropy(logits, target, ignore_index=self.ignore_index, reduction="none")  # (N,), 0 if not kept
        loss = (1 - torch.exp(-nll)) ** self.gamma * nll
        loss = loss if weight is None else loss * weight[target * kept]
        return loss if self.reduction == "none" else loss.sum() / (kept.sum() if self.reduction == "mean" else 1)


class FocalLoss(FocalLossFlat):
    """`FocalLossFlat` with the classes in the second dimension, as in torch: (B, C) or (B, C, ...)."""

    def __init__(self, gamma: float = 2.0, weight: Tensor | None = None, reduction: str = "mean"):
        super().__init__(gamma, weight, reduction, axis=1)


class L1LossFlat(MSELossFlat):
    """Mean absolute error of numbers (B,) or (B, n). Outliers have less influence than on the squared error."""

    function = staticmethod(F.l1_loss)
