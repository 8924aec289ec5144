"""Class names in their order, and their numbers."""

from collections import defaultdict

NA = "#na#"  # the class of texts without a known label, as in fastai


class CategoryMap(list):
    """The classes of some labels, as `dls.vocab[1]`: a list that also takes a mask or a list of numbers.

    `classes[probs > 0.5]` are the names where the mask is true, `classes.o2i["pos"]` is the number of a name.

    Args:
        col: labels, in which a class may be more than once. A categorical Series gives its categories.
        sort: put the classes in sorted order, else in the order in which they come first.
        add_na: put a class `#na#` first, whose number, 0, is that of every unknown name too.
        strict: leave out categories that no label has.
    """

    def __init__(self, col=(), sort: bool = True, add_na: bool = False, strict: bool = False):
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

    def __getitem__(self, i):
        i = i.tolist() if hasattr(i, "tolist") else i
        if not isinstance(i, list):
            return super().__getitem__(i)
        if all(isinstance(flag, bool) for flag in i) and i:
            return [name for name, flag in zip(self, i, strict=True) if flag]
        return self.map_ids(i)

    def map_objs(self, objs) -> list[int]:
        """Return the numbers of some names."""
        o2i = self.o2i
        return [o2i[obj] for obj in objs]

    def map_ids(self, ids) -> list:
        """Return the names of some numbers."""
        return [self[int(i)] for i in ids]


def in_order(labels) -> list:
    """Return labels sorted; of mixed types by type first."""
    try:
        return sorted(labels)
    except TypeError:
        return sorted(labels, key=lambda label: (type(label).__name__, str(label)))
