"""The classifier: an encoder that reads texts of any length, and a head that pools what it read."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit_easy.data.checks import check_numbers
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.models.archs import get_arch, resolve_config
from ulmfit_easy.models.encoder import Encoder, Headed
from ulmfit_easy.models.pooling import masked_concat_pool
from ulmfit_easy.models.readers import Read, Whole, reader
from ulmfit_easy.values import ascending, count, each, flag, number, or_none, share


class ClassifierOutput(NamedTuple):
    """What a classifier gives back."""

    logits: Tensor  # (B, C)
    raw: Tensor  # (B, K, E)
    mask: Tensor  # (B, K) bool


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

    def forward(self, read: Read) -> ClassifierOutput:
        pooled = masked_concat_pool(read.raw, read.mask, read.embedded if self.pool_words else None)
        return ClassifierOutput(self.layers(pooled), read.raw, read.mask)  # (B, 3E or 4E) -> (B, C)


MOST_LAYERS = 100  # of a head
SETTINGS = {  # of what `get_text_classifier` takes, beside `config`
    "n_class": count, "seq_len": count, "drop_mult": number, "lin_ftrs": or_none(each(count, MOST_LAYERS)),
    "ps": or_none(each(share, MOST_LAYERS)), "max_len": or_none(count), "y_range": or_none(ascending),
    "pool_words": flag}


class TextClassifier(Headed):
    """An encoder in a reader (child `0`) and a head (child `1`).

    `model(ids, lengths)` gives a `ClassifierOutput` for ids (B, T) padded on the right and lengths (B,).
    """

    def __init__(self, encoder: Whole, head: nn.Module):
        super().__init__(encoder, head)

    def forward(self, ids: Tensor, lengths: Tensor) -> ClassifierOutput:
        return self[1](self[0](ids, lengths))


def get_text_classifier(arch: type[Encoder] | str, vocab_sz: int, n_class: int, seq_len: int = 72,
                        config: dict | None = None, drop_mult: float = 1.0, lin_ftrs: list[int] | None = None,
                        ps: list[float] | None = None, pad_idx: int = 1, max_len: int | None = 72 * 20,
                        y_range: tuple[float, float] | None = None, *, pool_words: bool = False) -> TextClassifier:
    """A fresh classifier with the encoder `arch`.

    Args:
        vocab_sz, n_class: V and C, the number of outputs.
        seq_len, max_len: tokens per window and tokens kept, see `Whole`; an encoder without memory reads texts
            whole, whatever `seq_len` is.
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
    encoder = known(vocab_sz, **config)
    n_pooled = 3 * encoder.width + pool_words * encoder.embedding.embedding_dim
    head = PoolingLinearClassifier([n_pooled, *lin_ftrs, n_class], ps, y_range, pool_words)
    return TextClassifier(reader(encoder, seq_len, max_len, keep_words=pool_words), head)
