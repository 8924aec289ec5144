"""The classifier: an encoder that reads documents window by window, and a head that pools what it read."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit_easy.data.checks import check_numbers
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.models.archs import get_arch, resolve_config
from ulmfit_easy.models.pooling import masked_concat_pool
from ulmfit_easy.values import ascending, count, each, flag, number, or_none, share


class SentenceOutput(NamedTuple):
    """What a `SentenceEncoder` gives back: the K kept positions of B documents."""

    raw: Tensor  # (B, K, E), before dropout
    dropped: Tensor  # (B, K, E)
    mask: Tensor  # (B, K) bool, True on padding and on what a row did not keep
    embedded: Tensor | None = None  # (B, K, E), the words' own rows, where they are kept


class ClassifierOutput(NamedTuple):
    """What a classifier gives back."""

    logits: Tensor  # (B, C)
    raw: Tensor  # (B, K, E)
    dropped: Tensor  # (B, K, E)
    mask: Tensor  # (B, K) bool


class SentenceEncoder(nn.Module):
    """Reads documents of any length in windows of `seq_len` tokens (BPT3C).

    Windows start at each document's own beginning. The state is carried from window to window without its
    gradient; a row that has ended leaves the batch. So the states of a document are those of reading it
    alone: they depend on no padding, no neighbour and no order.

    Args:
        seq_len: tokens per window.
        module: the encoder, `module(ids, hidden=...) -> EncoderOutput`.
        max_len: a row keeps the windows that start within its last `max_len` tokens, which bounds memory
            (20 windows of 72, as fastai); None keeps all.
        keep_words: keep the words' own rows too, for a head that pools them.
    Raises: E502 if `max_len` is below `seq_len`: a row might then keep nothing.
    Source: Howard & Ruder 2018, section 3.3, "BPTT for Text Classification".
    """

    def __init__(self, seq_len: int, module: nn.Module, max_len: int | None = 72 * 20, keep_words: bool = False):
        super().__init__()
        if max_len is not None and max_len < seq_len:
            raise TrainingError("E502", received=f"max_len={max_len} with seq_len={seq_len}",
                                expected="max_len of at least seq_len, or None",
                                fix="raise max_len or lower seq_len")
        self.seq_len, self.module, self.max_len, self.keep_words = seq_len, module, max_len, keep_words

    def forward(self, ids: Tensor, lengths: Tensor) -> SentenceOutput:
        """The kept states of `ids` (B, T) int64, padded on the right, with `lengths` (B,) real tokens."""
        order = lengths.argsort(descending=True, stable=True)  # (B,), longest first: the last rows end first
        sizes = lengths[order].clamp_min(1).tolist()  # an empty row reads one padding token, kept masked
        drop_before = torch.zeros_like(lengths) if self.max_len is None else lengths - self.max_len  # (B,)
        hidden, outputs, masks = None, [], []
        for start in range(0, sizes[0], self.seq_len):
            stop = min(start + self.seq_len, sizes[0])
            n_alive = sum(size > start for size in sizes)
            alive = order[:n_alive]  # (b,), rows of the batch
            shortest = sizes[n_alive - 1]
            keeps = self.max_len is None or start >= shortest - self.max_len  # else no row keeps this window
            with torch.set_grad_enabled(keeps and torch.is_grad_enabled()):
                output = self.module(ids[alive, start:stop], hidden=hidden)
            n_next = sum(size > stop for size in sizes)
            hidden = [tuple(s[:, :n_next].detach() for s in layer) for layer in output.hidden]  # (1, b, ...)
            if not keeps:
                continue
            outputs.append((alive, output if self.keep_words else output._replace(embedded=None)))
            position = torch.arange(start, stop, device=ids.device)  # (t,)
            masks.append((position >= lengths.unsqueeze(1)) | (drop_before > start).unsqueeze(1))  # (B, t)
        raw, embedded = (_joined(outputs, field, len(ids)) for field in ("raw", "embedded"))
        is_dropped = any(output.dropped is not output.raw for _, output in outputs)
        dropped = _joined(outputs, "dropped", len(ids)) if is_dropped else raw
        return SentenceOutput(raw, dropped, torch.cat(masks, dim=1), embedded)


def _joined(outputs: list[tuple[Tensor, NamedTuple]], field: str, bs: int) -> Tensor | None:
    """A field of the outputs of all windows, (B, K, E); None where they have none."""
    parts = [(alive, getattr(output, field)) for alive, output in outputs]
    return None if parts[0][1] is None else torch.cat([_all_rows(x, alive, bs) for alive, x in parts], dim=1)


def _all_rows(x: Tensor, rows: Tensor, bs: int) -> Tensor:
    """`x` (b, t, E) put at `rows` (b,) of a batch of `bs`, zeros elsewhere."""
    return x.new_zeros(bs, *x.shape[1:]).index_copy_(0, rows, x)  # (B, t, E)


class RowNorm(nn.BatchNorm1d):
    """Batch norm that takes its running statistics for a training batch of one row, which has no variance."""

    def forward(self, x: Tensor) -> Tensor:  # (B, features)
        if not self.training or len(x) > 1:
            return super().forward(x)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class SigmoidRange(nn.Module):
    """A sigmoid stretched over (low, high), for regression targets of a known range."""

    def __init__(self, low: float, high: float):
        super().__init__()
        check_numbers(-math.inf, without=(-math.inf, math.inf), low=low, high=high)
        if not low < high:
            raise TrainingError("E502", received=f"y_range=({low}, {high})", expected="(lowest, highest)",
                                fix="put the lower number first")
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> Tensor:
        return self.low + (self.high - self.low) * x.sigmoid()


class PoolingLinearClassifier(nn.Module):
    """The head: concat pooling, then blocks of batch norm, dropout, linear and, but for the last, ReLU.

    A training batch of a single row is normalised by the running statistics.

    Args:
        dims: widths, from 3 E (4 E with `pool_words`) to the number of classes, e.g. [1200, 50, 2].
        ps: dropout probability 0-1 of each block.
        y_range: (low, high) of a regression target, or None.
        pool_words: also read the mean of the words' own rows, as they are before any layer.
    Raises: E502 if there is not one dropout for each block.
    Source: Howard & Ruder 2018, section 3.3. The linear layers have no bias, as in fastai 2.
    """

    def __init__(self, dims: Sequence[int], ps: Sequence[float], y_range: tuple[float, float] | None = None,
                 pool_words: bool = False):
        super().__init__()
        if len(ps) != len(dims) - 1:
            raise TrainingError("E502", received=f"{len(ps)} dropouts for widths {list(dims)}",
                                expected=f"{len(dims) - 1}, one for each linear layer",
                                fix="pass as many ps as lin_ftrs")
        blocks = [nn.Sequential(RowNorm(n_in), nn.Dropout(p), nn.Linear(n_in, n_out, bias=False), nn.ReLU())
                  for n_in, n_out, p in zip(dims[:-1], dims[1:], ps, strict=True)]
        del blocks[-1][3]
        if y_range is not None:
            blocks.append(SigmoidRange(*y_range))
        self.layers, self.pool_words = nn.Sequential(*blocks), pool_words

    def forward(self, output: SentenceOutput) -> ClassifierOutput:
        pooled = masked_concat_pool(output.dropped, output.mask, output.embedded if self.pool_words else None)
        return ClassifierOutput(self.layers(pooled), output.raw, output.dropped, output.mask)  # (B, 3E or 4E) -> (B, C)


MOST_LAYERS = 100  # of a head
SETTINGS = {  # of what `get_text_classifier` takes, beside `config`
    "n_class": count, "seq_len": count, "drop_mult": number, "lin_ftrs": or_none(each(count, MOST_LAYERS)),
    "ps": or_none(each(share, MOST_LAYERS)), "max_len": or_none(count), "y_range": or_none(ascending),
    "pool_words": flag}


class TextClassifier(nn.Sequential):
    """A `SentenceEncoder` (child `0`) and a head (child `1`).

    `model(ids, lengths)` gives a `ClassifierOutput` for ids (B, T) padded on the right and lengths (B,).
    """

    def __init__(self, encoder: SentenceEncoder, head: nn.Module):
        super().__init__(encoder, head)

    def forward(self, ids: Tensor, lengths: Tensor) -> ClassifierOutput:
        return self[1](self[0](ids, lengths))


def get_text_classifier(arch: type[nn.Module] | str, vocab_sz: int, n_class: int, seq_len: int = 72,
                        config: dict | None = None, drop_mult: float = 1.0, lin_ftrs: list[int] | None = None,
                        ps: list[float] | None = None, pad_idx: int = 1, max_len: int | None = 72 * 20,
                        y_range: tuple[float, float] | None = None, *, pool_words: bool = False) -> TextClassifier:
    """A fresh classifier with the encoder `arch`.

    Args:
        vocab_sz, n_class: V and C, the number of outputs.
        seq_len, max_len: tokens per window and tokens kept, see `SentenceEncoder`.
        config: changes to the architecture's own config (`awd_lstm_clas_config`), by the same names.
        drop_mult: factor on every dropout of the config; `ps` are taken as they stand.
        lin_ftrs: widths of the head's hidden layers; [50] as in the paper.
        ps: dropout after each hidden layer, 0.1 each; the one before the first is the config's `output_p`.
        pad_idx: id of the padding token; `config["pad_token"]` goes before it.
        y_range: (low, high) of a regression target, or None.
        pool_words: the head also reads the mean of the words' own rows, which the paper's does not: see
            `text_classifier_learner`.
    Raises: E502 for an unknown architecture, config key or impossible value.
    """
    known = get_arch(arch)
    config = resolve_config(known.clas_config, config, drop_mult, pad_idx)
    lin_ftrs = [50] if lin_ftrs is None else list(lin_ftrs)
    ps = [config.pop("output_p"), *([0.1] * len(lin_ftrs) if ps is None else ps)]
    encoder = known.cls(vocab_sz, **config)
    n_pooled = 4 if pool_words else 3
    head = PoolingLinearClassifier([n_pooled * encoder.emb_sz, *lin_ftrs, n_class], ps, y_range, pool_words)
    return TextClassifier(SentenceEncoder(seq_len, encoder, max_len, keep_words=pool_words), head)
