"""Labels as plain Python values."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from ulmfit_easy.schema import plain

SEVERAL = (list, tuple, set, frozenset)  # of labels, or of numbers, in one cell


def plain_labels(labels: Iterable) -> list:
    """Labels as Python values: scalars of other libraries become `int`, `float`, `bool` or `str`, arrays lists."""
    return [label if isinstance(label, np.datetime64 | np.timedelta64) else plain(label) for label in labels]


def unpacked(labels: list) -> list:
    """Labels that each stand in a list of their own, as annotation tools write them, without these lists."""
    if labels and all(isinstance(label, SEVERAL) and len(label) == 1 for label in labels):
        return plain_labels(next(iter(label)) for label in labels)
    return labels


def twins(labels: Iterable) -> list[list]:
    """Return groups of labels that are the same but for blanks and letter case."""
    alike = defaultdict(list)
    for label in labels:
        alike[" ".join(str(label).casefold().split())].append(label)
    return [group for group in alike.values() if len(group) > 1]
