"""The head of a classifier and of a regression: a text's states pooled into one vector, and linear layers."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.readers import Read
from ulmfit_easy.schema import ascending, checked, flag, list_of, optional, share, whole

MOST_LAYERS = 100


def masked_concat_pool(output: Tensor, mask: Tensor, words: Tensor | None = None) -> Tensor:
    r"""Return the last state, the maximum and the mean of the states of each row, without padding (concat pooling).

    $h_c = [h_T, \mathrm{maxpool}(H), \mathrm{meanpool}(H)]$ (Howard & Ruder 2018, section 3.3).

    Args:
        output: (B, T, E) states.
        mask: (B, T) bool, True on padding, wherever it stands.
        words: (B, T, E) the rows of the embedding. If given, their mean follows the three.

    Returns: (B, 3 E), or with `words` (B, 4 E). A row that is all padding gives zeros.
    """
    padding, n_real = mask.unsqueeze(2), (~mask).sum(1, keepdim=True)  # (B, T, 1), (B, 1)
    position = torch.arange(mask.shape[1], device=mask.device)  # (T,)
    last_at = position.masked_fill(mask, 0).amax(1)  # (B,)
    last = output[torch.arange(output.shape[0], device=mask.device), last_at]  # (B, E)
    highest = output.masked_fill(padding, -torch.inf).amax(1)  # (B, E)
    means = [x.masked_fill(padding, 0).sum(1) / n_real.clamp_min(1) for x in (output, words) if x is not None]
    return torch.cat([last, highest, *means], dim=1).masked_fill(n_real == 0, 0)  # (B, 3E) or (B, 4E)


class RowNorm(nn.BatchNorm1d):
    """Batch norm that takes its running statistics for a training batch of one row, which has no variance."""

    def forward(self, x: Tensor) -> Tensor:  # (B, features)
        if not self.training or len(x) > 1:
            return super().forward(x)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class SigmoidRange(nn.Module):
    """A sigmoid stretched over (low, high), for regression targets of a known range."""

    def __init__(self, low: float, high: float):
        super().__init__()
        self.low, self.high = checked({"y_range": ascending}, y_range=(low, high))["y_range"]

    def forward(self, x: Tensor) -> Tensor:
        return self.low + (self.high - self.low) * x.sigmoid()


class PoolingLinearClassifier(Head):
    """The classifier's head: concat pooling, then blocks of batch norm, dropout, linear layer and ReLU.

    The last block has no ReLU. A training batch with a single row is normalised by the running mean and variance.

    Args:
        dims: the widths of the layers, from 3 E (4 E with `pool_words`) to the number of classes, such as [1200, 50,
            2].
        ps: dropout probability 0-1 of each block.
        y_range: (low, high) of a regression target, or None.
        pool_words: also read the mean of the rows of the embedding.
    Raises: E603 if there is not one dropout for each block.
    Source: Howard & Ruder 2018, section 3.3. The linear layers have no bias, as in fastai 2.
    """

    SETTINGS = {**Head.SETTINGS, "lin_ftrs": optional(list_of(whole(), MOST_LAYERS)),
                "ps": optional(list_of(share, MOST_LAYERS)), "y_range": optional(ascending), "pool_words": flag}

    def __init__(self, dims: Sequence[int], ps: Sequence[float], y_range: tuple[float, float] | None = None,
                 pool_words: bool = False):
        super().__init__()
        if len(ps) != len(dims) - 1:
            raise ArgumentError("E603", received=f"{len(ps)} dropouts for widths {list(dims)}",
                                expected=f"{len(dims) - 1}, one for each linear layer",
                                fix="pass as many ps as lin_ftrs")
        blocks = [nn.Sequential(RowNorm(n_in), nn.Dropout(p), nn.Linear(n_in, n_out, bias=False), nn.ReLU())
                  for n_in, n_out, p in zip(dims[:-1], dims[1:], ps, strict=True)]
        del blocks[-1][3]
        bounded = [] if y_range is None else [SigmoidRange(*y_range)]
        self.layers, self.pool_words = nn.Sequential(*blocks, *bounded), pool_words

    @classmethod
    def over(cls, encoder: Encoder, n_out: int, output_p: float, lin_ftrs: Sequence[int] = (50,),
             ps: Sequence[float] | None = None, y_range: tuple[float, float] | None = None,
             pool_words: bool = False) -> "PoolingLinearClassifier":
        width = 3 * encoder.width + pool_words * encoder.embedding.embedding_dim
        ps = [0.1] * len(lin_ftrs) if ps is None else ps
        return cls([width, *lin_ftrs, n_out], [output_p, *ps], y_range, pool_words)

    def pooled(self, read: Read) -> Tensor:
        return masked_concat_pool(read.raw, read.mask, read.embedded if self.pool_words else None)

    def answer(self, pooled: Tensor) -> Tensor:
        return self.layers(pooled)
