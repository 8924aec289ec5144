"""The states of an encoder as numbers for any other model: hypercolumns, and the use of a frozen encoder."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from ulmfit_easy._fastcore import listify
from ulmfit_easy.data.budget import cut_by_tokens
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.errors import ArgumentError, TrainingError
from ulmfit_easy.models.encoder import Encoder, Headed
from ulmfit_easy.models.evaluated import evaluated, without_gradients
from ulmfit_easy.models.heads.pooling import masked_concat_pool
from ulmfit_easy.models.readers import Whole, reader
from ulmfit_easy.schema import MOST, any_of, list_of, one_of, takes, whole
from ulmfit_easy.text.vocab import padded
from ulmfit_easy.user_code import UNCHANGED, interrupted

if TYPE_CHECKING:
    from ulmfit_easy.learner.predictor import Predictor
    from ulmfit_easy.learner.text_learner import TextLearner

POOLS = {"last": slice(0, 1), "max": slice(1, 2), "mean": slice(2, 3), "concat": slice(0, 3)}  # of the three pooled
N_TOKENS = 4096  # of a batch: the states of 30 layers of 576 numbers are then 0.3 GB
layer = whole(-MOST, MOST)
SETTINGS = {"layers": any_of(layer, list_of(layer)), "pool": one_of(POOLS)}


@takes(SETTINGS)
@interrupted(UNCHANGED)
def features(asked: "TextLearner | Predictor", texts: Iterable, layers: int | Sequence[int] = -1,
             pool: str = "mean") -> np.ndarray:
    """Return numbers that describe texts, (N, d) float32, for any model of scikit-learn. Nothing is trained.

    The states of several layers, one after the other, are the hypercolumns of Hariharan et al. 2015 (arXiv 1411.5752).
    For BERT see Devlin et al. 2019, section 5.3. A layer in the middle often knows most about meaning.

    Args:
        texts: what `predict` takes. One text alone gives one row.
        layers: 0 for the embedding, 1 for the first layer above it, and so on. -1, the last one, is what a head reads.
            A list gives d numbers of each layer, in its order.
        pool: "mean" or "max" over the tokens of a text, or the state of its "last" token. "concat" gives last, max
            and mean, as a classifier's head reads them: three times as many numbers.

    A text is read as `predict` reads it: by a classifier about its last `max_len` tokens, by a language model all. No
    row depends on the texts next to it. A text without tokens gives zeros.

    Raises: ArgumentError E603 for a layer that the encoder does not have. TextError E101, E102, E104 for what are no
        texts. TrainingError E506 for a model without an encoder.

    Example:
        >>> X = learn.features(texts, layers=[1, 2])  # doctest: +SKIP
        >>> LogisticRegression().fit(X, labels)  # doctest: +SKIP
    """
    prepare = asked.dls.needs_text("features()") if hasattr(asked, "dls") else asked.prepare
    return states_of(asked.model, prepare, prepare.ids(texts).docs, listify(layers), pool)


def states_of(model: nn.Module, prepare: Preparation, docs: Sequence, layers: list[int],
              pool: str = "mean") -> np.ndarray:
    """Return the features of N texts, (N, d) float32, each given as its ids. See `features`."""
    read = _reader(evaluated(model), prepare.seq_len)
    order = np.argsort([-len(doc) for doc in docs], kind="stable")  # the longest first
    found = []
    for cut in cut_by_tokens([len(docs[i]) for i in order], N_TOKENS):
        ids, lengths = padded([docs[i] for i in order[cut]], prepare.vocab.pad_id, prepare.backwards)
        found.append(_pooled(read, torch.from_numpy(ids), torch.from_numpy(lengths), layers, pool))
    return torch.cat(found)[np.argsort(order)].numpy()


@without_gradients
def _pooled(read: Whole, ids: Tensor, lengths: Tensor, layers: list[int], pool: str) -> Tensor:
    """Return the features (B, d) of one batch, on the CPU."""
    device, deep = read.module.embedding.weight.device, layers != [-1]
    states = read(ids.to(device), lengths.to(device), layers=deep)
    each = states.layers if deep else (states.raw,)
    if wrong := [i for i in layers if not -len(each) <= i < len(each)]:
        raise ArgumentError("E603", received=f"layers={wrong[0]} for an encoder of {len(each)} layers, the embedding "
                            "counted", expected=f"numbers from 0 to {len(each) - 1}, or from -{len(each)} to -1",
                            fix="pass other layers")
    pooled = [masked_concat_pool(each[i], states.mask).unflatten(1, (3, -1))[:, POOLS[pool]] for i in layers]
    return torch.cat([x.flatten(1) for x in pooled], 1).float().cpu()


def _reader(model: nn.Module, seq_len: int) -> Whole:
    """Return what reads texts with the encoder of a model: that of a classifier, a new one for a language model."""
    if not isinstance(model, Headed):
        raise TrainingError("E506", received="features() of a model without an encoder",
                            expected="a language model or a classifier of this library",
                            fix="make it with language_model_learner or text_classifier_learner")
    return model[0] if isinstance(model[0], Whole) else reader(cast(Encoder, model[0]), seq_len, None)
