"""Adaptive softmax: frequent words are decided first, rare ones in groups behind them, with narrower weights.

Source: Grave et al. 2017 (arXiv 1609.04309), as torch implements it.
"""

import torch
from torch import Tensor, nn

from ulmfit_easy.errors import TrainingError
from ulmfit_easy.models.precision import at_least_float32

CUTOFFS = (2000, 10000)  # ids, in the order of frequency, at which a new group begins
SHRINK = 4.0  # how much narrower each group's weights are than those of the group before


class AdaptiveSoftmax(nn.AdaptiveLogSoftmaxWithLoss):
    """From states (..., E) to log-probabilities (..., V), exact; in training only the groups that occur are computed.

    Its weights are its own: they cannot be tied to an embedding, and a rare word's are narrower than E.

    Args:
        n_hid, n_out: E and V; words must be numbered by frequency, as in a `Vocab`.
    Raises: E502 where V is too small for a second group, or E for the last one.
    """

    def __init__(self, n_hid: int, n_out: int):
        cutoffs = [c for c in CUTOFFS if c < n_out]
        if not cutoffs:
            raise TrainingError("E502", received=f"adaptive softmax for {n_out:,} words",
                                expected=f"more than {CUTOFFS[0]:,}", fix='pass softmax="full": it is fast for so few')
        if n_hid < SHRINK ** len(cutoffs):
            raise TrainingError("E502", received=f"adaptive softmax over states of width {n_hid}",
                                expected=f"{SHRINK ** len(cutoffs):.0f} or more, so that rare words have weights",
                                fix='raise emb_sz, or pass softmax="full"')
        super().__init__(n_hid, n_out, cutoffs, div_value=SHRINK, head_bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Log-probabilities (..., V)."""
        return self.log_prob(x.reshape(-1, x.shape[-1])).view(*x.shape[:-1], self.n_classes)

    def loss(self, x: Tensor, targets: Tensor, ignore: int) -> Tensor:
        """The mean cross-entropy of states (N, E) against targets (N,), `ignore` left out."""
        keep = torch.nonzero(targets != ignore).squeeze(1)
        with torch.autocast(x.device.type, enabled=False):  # its softmaxes want float32
            return super().forward(x[keep].to(at_least_float32(x)), targets[keep]).loss
