"""Moving pretrained word rows to another vocabulary."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Matched(NamedTuple):
    """Rows for a new vocabulary."""

    weight: Tensor  # (V, E)
    bias: Tensor | None  # (V,)
    n_matched: int  # words of the new vocabulary that the old one has


def match_embeds(old_weight: Tensor, old_bias: Tensor | None, old_vocab: Sequence[str],
                 new_vocab: Sequence[str]) -> Matched:
    """Rows for `new_vocab`: a known word keeps its old row, a new one gets the mean of all old rows.

    Words are matched by string, never by position.

    Args: old_weight: (V0, E) embedding; old_bias: (V0,) decoder bias or None; in the order of `old_vocab`.
    """
    stoi = {word: i for i, word in enumerate(old_vocab)}
    at = torch.tensor([stoi.get(word, -1) for word in new_vocab], device=old_weight.device)  # (V,), -1: new
    is_new = at < 0  # (V,)

    def move(rows: Tensor) -> Tensor:  # (V0, ...) -> (V, ...)
        moved = rows[at.clamp_min(0)]
        moved[is_new] = rows.mean(0)
        return moved

    bias = None if old_bias is None else move(old_bias)
    return Matched(move(old_weight), bias, int((~is_new).sum()))
