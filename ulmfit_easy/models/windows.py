"""Texts with more tokens than an encoder has positions: windows over them, or their head and tail."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor


class Window(NamedTuple):
    """A window of r rows of a batch, which an encoder reads at once."""

    rows: Tensor  # (r,) of the batch, those that reach this window
    at: Tensor  # (r, t) the positions that it reads, those beyond a row's end too
    lengths: Tensor  # (r,) how many of them are real
    kept: Tensor  # (r, t) bool, those whose states count: each position of a row in one of its windows


def windows(lengths: Tensor, shared: Tensor, span: int, stride: int = -1) -> Iterator[Window]:
    """Yield the windows of `span` tokens of texts with `lengths` (B,) tokens, as many as the longest text needs.

    The first `shared` (B,) tokens of a text, such as a question, begin each of its windows, up to half of it. The
    windows of such a text overlap by a quarter. Other texts are cut without overlap. With a `stride` from 0 on, all
    windows overlap by that many tokens. A token has the state of the window in which it has more context. This is the
    "max context" of BERT's code for SQuAD (Devlin et al. 2018).
    """
    shared = shared.clamp(max=span // 2)  # (B,)
    overlap = (shared > 0) * (span // 4) if stride < 0 else torch.full_like(shared, stride)  # (B,)
    size = span - shared  # (B,) tokens that are not shared
    step = size - overlap
    n_windows = 1 + ((lengths - span).clamp_min(0) + step - 1) // step  # (B,)
    place = torch.arange(span, device=lengths.device)  # (span,)
    for k in range(int(n_windows.max())):
        rows = (n_windows > k).nonzero().squeeze(1)  # (r,)
        begin, first, length = (each[rows].unsqueeze(1) for each in (shared, shared + k * step, lengths))  # (r, 1)
        at = torch.where(place < begin, place, first + place - begin)  # (r, span)
        n_real = (at < length).sum(1)
        at = at[:, :int(n_real.max())]
        half = overlap[rows].unsqueeze(1) // 2
        low = first + half if k else torch.zeros_like(first)
        high = torch.where(n_windows[rows].unsqueeze(1) > k + 1, first + step[rows].unsqueeze(1) + half, length)
        yield Window(rows, at, n_real, (at >= low) & (at < high))


def head_and_tail(ids: Tensor, lengths: Tensor, span: int) -> tuple[Tensor, Tensor]:
    """Return ids (B, T) and lengths (B,) without the middle of each text that has more than `span` tokens.

    A quarter of them is the beginning: of 512, the first token, such as `[CLS]`, and 128 others. The rest is the end.

    Source: Sun et al. 2019 (arXiv 1905.05583), section 5.3.1: the first 128 and the last 382 of 510.
    """
    place = torch.arange(ids.shape[1], device=ids.device)[:span]
    left_out = (lengths - span).clamp_min(0).unsqueeze(1)  # (B, 1)
    return ids.gather(1, torch.where(place <= span // 4, place, place + left_out)), lengths.clamp_max(span)
