"""One tag for each word of a text: parts of speech, names of persons and places, the roles of a verb."""

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from ulmfit_easy.data.targets.category import CategoryBlock, CategoryTarget
from ulmfit_easy.data.targets.labels import SEVERAL, plain_labels
from ulmfit_easy.data.targets.target import Block
from ulmfit_easy.errors import LabelError, counted, in_rows, some

if TYPE_CHECKING:
    from torch import Tensor

IGNORE = -100  # the number of a token without a tag
SPAN_TAG = re.compile(r"[BIESLU]-(?=.)")  # how a tag of a scheme such as IOB2 begins


class TagBlock(CategoryBlock):
    """Describe a target: one tag for each word, such as `B-PER` for named entities."""

    kind = "tags"


class TagTarget(CategoryTarget):
    """One tag for each word. Words stand between white space. If a text has several fields, the first has the tags.

    One token of a word carries its tag, and the others count nowhere: the last one that a model reads. So a model
    that reads forwards has seen the whole word. (Devlin et al. 2019, section 5.3, take the first one.)
    """

    task, kind, per, places, one_class = "tags", "tags", "token", "words", False
    columns = ("text", "tags")
    of_unseen = "their words are left out of all scores"

    @classmethod
    def read(cls, columns: Sequence, values: list[list], delim: str | None, y_block: str | Block | None,
             rows: Collection | None) -> list:
        if len(values) > 1:
            raise LabelError("E207", received=f"{len(values)} label columns for one tag each",
                             expected="one label column", fix="name one column, with a list of tags in each row")
        labels: list = [cell.split(delim) if isinstance(cell, str) else cell for cell in values[0]]
        cls.check_given([[None if isinstance(cell, SEVERAL) and not cell else cell for cell in labels]], rows)
        if wrong := [i for i, cell in enumerate(labels) if not isinstance(cell, SEVERAL)]:
            wrong = wrong if rows is None else np.asarray(rows)[wrong].tolist()
            raise LabelError("E207", received=f"tags of type {type(labels[0]).__name__}, {in_rows(wrong)}",
                             expected="a list of tags, or tags with spaces between them", fix="give one for each word")
        return [plain_labels(cell) for cell in labels]

    @classmethod
    def check_texts(cls, texts: Iterable, labels: Sequence, rows: Iterable[int]) -> None:
        sizes = [(row, len((text if isinstance(text, str) else text[0]).split()), len(tags))
                 for row, text, tags in zip(rows, texts, labels, strict=True)]
        if bad := [each for each in sizes if each[1] != each[2]]:
            row, n_words, n_tags = bad[0]
            raise LabelError("E207", received=f"{counted(len(bad), 'text')} with more or fewer tags than words, "
                             f"{in_rows([each[0] for each in bad])} (row {row}: {counted(n_words, 'word')}, "
                             f"{counted(n_tags, 'tag')})", expected="a tag for each word",
                             fix="give the words as lists, as read_conll does; words of a string stand between spaces")

    @classmethod
    def learned(cls, labels: Sequence[Sequence], classes: Sequence | None = None,
                block: str | Block | None = None) -> "TagTarget":
        """Return the target with the tags of the training rows, or `classes`.

        Raises: E201 for fewer than two tags. E207 for tags of two schemes, such as PER next to B-PER.
        """
        target = super().learned([*chain.from_iterable(labels)], classes, block)
        names = [name for name in target.classes if isinstance(name, str)]
        bare = {name for name in names if not SPAN_TAG.match(name)}
        if twice := [name for name in names if SPAN_TAG.match(name) and name[2:] in bare]:
            types = sorted({repr(name[2:]) for name in twice})
            raise LabelError("E207", received=f"tags of two schemes: {some(map(repr, twice))} beside {some(types)}",
                             expected="one scheme, such as IOB2: B-PER I-PER O",
                             fix="write the tags of all rows in one scheme")
        return target  # type: ignore[return-value]  # it is of `cls`

    def encode(self, labels: Sequence[Sequence], unseen: int | None = None, rows: Collection | None = None,
               argument: str = "labels") -> np.ndarray:
        """Return class numbers of words, (N, W) int64, with -100 at the end. See `Target.encode`."""
        sizes = np.array([len(tags) for tags in labels])  # (N,)
        at = np.repeat(np.arange(len(labels)) if rows is None else np.asarray(rows), sizes)
        numbers = super().encode([*chain.from_iterable(labels)], unseen, at, argument)
        y = np.full((len(labels), sizes.max()), IGNORE)
        y[np.arange(sizes.max()) < sizes[:, None]] = numbers
        return y

    def aligned(self, y: np.ndarray, places: Sequence[np.ndarray], backwards: bool) -> np.ndarray:
        """Return the class numbers of tokens, (N, T) int64, -100 for those that carry no tag."""
        aligned = np.full((len(y), max(map(len, places))), IGNORE)
        for row, numbers, words in zip(aligned, y, places, strict=True):
            at = carriers(words, len(numbers), backwards)
            row[at[at >= 0]] = numbers[at >= 0]
        if not (aligned >= 0).any():
            raise LabelError("E207", received="tags for words that the tokenizer leaves out",
                             expected="a tokenizer that knows which word a token comes from",
                             fix="pass another tokenizer as tok_tfm=")
        return aligned

    def decode(self, decision: "Tensor") -> list:
        """Return the tags of the words, or tokens, that have one."""
        return [self.classes[i] for i in decision.tolist() if i >= 0]


def carriers(words: np.ndarray, n: int, backwards: bool) -> np.ndarray:
    """Return which token carries the tag of each word, (n,): the last one that is read, or -1 for a word without any.

    Args:
        words: (T,) the word of each token in the order of writing, or -1.
        n: how many words have tags.
        backwards: True if the model reads from the end.
    """
    at = np.full(n, -1)
    tokens = np.flatnonzero((words >= 0) & (words < n))[::-1 if backwards else 1]
    at[words[tokens]] = tokens  # of those of one word the last stays
    return at
