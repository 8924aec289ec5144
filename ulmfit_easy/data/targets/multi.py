"""Any number of classes for each text."""

from collections.abc import Collection, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from ulmfit_easy.data.targets.category import CategoryBlock, CategoryTarget, all_classes
from ulmfit_easy.data.targets.labels import SEVERAL, plain_labels
from ulmfit_easy.data.targets.target import Block
from ulmfit_easy.errors import LabelError

if TYPE_CHECKING:
    from torch import Tensor


class MultiCategoryBlock(CategoryBlock):
    """Describe a target: any number of classes for each text.

    Args:
        encoded: the labels are zeros and ones already, in the order of `vocab`. Several label columns always are.
        vocab: the classes, in their order. By default those of the training labels.
        add_na: put a class `#na#` first. Labels that training did not have get it.
    """

    kind = "multi"

    def __init__(self, encoded: bool = False, vocab: Sequence | None = None, add_na: bool = False):
        super().__init__(vocab, add_na=add_na)
        self.encoded = encoded


class MultiCategoryTarget(CategoryTarget):
    """Any number of classes for each text, as zeros and ones."""

    task, one_class, blank = "multi", False, None  # an empty field is an empty set of classes

    @classmethod
    def read(cls, columns: Sequence, values: list[list], delim: str | None, y_block: str | Block | None,
             rows: Collection | None) -> list:
        cls.check_given(values, rows)
        return _encoded(columns, values) if len(values) > 1 else [_split(v, delim) for v in values[0]]

    @classmethod
    def learned(cls, labels: Sequence[Sequence], classes: Sequence | None = None,
                block: str | Block | None = None) -> "MultiCategoryTarget":
        """Return the target whose classes are those of the training labels, or `classes`. E201 for none."""
        classes = all_classes(dict.fromkeys(plain_labels(chain.from_iterable(labels))), classes, block)
        if not len(classes):
            raise LabelError("E201", received="no class at all in the training set", expected="one or more",
                             fix="check that these are the labels; TextDataLoaders takes label_col= and "
                                 "label_delim= to find them")
        return cls(classes)

    def encode(self, labels: Sequence[Sequence], unseen: int | None = None, rows: Collection | None = None,
               argument: str = "labels") -> np.ndarray:
        """Zeros and ones, (N, C) float32. A label that is no class is E203 or, with `unseen`, left out."""
        at = np.repeat(np.arange(len(labels)), [len(each) for each in labels])
        flat = list(chain.from_iterable(labels))
        columns = CategoryTarget.encode(self, flat, unseen if unseen is None else -1,
                                        at if rows is None else np.asarray(rows)[at], argument)
        y = np.zeros((len(labels), self.c), dtype=np.float32)  # (N, C)
        y[at[columns >= 0], columns[columns >= 0]] = 1.0
        return y

    def decode(self, flags: "Tensor") -> list:
        """Return the names of the classes whose flag is true."""
        return [name for name, flag in zip(self.classes, flags, strict=True) if bool(flag)]


def _encoded(columns: Sequence, values: list[list]) -> list:
    flags = {0: False, 1: True, "0": False, "1": True}
    if any(v not in flags for column in values for v in column):
        raise LabelError("E207", received="several label columns with values other than 0 and 1",
                         expected="a column of zeros and ones for each class",
                         fix='name one column, or make them 0 and 1; TextDataLoaders also takes '
                             'y_block="regression" to predict numbers')
    names = [column.name for column in columns]
    return [[name for name, v in zip(names, row, strict=True) if flags[v]]
            for row in zip(*values, strict=True)]


def _split(value: object, delim: str | None) -> list:
    if isinstance(value, SEVERAL):
        return plain_labels(value)
    return [part.strip() for part in str(value).split(delim) if part.strip()] if delim else [value]
