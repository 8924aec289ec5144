"""Labels to numbers and back: one class, several classes or numbers for each text."""

import warnings
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain

import numpy as np

from ulmfit_easy.data.category_map import NA, CategoryMap, in_order
from ulmfit_easy.data.sources import is_missing
from ulmfit_easy.errors import LabelError, some
from ulmfit_easy.reprs import with_settings
from ulmfit_easy.values import names, plain

SEVERAL = (list, tuple, set, frozenset)  # of labels, or of numbers, in one cell


class CategoryBlock:
    """Marks a target of one class for each text.

    Args:
        vocab: the classes, in their order; by default those of the training labels.
        sort: put those of the training labels in sorted order, else in the order in which they come first.
        add_na: have a class `#na#`, first of all, for labels that are missing or that training never saw.
    """

    kind = "category"

    __repr__ = with_settings

    def __init__(self, vocab: Sequence | None = None, sort: bool = True, add_na: bool = False):
        self.vocab, self.sort, self.add_na = vocab, sort, add_na


class MultiCategoryBlock(CategoryBlock):
    """Marks a target of any number of classes for each text.

    `encoded`: what a getter gives are zeros and ones, in the order of `vocab`. (Several label columns always are.)
    """

    kind = "multi"

    def __init__(self, encoded: bool = False, vocab: Sequence | None = None, add_na: bool = False):
        super().__init__(vocab, add_na=add_na)
        self.encoded = encoded


class RegressionBlock(CategoryBlock):
    """Marks a target of one or more numbers for each text; `n_out` is how many there must be, if it is given."""

    kind = "regression"

    def __init__(self, n_out: int | None = None):
        super().__init__()
        self.n_out = n_out


class CategoryTarget:
    """One class for each text; `classes` are Python values in sorted order unless given."""

    task, kind = "single", "category"

    def __init__(self, classes: Sequence):
        self.classes = CategoryMap(classes, sort=False)
        self.o2i = self.classes.o2i

    @classmethod
    def learned(cls, labels: Sequence, classes: Sequence | None = None, block=None) -> "CategoryTarget":
        """The target with the classes of the training labels, or `classes`; E201 for fewer than two.

        `block`, a `CategoryBlock`, may ask for another order, or for the class `#na#`.
        """
        labels = dict.fromkeys(plain_labels(labels))
        target = cls(_classes(labels, classes, block))
        if len(labels) < 2 or len(target.classes) < 2:
            raise LabelError("E201", received=f"{len(labels)} class in the training set: "
                             f"{some(map(repr, labels))}", expected="two or more",
                             fix="check that these are the labels, and train on two classes or more")
        return target

    @property
    def c(self) -> int:
        return len(self.classes)

    @property
    def add_na(self) -> bool:
        """True where labels that are missing have a class, as `CategoryBlock(add_na=True)` asks for."""
        return self.classes[:1] == [NA]

    def encode(self, labels: Sequence, unseen: int | None = None, rows: Sequence | None = None,
               argument: str = "labels") -> np.ndarray:
        """Class numbers, (N,) int64; a label that is no class is E203 or, where `unseen` is given, that.

        Args:
            rows: the row numbers that an error shall name, (N,).
            argument: the one that takes every class, for the error.
        """
        labels = plain_labels(labels)
        if self.add_na:
            labels = [label if label in self.o2i else NA for label in labels]
        new = {label for label in labels if label not in self.o2i}
        if new and unseen is None:
            raise self._unseen(labels, new, range(len(labels)) if rows is None else rows, argument)
        if new:
            warnings.warn(f"labels {some(map(repr, in_order(new)))} are none of the classes; their rows "
                          "count as wrong", stacklevel=3)
        return np.array([self.o2i.get(label, unseen) for label in labels], dtype=np.int64)

    def _unseen(self, labels, new, rows, argument):
        rows = [row for row, label in zip(rows, labels, strict=True) if label in new]
        twins = [c for c in self.classes if str(c) in {str(label) for label in new}]
        fix = f"put each class into training too, leave these rows out, or pass every class as {argument}=[...]"
        if twins:
            fix = f"give labels one type; {some(map(repr, twins))} in training is {type(twins[0]).__name__}"
        return LabelError("E203", received=f"labels that are not classes: {some(map(repr, in_order(new)))} "
                          f"({len(rows):,} times, rows {some(rows)})",
                          expected=f"one of {some(map(repr, self.classes), 20)}", fix=fix)

    def decode(self, index: int):
        """The name of a class; "?" for a number below 0, which stands for a label that is no class."""
        return "?" if index < 0 else self.classes[int(index)]


class MultiCategoryTarget(CategoryTarget):
    """Any number of classes for each text, as zeros and ones."""

    task, kind = "multi", "multi"

    @classmethod
    def learned(cls, labels: Sequence[Sequence], classes: Sequence | None = None,
                block=None) -> "MultiCategoryTarget":
        """The target whose classes are those of the training labels, or `classes`; E201 for none."""
        classes = _classes(dict.fromkeys(plain_labels(chain.from_iterable(labels))), classes, block)
        if not len(classes):
            raise LabelError("E201", received="no class at all in the training set", expected="one or more",
                             fix="check that these are the labels; TextDataLoaders takes label_col= and "
                                 "label_delim= to find them")
        return cls(classes)

    def encode(self, labels: Sequence[Sequence], unseen: int | None = None, rows: Sequence | None = None,
               argument: str = "labels") -> np.ndarray:
        """Zeros and ones, (N, C) float32; a label that is no class is E203 or, with `unseen`, left out."""
        at = np.repeat(np.arange(len(labels)), [len(each) for each in labels])
        flat = list(chain.from_iterable(labels))
        columns = CategoryTarget.encode(self, flat, unseen if unseen is None else -1,
                                        at if rows is None else np.asarray(rows)[at], argument)
        y = np.zeros((len(labels), self.c), dtype=np.float32)  # (N, C)
        y[at[columns >= 0], columns[columns >= 0]] = 1.0
        return y

    def decode(self, flags: Sequence) -> list:
        """The names of the classes whose flag is true."""
        return [name for name, flag in zip(self.classes, flags, strict=True) if bool(flag)]


class RegressionTarget:
    """One or more numbers for each text."""

    task, kind, classes = "regression", "regression", None

    def __init__(self, c: int = 1):
        self.c = c

    @classmethod
    def learned(cls, labels: Sequence, classes: None = None, block=None) -> "RegressionTarget":
        """The target with as many numbers as a row of labels has; E207 if `block` names another number."""
        n, wanted = np.shape(labels[0])[0] if np.ndim(labels[0]) else 1, getattr(block, "n_out", None)
        if wanted not in (None, n):
            raise LabelError("E207", received=f"{n} numbers for each text", expected=f"n_out={wanted}",
                             fix="name as many label columns, or leave n_out out")
        return cls(n)

    def encode(self, labels: Sequence, unseen: int | None = None, rows: Sequence | None = None,
               argument: str = "labels") -> np.ndarray:
        """(N,) float32, or (N, n) where rows are lists; E204 with the rows that are not finite numbers."""
        values = np.array([_numbers(label) for label in labels], dtype=np.float32).reshape(len(labels), -1)
        if len(bad := np.flatnonzero(~np.isfinite(values).all(1))):
            bad = bad if rows is None else np.asarray(rows)[bad]
            raise LabelError("E204", received=f"{len(bad):,} targets that are no finite number, rows "
                             f"{some(bad)}", expected="a finite number in each row",
                             fix="drop or fill these rows")
        return values if self.c > 1 else values[:, 0]

    def decode(self, value):
        """A number, or a list of them where a text has several."""
        numbers = np.asarray(value).reshape(-1).tolist()
        return numbers[0] if self.c == 1 else numbers


def _numbers(label):
    if isinstance(label, list | tuple):
        return [_numbers(v) for v in label]
    try:
        return float(label)
    except (TypeError, ValueError):
        return np.nan


def _classes(seen: dict, classes: Sequence | None, block) -> list:
    """All classes: those given, else those seen in training, in the order that a `CategoryBlock` asks for."""
    if classes is None:
        classes = in_order(seen) if getattr(block, "sort", True) else seen
    classes = in_order(classes) if isinstance(classes, set | frozenset) else classes  # a set's order is no one's choice
    na = [NA] if getattr(block, "add_na", False) else []
    classes = plain_labels(classes)
    try:
        classes = na + [label for label in names(classes) if label not in na]
    except ValueError as e:
        raise LabelError("E207", received=f"the classes {some(f'{label!r:.40}' for label in classes)}",
                         expected=f"as a class {e}", fix="turn labels into names first, as astype(str) does") from e
    return classes


def twins(labels) -> list[list]:
    """Groups of labels that look alike: blanks and letter case aside they are the same."""
    alike = defaultdict(list)
    for label in labels:
        alike[" ".join(str(label).casefold().split())].append(label)
    return [group for group in alike.values() if len(group) > 1]


def plain_labels(labels) -> list:
    """Labels as Python values: scalars of other libraries become `int`, `float`, `bool` or `str`, arrays lists."""
    return [label if isinstance(label, np.datetime64 | np.timedelta64) else plain(label) for label in labels]


TARGETS = {target.task: target for target in (CategoryTarget, MultiCategoryTarget, RegressionTarget)}


def read_labels(columns: Sequence, *, delim: str | None = None, y_block=None,
                rows: Sequence | None = None) -> tuple[type, list]:
    """The kind of target and the labels of each row, from one or more label columns.

    Several columns are numbers with `y_block="regression"`, else zeros and ones with the names of the columns
    as classes; `delim` splits text into several classes. Else one column is one class for each text.
    `rows` are the row numbers that an error shall name, (N,). `y_block` is a name, a block, or the target of training.

    Raises: E202 with the rows of missing labels; E207 for fractions that nobody called classes or numbers, and
        for lists where a text has one class.
    """
    kind = getattr(y_block, "kind", y_block) or ("multi" if delim or len(columns) > 1 else "category")
    if kind not in ("category", "multi", "regression"):
        raise LabelError("E207", received=f"y_block={y_block!r}",
                         expected='"category", "multi" or "regression"',
                         fix="choose one of the three, or CategoryBlock() and its sisters")
    values = [plain_labels(column) for column in columns]
    if getattr(y_block, "add_na", False):
        values = [[NA if is_missing(v) else v for v in column] for column in values]
    if kind == "regression":
        return RegressionTarget, values[0] if len(values) == 1 else list(zip(*values, strict=True))
    blank = "" if kind == "category" else None  # an empty field is no class, but may be an empty set of them
    bad = sorted({i for column in values for i, v in enumerate(column)
                  if is_missing(v) or (isinstance(v, str) and v.strip() == blank)})
    if bad:
        bad = bad if rows is None else np.asarray(rows)[bad]
        raise LabelError("E202", received=f"{len(bad):,} missing labels, rows {some(bad)}",
                         expected="a label for each text", fix="drop or fill these rows")
    if kind == "category":
        return CategoryTarget, _one_class(values, y_block)
    if len(values) > 1:
        return MultiCategoryTarget, _encoded(columns, values)
    return MultiCategoryTarget, [_split(v, delim) for v in values[0]]


def _one_class(values, y_block) -> list:
    if len(values) > 1:
        raise LabelError("E207", received=f"{len(values)} label columns for one class each", expected="one",
                         fix='name one column; TextDataLoaders also takes y_block="multi"')
    values = [unpacked(values[0])]
    if any(isinstance(v, SEVERAL) for v in values[0]):
        raise LabelError("E207", received="lists of labels for one class each", expected="one label for each text",
                         fix='for several labels a text pass y_block="multi" to TextDataLoaders.from_df, or '
                             "MultiCategoryBlock() to a DataBlock")
    if y_block is None and any(isinstance(v, float) and not v.is_integer() for v in values[0]):
        raise LabelError("E207", received="labels with fractions",
                         expected="names of classes, or numbers to predict",
                         fix='turn them into names first, as astype(str) does; TextDataLoaders also takes '
                             'y_block="regression" to predict numbers, y_block="category" for classes')
    return values[0]


def _encoded(columns, values) -> list:
    flags = {0: False, 1: True, "0": False, "1": True}
    if any(v not in flags for column in values for v in column):
        raise LabelError("E207", received="several label columns with values other than 0 and 1",
                         expected="a column of zeros and ones for each class",
                         fix='name one column, or make them 0 and 1; TextDataLoaders also takes '
                             'y_block="regression" to predict numbers')
    names = [column.name for column in columns]
    return [[name for name, v in zip(names, row, strict=True) if flags[v]]
            for row in zip(*values, strict=True)]


def unpacked(labels: Sequence) -> list:
    """Labels that each stand in a list of their own, as annotation tools write them, without these lists."""
    if labels and all(isinstance(label, SEVERAL) and len(label) == 1 for label in labels):
        return plain_labels(next(iter(label)) for label in labels)
    return labels


def _split(value, delim) -> list:
    if isinstance(value, SEVERAL):
        return plain_labels(value)
    return [part.strip() for part in str(value).split(delim) if part.strip()] if delim else [value]
