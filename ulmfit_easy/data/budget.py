"""Batches of a bounded number of tokens, padding included, whatever the number of their rows."""

from collections.abc import Sequence

import numpy as np

NARROW = 0.9  # of the longest row of a bucket: so long are its others, unless they are few; a tenth is padding


def cut_by_tokens(lengths: Sequence[int] | np.ndarray, max_tokens: int) -> list[slice]:
    """Return the batches of rows in the order of falling lengths (N,): as many rows as fit, one at least."""
    batches, start = [], 0
    while start < len(lengths):
        stop = start + max(1, max_tokens // max(1, int(lengths[start])))
        batches.append(slice(start, stop))
        start = stop
    return batches


def buckets(lengths: np.ndarray, max_tokens: int) -> list[tuple[slice, int]]:
    """Return rows of like length, longest first, and into how many batches each bucket goes.

    Every batch of a bucket is within the budget, whichever of its rows it gets. So the rows of a bucket are grouped
    again each epoch, and the number of batches stays. Each batch has two rows at least, because batch normalisation
    needs them. So two rows may exceed the budget, and so may three, if the last one would be alone.

    Args:
        lengths: (N,) in falling order.
    """
    found, start, n = [], 0, len(lengths)
    while start < n:
        longest = max(1, int(lengths[start]))
        fit = max(2, max_tokens // longest)  # rows of a batch
        alike = int(np.searchsorted(-lengths, -NARROW * longest, side="right"))
        stop = min(n, max(alike, start + 2 * fit))  # two batches at least, so that rows meet anew
        if fit == 2 and stop < n:
            stop -= (stop - start) % 2  # pairs; the odd row goes to the next bucket
        if n - stop == 1:
            stop = n
        found.append((slice(start, stop), max(1, (stop - start) // 2 if fit == 2 else -(-(stop - start) // fit))))
        start = stop
    return found
