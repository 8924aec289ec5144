"""The contract of a target, the kind of labels that a model learns: read, encoded as numbers, and decoded."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from ulmfit_easy.data.classify import ClassifierDataLoader
from ulmfit_easy.data.order import EpochOrder, Ids
from ulmfit_easy.data.sources import is_missing
from ulmfit_easy.errors import LabelError, counted, in_rows
from ulmfit_easy.known import Known
from ulmfit_easy.schema import names
from ulmfit_easy.text.vocab import Vocab

if TYPE_CHECKING:
    from torch import Tensor

TARGETS: Known[type["Target"]] = Known("task", __package__)  # a subclass with a `task` of its own enters itself
KINDS: Known[type["Target"]] = Known("kind of labels", __package__)  # what `y_block` takes


class Block(Protocol):
    """Names a kind of target: a block such as `CategoryBlock`, or the target of training."""

    kind: str


class Target:
    """One kind of labels: read, encoded and decoded. A subclass in a file of its own is a new kind.

    Attributes:
        task: the name in `dls.task` and in saved models.
        kind: the name that `y_block` takes, by default the task.
        per: "text" if a text has one target, "token" if each of its tokens has one.
        places: which place of each token it needs, `where` of `Tokenizer.pipe`: "words", "chars", or None for none.
        whole: True if every token of a text must be seen, as for a text of two fields: `max_len` cuts none off.
        labelled: False if the texts themselves are the target, as a language model's are.
        tensors: what is in a batch after the ids. The last one is the target, the others go into the model.
        batching: the arguments of `TextDataLoaders` that only some loaders have, and this one's has.
        columns: of what `show_batch` prints.
        has_classes: True if the target is made of names, which `classes` then has.
        one_class: True if each text has exactly one of the classes.
        c: how many outputs a model needs.
        SETTINGS: a check for each name in `config()`.
    """

    task: str
    kind: str
    per, whole, labelled, has_classes, one_class = "text", False, True, False, False
    tensors: tuple[str, ...] = ("lengths", "labels")
    batching: tuple[str, ...] = ("balanced", "weights", "max_tokens")
    columns: tuple[str, ...] = ("text", "label")
    places: str | None = None
    classes: list | None = None
    c: int | None = None
    SETTINGS: ClassVar[dict] = {"classes": names}
    blank: str | None = None  # the text of a label that counts as missing, besides None and NaN

    def __init_subclass__(cls):
        if "task" in vars(cls):
            cls.kind = vars(cls).get("kind", cls.task)
            TARGETS[cls.task] = cls
            if cls.labelled:
                KINDS[cls.kind] = cls

    @classmethod
    def read(cls, columns: Sequence, values: list[list], delim: str | None, y_block: str | Block | None,
             rows: Collection | None) -> list:
        """Return the label of each row from label columns and their `values`, plain Python ones.

        Raises: LabelError E202 for missing labels, E207 for labels of another kind.
        """
        if len(values) > 1:
            raise LabelError("E207", received=f"{len(values)} label columns for one target each",
                             expected="one label column", fix="name one column")
        cls.check_given(values, rows)
        return values[0]

    @classmethod
    def check_given(cls, values: list[list], rows: Collection | None) -> None:
        """Raise E202 with the row numbers of missing labels. `rows` are the numbers to name, (N,)."""
        bad = sorted({i for column in values for i, v in enumerate(column)
                      if is_missing(v) or (isinstance(v, str) and v.strip() == cls.blank)})
        if bad:
            bad = bad if rows is None else np.asarray(rows)[bad].tolist()
            raise LabelError("E202", received=f"{counted(len(bad), 'missing label')}, {in_rows(bad)}",
                             expected="a label for each text", fix="drop or fill these rows")

    @classmethod
    def check_texts(cls, texts: Iterable, labels: Sequence, rows: Iterable[int]) -> None:
        """Raise E207 with the row numbers of texts that their labels do not fit. For targets with `places`.

        Args:
            texts: N strings, or tuples of strings.
            rows: the row numbers that an error shall name, (N,).
        """

    def aligned(self, y: np.ndarray, places: Sequence[np.ndarray], backwards: bool) -> np.ndarray:
        """Return what `encode` returned, fitted to the tokens of the texts. For targets with `places`.

        Args:
            y: N rows.
            places: of the tokens of each text, (T,) or (T, 3), in the order of writing. See `alignment.places_of`.
            backwards: True if the model reads from the end.

        Returns: N rows. One number per token is (N, T) int64, in the order of writing, with -100 at the end.
        """
        return y

    @classmethod
    def learned(cls, labels: Sequence, classes: Sequence | None = None, block: str | Block | None = None) -> "Target":
        """Return the target that the labels of the training rows ask for. `classes` and `block` may say more."""
        raise NotImplementedError

    def encode(self, labels: Sequence, unseen: int | None = None, rows: Collection | None = None,
               argument: str = "labels") -> np.ndarray:
        """Return the numbers of labels, an array (N, ...). One per token or word is (N, T) int64, with -100 at the end.

        Args:
            unseen: the number of a label that training never saw. None raises E203 for it.
            rows: the row numbers that an error shall name, (N,).
            argument: the argument that takes every class, for the error.
        """
        raise NotImplementedError

    @property
    def n_inp(self) -> int:
        """The number of tensors of a batch that go into the model."""
        return len(self.tensors)

    def vocab_for(self, vocab: Vocab) -> Vocab:
        """Return the vocabulary that texts need: by default the given one."""
        return vocab

    def loader(self, ids: Ids, rows: np.ndarray, y: np.ndarray | None = None, *, vocab: Vocab, seq_len: int,
               **kwargs: Any) -> EpochOrder:
        """Return the loader of some documents.

        Args:
            ids, rows: the documents, and which of them, (N,).
            y: their numbers, as `encode` gives them. None without labels.
            vocab: the vocabulary of the ids.
            seq_len: tokens that are read at once, if the loader cuts texts.
            kwargs: of the loader.
        """
        return ClassifierDataLoader(ids, rows, y, **kwargs)

    def shown(self, xb: Sequence["Tensor"], *each: Any, words: Callable[["Tensor"], str]) -> list[list]:
        """Return the rows of a table for people: each text of a batch, its target and what a model says.

        Args:
            xb: the inputs.
            each: the targets, or None without labels. Also decisions or guesses of the same form. They give a column
                each, if they are there.
            words: from ids (T,) to words.
        """
        rows = []
        for i, (ids, n) in enumerate(zip(xb[0], xb[1].tolist(), strict=True)):
            told = [part if part is None else part[i].cpu() for part in each]
            if self.per != "text":
                real = slice(n) if told[0] is None else (told[0][:n] >= 0).nonzero()[:, 0]  # tokens with a target
                told = [part if part is None else part[real] for part in told]
            rows.append([words(ids[:n]), *("" if part is None else self.decode(part) for part in told)])
        return rows

    def decode(self, decision: "Tensor") -> Any:
        """Return one target, or one decision of a model, in the user's words."""
        raise NotImplementedError

    def config(self) -> dict:
        """Return what `from_config` needs, as JSON."""
        return {"classes": self.classes}

    @classmethod
    def from_config(cls, config: dict) -> "Target":
        """Return the target that `config()` described."""
        return cls(config["classes"])  # type: ignore[call-arg]  # a target with classes takes them
