"""Two loaders, for training and validation, with what it takes to prepare new texts in the same way."""

import copy
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.absent import TellsAbsent
from ulmfit_easy.data import ranks
from ulmfit_easy.data.doctor import Checkup, doctor_of
from ulmfit_easy.data.on_device import OnDevice, size_of
from ulmfit_easy.data.order import EpochOrder, TextDataset, first_batch
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.data.targets import Target
from ulmfit_easy.errors import ArgumentError, TrainingError
from ulmfit_easy.reprs import described, slashed
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vocab import Vocab


def _of_prepare(name: str, doc: str, default: object = None) -> Any:
    """Return a property that the loaders' `Preparation` answers. `default` for plain loaders."""
    return property(lambda self: getattr(self.prepare, name, default), doc=doc)


def _prepared(method: Callable) -> Callable:
    """Return a method of loaders that calls the one of their `Preparation`. E506 for plain loaders."""
    @wraps(method)
    def call(self: "DataLoaders", *args: Any, **kwargs: Any) -> Any:
        return method(self.needs_text(f"{method.__name__}()"), *args, **kwargs)
    return call


class DataLoaders(TellsAbsent):
    """The training loader (`.train`) and the validation loader (`.valid`) of a learner, on one device.

    Args:
        train, valid: any two iterables of batches, such as those of `torch.utils.data`.
        path: the folder for what a learner saves.
        device: by default CUDA if there is one, else the CPU.
        prepare: how texts and labels became batches. `TextDataLoaders` sets it. Plain loaders of torch have none.
    """

    train: EpochOrder | OnDevice
    valid: EpochOrder | OnDevice
    prepare: Preparation | Any  # None for plain loaders

    def __init__(self, train: Iterable, valid: Iterable, *, path: str | Path = ".",
                 device: torch.device | str | None = None, prepare: Preparation | None = None):
        self.train, self.valid = (cast(EpochOrder, dl) if hasattr(dl, "device") else OnDevice(dl)
                                  for dl in (train, valid))
        self.path, self.prepare = Path(path), prepare
        self.pretrained: Any = None  # the language model that brought the tokenizer, if one was named
        self.encoder: dict = {}  # the name and the settings of the encoder of a learner that did
        for dl in (self.train, self.valid):
            if isinstance(dl, EpochOrder):
                dl.prepare = prepare
        ranks.start()  # gives this process its GPU
        self.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def __repr__(self) -> str:
        train, valid = map(size_of, (self.train, self.valid))
        is_lm, words = self.prepare is not None and not self.target.labelled, self.text_vocab
        kind = "language model: " if is_lm else ""
        return described(self, f"{kind}train {train}, valid {valid}" if train != "0 batches" else f"{kind}no data",
                         self.classes and f"classes {slashed(self.classes)}", words and words.told,
                         self.bs and f"bs {self.bs}", is_lm and f"seq_len {self.seq_len}")

    @classmethod
    def from_dsets(cls, *ds: torch.utils.data.Dataset, path: str | Path = ".", bs: int = 64,
                   device: torch.device | str | None = None, **kwargs: Any) -> "DataLoaders":
        """Return loaders of two datasets of torch, the first one for training, and shuffled.

        Args:
            kwargs: passed on to `torch.utils.data.DataLoader`, such as `collate_fn`.
        """
        if len(ds) != 2:
            raise ArgumentError("E602", received=f"{len(ds)} datasets", expected="a training set and a validation set",
                                fix="write DataLoaders.from_dsets(train_ds, valid_ds)")
        train, valid = (torch.utils.data.DataLoader(each, bs, **{"shuffle": i == 0, **kwargs})
                        for i, each in enumerate(ds))
        return cls(train, valid, path=path, device=device)

    def to(self, device: torch.device | str) -> "DataLoaders":
        """Return these loaders, with batches on `device` from now on."""
        self.device = self.train.device = self.valid.device = torch.device(device)
        return self

    def cpu(self) -> "DataLoaders":
        """Return these loaders, with batches on the CPU from now on."""
        return self.to("cpu")

    def cuda(self) -> "DataLoaders":
        """Return these loaders, with batches on the GPU from now on."""
        return self.to("cuda")

    def shard(self, rank: int, world: int) -> "DataLoaders":
        """Return the part of these loaders that one of several processes reads, see `EpochOrder.shard`.

        Streams of a language model are whole. The rows of a classifier come in one order for all processes, and those
        of a batch are dealt by their length. A row to validate with is in one part. A learner calls this by itself.

        Raises: TrainingError E506 for plain loaders. ArgumentError E603 for fewer rows than processes.
        """
        if not isinstance(self.train, EpochOrder):
            raise TrainingError("E506", received="plain loaders, for several processes", expected="loaders of texts, "
                                "whose rows can be divided", fix="use TextDataLoaders, or start one process")
        part = copy.copy(self)
        part.train, part.valid = (dl.shard(rank, world) if isinstance(dl, EpochOrder) else dl
                                  for dl in (self.train, self.valid))
        return part

    def __getitem__(self, i: int) -> EpochOrder | OnDevice:
        return (self.train, self.valid)[i]

    def __len__(self) -> int:
        return 2

    @property
    def train_ds(self) -> TextDataset | Any:
        """The training texts, each as ids (T,) or as ids and target. For loaders of torch, their dataset."""
        return self._dataset("train")

    @property
    def valid_ds(self) -> TextDataset | Any:
        """The validation texts one by one, as `train_ds`."""
        return self._dataset("valid")

    def _dataset(self, name: str) -> TextDataset | Any:
        if not hasattr(dl := getattr(self, name), "dataset"):
            raise TrainingError("E506", received=f"{name}_ds of loaders without a dataset", expected="loaders of "
                                "texts, or of torch", fix="use TextDataLoaders.from_df, or torch.utils.data.DataLoader")
        return dl.dataset

    @property
    def n_inp(self) -> int | None:
        """The number of tensors of a batch that go into the model: 1 for a language model, 2 for a classifier."""
        if hasattr(self.train, "n_inp"):
            return self.train.n_inp
        return getattr(self.target, "n_inp", None)  # None for plain loaders: only their model can tell

    @property
    def bs(self) -> int | Any:
        """The rows of a training batch."""
        return getattr(self.train, "bs", None) or getattr(self.prepare, "bs", None)

    target: Target | Any = _of_prepare("target", "What is learned about a text. None for plain loaders.")
    task: str | Any = _of_prepare("task", 'The name of the target, such as "lm" or "single". None for plain loaders.')
    text_vocab: Vocab | Any = _of_prepare("vocab", "The `Vocab`, whatever the task.")
    vocab = _of_prepare("vocabs", "The `Vocab` for a language model; `(Vocab, classes)` for a classifier.")
    tokenizer: Tokenizer | Any = _of_prepare("tokenizer", "The `Tokenizer` of the texts.")
    seq_len: int | Any = _of_prepare("seq_len", "Tokens of each row that are read before the gradient is cut.")
    backwards: bool = _of_prepare("backwards", "True if each text is read from its end.", False)

    @property
    def classes(self) -> list | None:
        """The class names, or None if there are none."""
        return getattr(self.target, "classes", None)

    @property
    def c(self) -> int | Any:
        """The number of outputs of a model: words for a language model, classes for a classifier, else numbers."""
        return None if self.target is None else self.target.c if self.target.labelled else len(self.text_vocab)

    def one_batch(self) -> Any:
        """Return the first training batch. The batches of the next epoch stay what they would have been."""
        return first_batch(self.train)

    def test_dl(self, items: Iterable, with_labels: bool = False, bs: int | None = None, *,
                num_workers: int | None = None, drop_last: bool | None = None,
                pin_memory: bool | None = None) -> EpochOrder:
        """Return a loader of new texts, prepared as in training and never shuffled.

        Args:
            items: one text. Or texts or files in a list, tuple, array, Series or Index. Or a table or a row of one
                with the same text columns as in training, or with one column.
            with_labels: read the label column of the table too. A label that training did not have counts as wrong.
            bs: texts per batch. As in training by default.
            num_workers, drop_last, pin_memory: Ignored; kept for fastai compatibility.

        Raises: E101, E102 and E104 for the texts. E202 and E204 for the labels. E506 for plain loaders.
        """
        prepare = self.needs_text("test_dl()")
        ids = prepare.ids(items)
        common: dict = {"vocab": prepare.vocab, "seq_len": self.seq_len, "bs": bs or self.bs,
                        "backwards": self.backwards, "device": self.device}
        targets = prepare.targets(items, ids) if with_labels and self.target.labelled else None
        if not bs and (max_tokens := getattr(self.train, "max_tokens", None)):
            common["max_tokens"] = max_tokens
        dl = self.target.loader(ids, np.arange(len(ids.lengths)), targets, **common)
        dl.prepare = prepare
        return dl

    def show_batch(self, max_n: int = 9, trunc_at: int = 150, unique: bool = False) -> None:
        """Show some rows of a training batch as the tokens that a model reads, `trunc_at` of each at most.

        `unique` shows the first row only. (fastai shows it `max_n` times, because its images change.)
        """
        prepare = self.needs_text("show_batch()")
        prepare.show(self.one_batch(), 1 if unique else max_n, trunc_at)

    def doctor(self) -> Checkup:
        """Check the texts and labels for common mistakes. See `doctor`."""
        self.needs_text("doctor()")
        return doctor_of(self)

    config, words = _prepared(Preparation.config), _prepared(Preparation.words)
    is_one_text, given = _prepared(Preparation.is_one_text), _prepared(Preparation.given)

    def decode(self, target: Tensor) -> Any:
        """Return one target, or one decision of a model, in the user's words.

        A class, or "?" for a label that is none. A list of classes if a text may have several. For regression a number,
        or a list of them.
        """
        if self.target is None or not self.target.labelled:
            raise TrainingError("E506", received="decode() on loaders without classes or numbers",
                                expected="loaders of a classifier", fix="use words() for the ids of a text")
        return self.target.decode(target.cpu())

    def needs_text(self, call: str) -> Preparation:
        """Return how texts became batches. E506 for plain loaders, which `call` cannot use."""
        if self.prepare is None:
            raise TrainingError("E506", received=f"{call} on plain loaders", expected="loaders of texts",
                                fix="use a method of TextDataLoaders, such as from_df")
        return self.prepare
