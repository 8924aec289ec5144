"""Batches of a bounded number of tokens, padding included, whatever the number of their rows."""

from collections.abc import Sequence

import numpy as np

NARROW = 0.9  # of the longest row of a bucket: so long are its others, unless they are few; a tenth is padding


def cut_by_tokens(lengths: Sequence[int] | np.ndarray, max_tokens: int, least: int = 1) -> list[slice]:
    """Return the batches of rows in the order of falling lengths (N,): as many as fit, at least `least`."""
    batches, start, n = [], 0, len(lengths)
    while start < n:
        stop = start + max(least, max_tokens // max(1, int(lengths[start])))
        if n - stop < least:
            stop = n
        batches.append(slice(start, stop))
        start = stop
    return batches


def buckets(lengths: np.ndarray, max_tokens: int, least: int = 2) -> list[tuple[slice, int]]:
    """Return rows of like length, longest first, and into how many batches each bucket goes.

    Every batch of a bucket is within the budget, whichever of its rows it gets. So the rows of a bucket are grouped
    again each epoch, and the number of batches stays. Each batch has two rows at least, because batch normalisation
    needs them. So two rows may exceed the budget, and so may three, if the last one would be alone.

    Args:
        lengths: (N,) in falling order.
        least: the rows of a batch at least. More than two for more than two processes, which share each batch.
    """
    found, start, n = [], 0, len(lengths)
    while start < n:
        longest = max(1, int(lengths[start]))
        fit = max(least, max_tokens // longest)  # rows of a batch
        alike = int(np.searchsorted(-lengths, -NARROW * longest, side="right"))
        stop = min(n, max(alike, start + 2 * fit))  # two batches at least, so that rows meet anew
        if fit == least and stop < n:
            stop -= (stop - start) % least  # pairs; the odd row goes to the next bucket
        if n - stop < least:
            stop = n
        found.append((slice(start, stop), max(1, min(-(-(stop - start) // fit), (stop - start) // least))))
        start = stop
    return found
