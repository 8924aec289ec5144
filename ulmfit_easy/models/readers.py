"""Readers: send texts of any length through an encoder, and decide which tokens the head sees."""

from collections.abc import Sequence
from inspect import signature
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.encoder import Encoder, Headed
from ulmfit_easy.models.windows import head_and_tail
from ulmfit_easy.schema import any_of, one_of, optional, whole

HEAD_TAIL = "head+tail"  # as `max_len`


class Read(NamedTuple):
    """The K kept positions of B texts, as a reader returns them."""

    raw: Tensor  # (B, K, E)
    mask: Tensor  # (B, K) bool, True on padding and on what a row did not keep
    embedded: Tensor | None = None  # (B, K, E), the tokens' own rows, if they are kept
    layers: tuple[Tensor, ...] = ()  # (B, K, H) each, if they were asked for, see `Encoded`


def kept(lengths: Tensor, position: Tensor, seq_len: int, max_len: int | None) -> Tensor:
    """Return which tokens a head sees, (B, t) bool: those of the windows that begin within a row's last `max_len`.

    Args:
        lengths: (B,) real tokens per row.
        position: (t,) of the tokens, from 0.
        seq_len: tokens per window, 1 for an encoder that reads texts whole.
        max_len: None keeps all.
    """
    lengths = lengths.unsqueeze(1)  # (B, 1)
    keep = position < lengths
    return keep if max_len is None else keep & (position // seq_len * seq_len >= lengths - max_len)


class Whole(nn.Module):
    """Reads each text in one go. Memory grows with the longest text.

    Args:
        seq_len: tokens per window.
        module: the encoder.
        max_len: a row keeps the windows that start within its last `max_len` tokens, which bounds memory
            (20 windows of 72, as fastai). None keeps all. "head+tail" is for a transformer that sees a whole text. A
            text with more tokens than it has positions is then read once, without its middle, see `head_and_tail`.
            Otherwise such an encoder reads it in windows, whose states are pooled together.
        keep_words: keep the tokens' own rows too, for a head that pools them.
    Raises: E603 if `max_len` is below `seq_len`: a row might then keep nothing. E603 for "head+tail" with an encoder
        that has no positions to run out of.
    """

    SETTINGS = {"seq_len": whole(), "max_len": optional(any_of(whole(), one_of([HEAD_TAIL])))}

    def __init__(self, seq_len: int, module: Encoder, max_len: int | str | None = 72 * 20, keep_words: bool = False):
        super().__init__()
        self.head_tail = max_len == HEAD_TAIL
        if self.head_tail and (module.streams or not hasattr(module, "span")):
            raise ArgumentError("E603", received=f'max_len="{HEAD_TAIL}" for {type(module).__name__}, which reads '
                                "texts of any length",
                                expected="a transformer that sees a whole text, such as BERT",
                                fix="pass a number of tokens, or None for all")
        max_len = max_len if isinstance(max_len, int) else None
        if max_len is not None and max_len < seq_len:
            raise ArgumentError("E603", received=f"max_len={max_len} with seq_len={seq_len}",
                                expected="max_len of at least seq_len, or None",
                                fix="raise max_len or lower seq_len")
        self.seq_len, self.module, self.max_len, self.keep_words = seq_len, module, max_len, keep_words

    def config(self) -> dict:
        """Return the settings, as JSON has them."""
        return {"seq_len": self.seq_len, "max_len": HEAD_TAIL if self.head_tail else self.max_len}

    def forward(self, ids: Tensor, lengths: Tensor, layers: bool = False) -> Read:
        """Return the states of `ids` (B, T) int64, padded on the right, with `lengths` (B,) real tokens.

        `layers` asks for those of each layer too.
        """
        if self.head_tail:
            ids, lengths = head_and_tail(ids, lengths, cast(Any, self.module).span)
        # an empty row reads one padding token, which is not kept
        output = self.module(ids, lengths.clamp_min(1), **self._asked(layers))
        position = torch.arange(ids.shape[1], device=ids.device)  # (T,)
        return Read(output.raw, ~kept(lengths, position, self.seq_len, self.max_len), output.embedded, output.layers)

    def _asked(self, layers: bool) -> dict:
        """Return the arguments by which an encoder is asked for its layers.

        Raises: E603 for an encoder of the user that cannot be asked.
        """
        if layers and "layers" not in signature(self.module.forward).parameters:
            raise ArgumentError("E603", received=f"the layers of {type(self.module).__name__}, whose forward() gives "
                                "its last states only", expected="an encoder with forward(..., layers=False)",
                                fix="add the argument, see Encoder.forward; leave out layers= for the last layer")
        return {"layers": True} if layers else {}


class Windows(Whole):
    """Read texts of any length in windows of `seq_len` tokens (BPT3C), with an encoder that has a memory.

    The first window starts where the text starts. The memory is carried from window to window, without gradients. A row
    leaves the batch when its text ends. So the states of a text do not depend on padding or on other texts. In
    training, all windows of a batch have the same mask of dropped weights.

    Source: Howard & Ruder 2018, section 3.3, "BPTT for Text Classification".
    """

    def forward(self, ids: Tensor, lengths: Tensor, layers: bool = False) -> Read:
        """Return the kept states of `ids` (B, T) int64, padded on the right, with `lengths` (B,) real tokens."""
        takes = signature(self.module.forward).parameters  # a subclass may have a forward of its own
        shared = {name: value for name, value in self.module.drawn().items() if name in takes}
        asked = {**self._asked(layers), **shared}
        order = lengths.argsort(descending=True, stable=True)  # (B,), longest first: the last rows end first
        sizes = lengths[order].clamp_min(1).tolist()  # an empty row reads one padding token, kept masked
        max_len = None if sizes[0] <= (self.max_len or 0) else self.max_len  # short texts keep all
        starts = torch.arange(0, sizes[0], self.seq_len, device=ids.device)  # (W,), of the windows
        wanted = kept(lengths, starts, self.seq_len, max_len).any(0).tolist()  # which windows some row keeps
        wanted[-1] = True  # the only window of a batch of empty rows
        memory, outputs, masks = None, [], []
        for start, is_wanted in zip(range(0, sizes[0], self.seq_len), wanted, strict=True):
            stop = min(start + self.seq_len, sizes[0])
            alive = order[:sum(size > start for size in sizes)]  # (b,), rows of the batch
            with torch.set_grad_enabled(is_wanted and torch.is_grad_enabled()):
                output = self.module(ids[alive, start:stop], memory=memory, **asked)
            if n_left := sum(size > stop for size in sizes):
                memory = output.memory if n_left == len(alive) else output.memory.rows(slice(n_left))
                memory = memory.detach() if torch.is_grad_enabled() else memory
            if is_wanted:
                own = [output.embedded] if self.keep_words else []
                outputs.append((alive, output.raw, *own, *output.layers))
                masks.append(~kept(lengths, torch.arange(start, stop, device=ids.device), self.seq_len, max_len))
        rows, *states = zip(*outputs, strict=True)
        raw, *more = (_joined(rows, each, len(ids)) for each in states)
        words = more.pop(0) if self.keep_words else None
        return Read(raw, torch.cat(masks, 1), words, tuple(more))


SentenceEncoder = Windows  # fastai's name


def reader(encoder: Encoder, seq_len: int, max_len: int | str | None, keep_words: bool = False) -> Whole:
    """Return what reads texts with an encoder: windows if it streams, else whole texts, whatever `seq_len` is."""
    if encoder.streams:
        return Windows(seq_len, encoder, max_len, keep_words)
    return Whole(1, encoder, max_len, keep_words)


class ClassifierOutput(NamedTuple):
    """The result of a classifier."""

    logits: Tensor  # (B, C), or (B, K, C) for a head that answers for each token
    raw: Tensor  # (B, K, E), K = 0 if it was made of features
    mask: Tensor  # (B, K) bool


class TextClassifier(Headed):
    """An encoder in a reader (child `0`) and a head (child `1`).

    `model(ids, lengths)` gives a `ClassifierOutput` for ids (B, T) padded on the right and lengths (B,).
    """

    def config(self) -> dict:
        return {**super().config(), "reader": cast(Whole, self[0]).config()}

    def forward(self, ids: Tensor, lengths: Tensor,  # type: ignore[override]  # two inputs
                features: Tensor | None = None) -> ClassifierOutput:
        """Return the answers for texts, or for what `features` gave for them, which needs no encoder."""
        head: Any = self[1]  # a Head, whose file imports this one
        if features is not None:
            no_states = features.new_empty(len(ids), 0, self.encoder.width)
            return ClassifierOutput(head.answer(features), no_states, no_states[..., 0].bool())
        read = self._read(ids, lengths)
        return ClassifierOutput(head(read), read.raw, read.mask)

    def features(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the numbers (B, ...) that the head makes of the states of each text, before its own layers."""
        return cast(Any, self[1]).pooled(self._read(ids, lengths))

    def _read(self, ids: Tensor, lengths: Tensor) -> Read:
        head: Any = self[1]
        return self[0](*(head.arranged(ids, lengths) if head.rearranges else (ids, lengths)))

    def whole(self) -> "TextClassifier":
        """Return a classifier of the same weights and answers that reads each text in one go: gradients reach all."""
        read = cast(Whole, self[0])
        return TextClassifier(Whole(module=read.module, **read.config()), self[1])


def _joined(rows: Sequence[Tensor], windows: Sequence[Tensor], bs: int) -> Tensor:
    """Return (B, K, E) of windows (b, t, E) with their rows (b,) of a batch of `bs`, zeros elsewhere."""
    return torch.cat([x.new_zeros(bs, *x.shape[1:]).index_copy_(0, at, x)
                      for at, x in zip(rows, windows, strict=True)], dim=1)
