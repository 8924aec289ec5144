"""A target that the library does not know: a tag for each word of a text, written with spaces between them."""

from itertools import chain

import numpy as np

from ulmfit_easy.data.targets import CategoryTarget


class TagTarget(CategoryTarget):
    """One tag for each token."""

    task, per, one_class = "tags", "token", False

    @classmethod
    def read(cls, columns, values, delim, y_block, rows):
        cls.check_given(values, rows)
        return [cell.split() for cell in values[0]]

    @classmethod
    def learned(cls, labels, classes=None, block=None):
        return cls(sorted({*chain(*labels)}) if classes is None else classes)

    def encode(self, labels, unseen=None, rows=None, argument="labels"):
        at = np.repeat(np.arange(len(labels)) if rows is None else rows, [len(tags) for tags in labels])
        numbers = iter(super().encode([*chain(*labels)], unseen, at, argument))
        y = np.full((len(labels), max(map(len, labels))), -100)  # (N, T)
        for row, tags in zip(y, labels, strict=True):
            row[:len(tags)] = [next(numbers) for _ in tags]
        return y

    def decode(self, decision):
        return [self.classes[i] for i in decision.tolist() if i >= 0]
