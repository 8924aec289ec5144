"""One class for each text, and class names in their order with their numbers."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ulmfit_easy.data.targets.labels import SEVERAL, plain_labels, unpacked
from ulmfit_easy.data.targets.target import Block, Target
from ulmfit_easy.errors import LabelError, counted, in_rows, some
from ulmfit_easy.reprs import with_settings
from ulmfit_easy.schema import names
from ulmfit_easy.user_code import warn_user

if TYPE_CHECKING:
    from torch import Tensor

NA = "#na#"  # the class of texts without a known label, as in fastai


class CategoryMap(list):
    """The list of class names, as in `dls.vocab[1]`. A mask or a list of numbers chooses several at once.

    `classes[probs > 0.5]` returns the names at which the mask is true. `classes.o2i["pos"]` is the number of a name.

    Args:
        col: labels, with repetitions. The categories are taken from a categorical Series.
        sort: put the classes in sorted order. With False they stay in the order in which `col` first has them.
        add_na: put a class `#na#` first. Every unknown name gets its number, 0.
        strict: leave out categories that no label has.
    """

    def __init__(self, col: Iterable = (), sort: bool = True, add_na: bool = False, strict: bool = False):
        labels = [label for label in dict.fromkeys(col) if label == label]  # NaN is no class
        if hasattr(col, "cat"):
            labels = [label for label in col.cat.categories if label in labels or not strict]
        elif sort:
            labels = in_order(labels)
        super().__init__([NA, *labels] if add_na else labels)
        self.add_na = add_na

    @property
    def o2i(self) -> dict:
        """The number of each class by its name."""
        numbers = {name: i for i, name in enumerate(self)}
        return defaultdict(int, numbers) if self.add_na else numbers

    def __getitem__(self, i: Any) -> Any:
        i = i.tolist() if hasattr(i, "tolist") else i
        if not isinstance(i, list):
            return super().__getitem__(i)
        if all(isinstance(flag, bool) for flag in i) and i:
            return [name for name, flag in zip(self, i, strict=True) if flag]
        return self.map_ids(i)

    def map_objs(self, objs: Iterable) -> list[int]:
        """Return the numbers of some names."""
        o2i = self.o2i
        return [o2i[obj] for obj in objs]

    def map_ids(self, ids: Iterable) -> list:
        """Return the names of some numbers."""
        return [self[int(i)] for i in ids]


def in_order(labels: Iterable) -> list:
    """Return labels sorted. Of mixed types by type first."""
    try:
        return sorted(labels)
    except TypeError:
        return sorted(labels, key=lambda label: (type(label).__name__, str(label)))


class CategoryBlock:
    """Describe a target: one class for each text.

    Args:
        vocab: the classes, in their order. By default those of the training labels.
        sort: put the classes in sorted order. With False they stay in the order in which the labels first have them.
        add_na: put a class `#na#` first. Missing labels, and labels that training did not have, get it.
    """

    kind = "category"

    __repr__ = with_settings

    def __init__(self, vocab: Sequence | None = None, sort: bool = True, add_na: bool = False):
        self.vocab, self.sort, self.add_na = vocab, sort, add_na


class CategoryTarget(Target):
    """One class for each text. `classes` are Python values in sorted order unless given."""

    task, kind = "single", "category"
    blank: str | None = ""
    of_unseen = "their rows count as wrong"
    has_classes = one_class = True
    classes: CategoryMap
    c: int

    def __init__(self, classes: Sequence):
        self.classes = CategoryMap(classes, sort=False)
        self.o2i, self.c = self.classes.o2i, len(self.classes)

    @classmethod
    def read(cls, columns: Sequence, values: list[list], delim: str | None, y_block: str | Block | None,
             rows: Collection | None) -> list:
        cls.check_given(values, rows)
        if len(values) > 1:
            raise LabelError("E207", received=f"{len(values)} label columns for one class each",
                             expected="one label column",
                             fix='name one column; TextDataLoaders also takes y_block="multi"')
        labels = unpacked(values[0])
        if any(isinstance(v, SEVERAL) for v in labels):
            raise LabelError("E207", received="lists of labels for one class each", expected="one label for each text",
                             fix='for several labels a text pass y_block="multi" to TextDataLoaders.from_df, or '
                                 "MultiCategoryBlock() to a DataBlock")
        if y_block is None and any(isinstance(v, float) and not v.is_integer() for v in labels):
            raise LabelError("E207", received="labels with fractions",
                             expected="names of classes, or numbers to predict",
                             fix='turn them into names first, as astype(str) does; TextDataLoaders also takes '
                                 'y_block="regression" to predict numbers, y_block="category" for classes')
        return labels

    @classmethod
    def learned(cls, labels: Sequence, classes: Sequence | None = None,
                block: str | Block | None = None) -> "CategoryTarget":
        """Return the target with the classes of the training labels, or `classes`. E201 for fewer than two.

        `block`, a `CategoryBlock`, may ask for another order, or for the class `#na#`.
        """
        seen = dict.fromkeys(plain_labels(labels))
        target = cls(all_classes(seen, classes, block))
        if len(seen) < 2 or len(target.classes) < 2:
            raise LabelError("E201", received=f"{len(seen)} class in the training set: "
                             f"{some(map(repr, seen))}", expected="two or more",
                             fix="check that these are the labels, and train on two classes or more")
        return target

    @property
    def add_na(self) -> bool:
        """True if missing labels have a class of their own, see `CategoryBlock(add_na=True)`."""
        return self.classes[:1] == [NA]

    def encode(self, labels: Sequence, unseen: int | None = None, rows: Collection | None = None,
               argument: str = "labels") -> np.ndarray:
        """Return class numbers, (N,) int64. See `Target.encode`."""
        labels = plain_labels(labels)
        if self.add_na:
            labels = [label if label in self.o2i else NA for label in labels]
        new = {label for label in labels if label not in self.o2i}
        if new and unseen is None:
            raise self._unseen(labels, new, range(len(labels)) if rows is None else rows, argument)
        if new:
            warn_user(f"labels {some(map(repr, in_order(new)))} are none of the classes; {self.of_unseen}")
        return np.array([self.o2i.get(label, unseen) for label in labels], dtype=np.int64)

    def _unseen(self, labels: Sequence, new: Collection, rows: Collection, argument: str) -> LabelError:
        rows = [row for row, label in zip(rows, labels, strict=True) if label in new]
        twins = [c for c in self.classes if str(c) in {str(label) for label in new}]
        fix = f"put each class into training too, leave these rows out, or pass every class as {argument}=[...]"
        if twins:
            fix = f"give labels one type; {some(map(repr, twins))} in training is {type(twins[0]).__name__}"
        return LabelError("E203", received=f"labels that are not classes: {some(map(repr, in_order(new)))} "
                          f"({counted(len(rows), 'time')}, {in_rows(rows)})",
                          expected=f"one of {some(map(repr, self.classes), 20)}", fix=fix)

    def decode(self, index: "Tensor") -> Any:
        """Return the name of a class. A number below 0 stands for a label that is no class: "?"."""
        return "?" if index < 0 else self.classes[int(index)]


def all_classes(seen: dict, classes: Sequence | None, block: str | Block | None) -> list:
    """All classes: those given, else those seen in training, in the order that a `CategoryBlock` asks for."""
    wanted: Iterable = seen if classes is None else classes
    if isinstance(classes, set | frozenset) or classes is None and getattr(block, "sort", True):
        wanted = in_order(wanted)  # a set's order is no one's choice
    na = [NA] if getattr(block, "add_na", False) else []
    classes = plain_labels(wanted)
    try:
        return na + [label for label in names(classes) if label not in na]
    except (TypeError, ValueError) as e:
        once = len(set(map(repr, classes))) == len(classes)
        raise LabelError("E207", received=f"the classes {some(f'{label!r:.40}' for label in classes)}",
                         expected=f"as a class {e}", fix="turn labels into names first, as astype(str) does" if once
                         else "name each class once") from e
