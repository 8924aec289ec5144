"""Concat pooling: a document's states in one vector."""

import torch
from torch import Tensor


def masked_concat_pool(output: Tensor, mask: Tensor, words: Tensor | None = None) -> Tensor:
    r"""The last, the largest and the mean state of each row, over real tokens only.

    $h_c = [h_T, \mathrm{maxpool}(H), \mathrm{meanpool}(H)]$ (Howard & Ruder 2018, section 3.3).

    Args:
        output: (B, T, E) states.
        mask: (B, T) bool, True on padding, wherever it stands.
        words: (B, T, E) the words' own rows, whose mean is to stand after these three.

    Returns: (B, 3E), with `words` (B, 4E). A row of nothing but padding gives zeros.
    """
    padding, n_real = mask.unsqueeze(2), (~mask).sum(1, keepdim=True)  # (B, T, 1), (B, 1)
    position = torch.arange(mask.shape[1], device=mask.device)  # (T,)
    last_at = position.masked_fill(mask, 0).amax(1)  # (B,)
    last = output[torch.arange(output.shape[0], device=mask.device), last_at]  # (B, E)
    highest = output.masked_fill(padding, -torch.inf).amax(1)  # (B, E)
    means = [x.masked_fill(padding, 0).sum(1) / n_real.clamp_min(1) for x in (output, words) if x is not None]
    return torch.cat([last, highest, *means], dim=1).masked_fill(n_real == 0, 0)  # (B, 3E) or (B, 4E)
