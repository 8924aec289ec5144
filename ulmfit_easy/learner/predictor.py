"""Answer for texts with a trained model. There is no optimizer, no callback and no loop here."""

import itertools
import os
import threading
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from threading import RLock
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

from ulmfit_easy.data.budget import cut_by_tokens
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.errors import TrainingError, in_rows
from ulmfit_easy.learner.features import features
from ulmfit_easy.learner.onnx import to_onnx
from ulmfit_easy.models.packed import packed
from ulmfit_easy.models.precision import in_bf16
from ulmfit_easy.processes import processors
from ulmfit_easy.reprs import described
from ulmfit_easy.text.vocab import MemoryIds, Vocab, padded
from ulmfit_easy.user_code import UNCHANGED, tell_interrupt, warn_user
from ulmfit_easy.viz import escape, html_table


class Named:
    """Shows the probabilities of a prediction with the names of their classes, the five most likely ones first.

    It stands before a named tuple with `label`, `index` and `probs` as its first fields.
    """

    classes: Sequence | None = None  # None: unknown, or a regression; not a part of the tuple
    label: object
    probs: Tensor
    _asdict: Callable[[], dict]

    def of(self, classes: Sequence | None) -> Self:
        """Return this prediction, which now knows the names of its classes."""
        self.classes = classes if classes and self.probs.shape == (len(classes),) else None
        return self

    @classmethod
    def at_places(cls, predictor: "Predictor", logits: Tensor, places: np.ndarray, text: str | tuple) -> Self:
        """Return the prediction for a text. For tasks whose target has `places`.

        Args:
            logits: (T, C), or what else the head gives for the text, in the order of writing.
            places: (T,) or (T, 3), of the tokens. See `alignment.places_of`.
        """
        raise NotImplementedError

    def cells(self) -> dict[str, object]:
        """Return what a table of predictions shows, by column: one likeliest class has its probability next to it."""
        found = {"prediction": self.label}
        if self.classes and not isinstance(self.label, list):
            found["probability"] = round(float(self.probs.max()), 4)
        return found

    def _ranked(self) -> list[tuple]:
        pairs = zip(self.classes or (), self.probs.tolist(), strict=True)
        return [(name, round(p, 4)) for name, p in sorted(pairs, key=lambda pair: -pair[1])]

    def __repr__(self) -> str:
        shown = {name: value.tolist() if isinstance(value, Tensor) else value for name, value in self._asdict().items()}
        if self.classes:
            shown["probs"] = dict(self._ranked()[:5])
        n_more = len(self.classes or ()) - 5
        more = f"and {n_more} classes more" if n_more > 0 else ""
        return described(self, *(f"{name}={value!r}" for name, value in shown.items()), more)

    def _repr_html_(self) -> str:
        if not self.classes:
            return escape(repr(self))
        return f"<b>{escape(self.label)}</b>{html_table(self._ranked()[:5], ['class', 'probability'])}"


class _Fields(NamedTuple):
    label: object
    index: Tensor  # type: ignore[assignment]  # fastai's name; it hides a method of tuples
    probs: Tensor


class Prediction(Named, _Fields):
    """The prediction for one text, which unpacks as `label, index, probs`.

    Attributes:
        label: the class's name. A list of names for several labels, a number (or list) for regression.
        index: the position of the class in `learn.dls.classes`. For several labels, a boolean for each class.
        probs: (C,) the probability of each class. For regression the number again.
    """


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained model that predicts for texts. `load_predictor` and `learn.predictor` make one.

    It never changes, so any number of threads may share it. Call `torch.set_num_threads(1)` before they start. Then a
    computation takes one processor, and as many run at once as there are processors. Texts of similar length are read
    in one batch. No prediction depends on other texts. `dataclasses.replace(predictor, temperature=2)` makes a changed
    copy.

    Attributes:
        prepare: tokenizer, vocabulary and target.
        model: the network in evaluation mode. It takes `(ids (B, T), lengths (B,))` and returns logits.
        activation, decodes: functions from logits to probabilities, and to classes.
        prediction: the class of the result for a text, such as `Prediction`.
        temperature: a divisor of the logits, see `calibrate`.
        bs: texts per batch.
        max_tokens: the most tokens of a batch, padding included. It replaces `bs`.
        precision: "fp32", or "bf16" to compute in 16 bits. That halves the time on a processor that is fast at it,
            and moves a probability by about a thousandth. "int8" computes the products of LSTM layers in 8 bits, on
            any processor with VNNI. Both keep the weights that LSTM layers have at the first answer. After more
            training, make another predictor.
        first_row: the number of the first text in warnings, if you predict a long table in pieces.

    Raises: TrainingError E506 for a language model.
    """

    prepare: Preparation
    model: nn.Module
    activation: Callable
    decodes: Callable
    prediction: Callable[..., Named] = Prediction
    device: torch.device = torch.device("cpu")
    temperature: float = 1.0
    bs: int = 64
    max_tokens: int | None = None
    precision: str = "fp32"
    first_row: int = 0

    def __post_init__(self):
        if not self.prepare.target.labelled:
            raise TrainingError("E506", received="a predictor of a language model",
                                expected="a classifier or a regression",
                                fix="ask its learner, which load_learner reads: learn.predict or learn.validate")

    def __repr__(self) -> str:
        return described(self, self.prepare.task, self.classes and f"{len(self.classes)} classes",
                         self.vocab.told, self.temperature != 1 and f"temperature={self.temperature}")

    @property
    def vocab(self) -> Vocab:
        """The vocabulary."""
        return self.prepare.tokenizer.vocab

    @property
    def classes(self) -> list | None:
        """The class names, None for a regression."""
        return self.prepare.target.classes

    @property
    def predictor(self) -> "Predictor":
        """Return this predictor, so that functions take it in place of a learner."""
        return self

    @cached_property
    def _network(self) -> nn.Module:
        """The model, with layers for the precision."""
        return self.model if self.precision == "fp32" else packed(self.model, self.precision)

    def __getstate__(self) -> dict:
        return {name: value for name, value in vars(self).items() if name != "_network"}  # oneDNN's is never copied

    def predict(self, item: Iterable, with_input: bool = False) -> Any:
        """Return a `Prediction`, `(label, index, probs)`, for one text, or a list of these for a list of texts.

        Args:
            item: one text. A list, tuple, array, Series or Index of texts. A table or row with the text columns.
            with_input: put each text before its prediction: `(text, label, index, probs)`.

        Raises: TextError E101 if a text is missing or not a string. E102 if a column is missing. E104 if there are no
            texts.
        """
        try:
            texts, ids, alone = self.read(item)
            self.warn_of_no_words(ids.docs)
            found = self._answers(ids)
        except KeyboardInterrupt as e:
            tell_interrupt(e, UNCHANGED)
            raise
        if with_input:
            texts = texts.itertuples(index=False) if hasattr(texts, "itertuples") else texts
            found = [(text, *p) for text, p in zip(texts, found, strict=True)]
        return found[0] if alone else found

    def _answers(self, ids: MemoryIds) -> list:
        raw, target = self.logits(ids.docs), self.prepare.target
        if target.places:
            placed = zip(raw, ids.places, ids.texts, strict=True)
            return [self.prediction.at_places(self, *each) for each in placed]  # type: ignore[attr-defined]  # a class
        probs, decided = (list(map(f, raw)) if isinstance(raw, list) else f(raw)
                          for f in (self.activation, self.decodes))
        return [self.prediction(target.decode(d), d, p).of(target.classes) for d, p in zip(decided, probs, strict=True)]

    def read(self, item: Iterable) -> tuple[Sequence, MemoryIds, bool]:
        """Return the N texts of `item`, as `predict` takes it, their ids, and True if it is one text alone."""
        if isinstance(item, str) and len(self.prepare.text_cols) == 1:
            given: Sequence = [item]
            texts, alone = given, True
        else:
            given, alone = self.prepare.given(item)
            texts = self.prepare.texts(given)
        if self.prepare.target.places is None:
            return given, MemoryIds(self.prepare.tokenizer.ids(texts), self.vocab.pad_id), alone
        return given, self.prepare.ids_of(list(texts)), alone

    def logits(self, docs: Sequence[np.ndarray]) -> Tensor | list[Tensor]:
        """Return the logits of texts, given as ids, divided by the temperature, on the CPU.

        Outputs for a text are (N, C). Outputs for each token are a list of N tensors (T, C).
        """
        order = sorted(range(len(docs)), key=lambda i: -len(docs[i]))  # the longest first
        cuts = cut_by_tokens([len(docs[i]) for i in order], self.max_tokens) if self.max_tokens else [
            slice(start, start + self.bs) for start in range(0, len(docs), self.bs)]
        with torch._C._InferenceMode(True):  # Ctrl-C cannot break into its end, as into that of torch.inference_mode
            parts = [self._outputs([docs[i] for i in order[cut]]) for cut in cuts]
        back = sorted(range(len(docs)), key=order.__getitem__)
        if whole := [part for part in parts if isinstance(part, Tensor)]:
            return torch.cat(whole)[back] / self.temperature
        rows = [row / self.temperature for part in parts for row in part]
        return [rows[i] for i in back]

    def _outputs(self, docs: list[np.ndarray]) -> Tensor | list[Tensor]:
        """Return a model's outputs for one batch, (B, C). Those for each token are B tensors (T, C)."""
        ids, lengths = padded(docs, self.vocab.pad_id, self.prepare.backwards)
        inputs = [torch.from_numpy(each).to(self.device) for each in (ids, lengths)]
        ask = self._network
        with _turn_to_compute() if self.device.type == "cpu" else nullcontext():
            output = in_bf16(self.device.type, ask, *inputs) if self.precision == "bf16" else ask(*inputs)
        logits = getattr(output, "logits", output).float().cpu()
        if logits.ndim < 3:
            return logits
        rows = [row[:n] for row, n in zip(logits, lengths, strict=True)]
        return [row.flip(0) for row in rows] if self.prepare.backwards else rows  # in the order of writing

    features, to_onnx = features, to_onnx

    def warn_of_no_words(self, docs: Sequence[np.ndarray]) -> None:
        """Warn of texts (as ids) in which the model knows no word. Empty texts are among them."""
        itos, special, first = self.vocab.itos, {*self.vocab.specials.values()}, self.first_row
        if rows := [i for i, ids in enumerate(docs, first) if not any(_is_word(itos[j], special) for j in ids)]:
            texts = "a text" if len(rows) == 1 else f"{len(rows):,} texts"
            warn_user(f"{texts} without a known word ({in_rows(rows)}): the prediction is no more than a guess")


_NUMBERS, _THREAD = itertools.count(), threading.local()
_LOCKS: dict[tuple[int, int], list] = {}  # by the threads of torch and the process: a forked one has its own


def _turn_to_compute() -> AbstractContextManager:
    """Return the lock of this thread: one of as many as computations fit on the processors.

    A computation takes `torch.get_num_threads()` processors. More at once slow each other down (docs/PERFORMANCE.md).
    Threads get the locks in turn, and keep them. They may take theirs again, so a model may ask a predictor. Ctrl-C
    cannot leave a lock of this kind taken.
    """
    key = torch.get_num_threads(), os.getpid()
    locks = _LOCKS.get(key) or _LOCKS.setdefault(key, [RLock() for _ in range(max(1, processors() // key[0]))])
    if not hasattr(_THREAD, "number"):
        _THREAD.number = next(_NUMBERS)
    return locks[_THREAD.number % len(locks)]


def _is_word(token: str, special: set[str]) -> bool:
    """Tell a word, a number or a symbol from special tokens, punctuation and the mark of a blank."""
    return token not in special and not all(unicodedata.category(c)[0] == "P" for c in token.strip("\u2581"))


class Asked(Protocol):
    """A learner, what `calibrate` returned, or a `Predictor` itself."""

    @property
    def predictor(self) -> Predictor: ...
