"""Losses that also know how to turn a prediction into probabilities (`activation`) and a decision (`decodes`)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ulmfit_easy.errors import TrainingError
from ulmfit_easy.models.softmax import LMOutput, lm_cross_entropy


class CrossEntropyLossFlat:
    """Cross-entropy of class logits (B, C) against classes (B,); for a language model, of its output in chunks.

    Args:
        weight: (C,) weights of the classes, or None; not for a language model.
        label_smoothing: share of the target spread over all classes, in [0, 1); not for a language model.
        reduction: "mean", "sum" or "none"; a language model's is always the mean.
    """

    def __init__(self, weight: Tensor | None = None, label_smoothing: float = 0.0, reduction: str = "mean"):
        self.weight, self.label_smoothing, self.reduction = weight, label_smoothing, reduction

    def __call__(self, pred, target: Tensor) -> Tensor:
        if isinstance(pred, LMOutput):
            if self.weight is not None or self.label_smoothing:
                raise TrainingError("E502", received="class weights or label smoothing for a language model",
                                    expected="plain cross-entropy, whose exp is the perplexity",
                                    fix="leave weight= and label_smoothing= out")
            return lm_cross_entropy(pred, target)
        weight = None if self.weight is None else self.weight.to(pred)
        return F.cross_entropy(pred.flatten(0, -2).float(), target.flatten(), weight=weight,
                               label_smoothing=self.label_smoothing, reduction=self.reduction)

    def activation(self, logits: Tensor) -> Tensor:
        """Probabilities (B, C)."""
        return logits.softmax(-1)

    def decodes(self, logits: Tensor) -> Tensor:
        """The likeliest class (B,)."""
        return logits.argmax(-1)


class BCEWithLogitsLossFlat:
    """Binary cross-entropy of each class on its own, (B, C) against (B, C): for texts with several labels."""

    def __init__(self, thresh: float = 0.5, pos_weight: Tensor | None = None, reduction: str = "mean"):
        self.thresh, self.pos_weight, self.reduction = thresh, pos_weight, reduction

    def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
        weight = None if self.pos_weight is None else self.pos_weight.to(pred)
        return F.binary_cross_entropy_with_logits(pred.float(), target.float(), pos_weight=weight,
                                                  reduction=self.reduction)

    def activation(self, logits: Tensor) -> Tensor:
        """A probability for each class (B, C)."""
        return logits.sigmoid()

    def decodes(self, logits: Tensor) -> Tensor:
        """Which classes are likelier than the threshold (B, C)."""
        return logits.sigmoid() > self.thresh


class MSELossFlat:
    """Mean squared error, (B,) or (B, n) against the same, for regression."""

    def __init__(self, reduction: str = "mean"):
        self.reduction = reduction

    def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(pred.float().reshape(-1), target.float().reshape(-1), reduction=self.reduction)

    def activation(self, pred: Tensor) -> Tensor:
        """The prediction itself."""
        return pred

    decodes = activation


def loss_for(task: str):
    """The loss that fits the targets: `lm` and `single` cross-entropy, `multi` binary, `regression` squared error."""
    return {"lm": CrossEntropyLossFlat, "single": CrossEntropyLossFlat, "multi": BCEWithLogitsLossFlat,
            "regression": MSELossFlat}[task]()


def activation_of(loss_func):
    """The loss's own activation, or the identity for a plain function."""
    return getattr(loss_func, "activation", torch.nn.Identity())


def decodes_of(loss_func):
    """The loss's own decision rule, or the identity for a plain function."""
    return getattr(loss_func, "decodes", torch.nn.Identity())
