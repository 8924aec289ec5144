"""A target that the library does not know: a label for each word of a text, written with spaces between them."""

from itertools import chain

import numpy as np

from ulmfit_easy.data.targets import CategoryTarget
from ulmfit_easy.errors import LabelError, in_rows


class ToyTarget(CategoryTarget):
    """One label for each word, which all its tokens have."""

    task, per, places, one_class = "toy", "token", "words", False

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

    @classmethod
    def check_texts(cls, texts, labels, rows):
        if bad := [row for row, text, each in zip(rows, texts, labels, strict=True) if len(each) != len(text.split())]:
            raise LabelError("E207", received=in_rows(bad), expected="a label for each word", fix="count them")

    def aligned(self, y, places, backwards):
        aligned = np.full((len(y), max(map(len, places))), -100)  # (N, T)
        for row, numbers, words in zip(aligned, y, places, strict=True):
            row[:len(words)] = np.where(words >= 0, numbers[words], -100)
        return aligned

    def decode(self, decision):
        return [self.classes[i] for i in decision.tolist() if i >= 0]
