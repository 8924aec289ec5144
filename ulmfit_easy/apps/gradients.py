"""Integrated gradients: the share of each token in the difference between two answers."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.extras import optional_package
from ulmfit_easy.learner.learner import Learner
from ulmfit_easy.models.readers import TextClassifier


def integrated_gradients(learn: Learner, model: TextClassifier, ids: np.ndarray, score: Callable, first: int,
                         n_steps: int, bs: int) -> np.ndarray:
    """Return the share (T,) of each token in `score(logits (B, C)) -> (B,)`, against a text of unknown words.

    Args:
        model: the learner's, in evaluation mode.
        ids: the text, (T,). The tokens before `first` are the same in the text of unknown words, and get 0.
        n_steps: points on the way from one to the other. 50 as in captum.
        bs: points computed at once.

    Raises: E507 without captum.
    Source: Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks" (arXiv 1703.01365).
    """
    captum = optional_package("captum.attr")
    unknown = ids.copy()
    unknown[first:] = learn.dls.text_vocab.unk_id
    if learn.dls.backwards:
        ids, unknown = ids[::-1], unknown[::-1]
    pair = np.stack([ids, unknown]).astype(np.int64)  # (2, T)
    text, start = torch.from_numpy(pair).to(learn.dls.device).split(1)  # (1, T) twice
    whole = model.whole()  # a classifier cuts gradients between its windows

    def answer(ids: Tensor) -> Tensor:  # (B, T) -> (B,)
        return score(whole(ids, ids.new_full((len(ids),), ids.shape[1])).logits)

    gradients = captum.LayerIntegratedGradients(answer, model.encoder.embedding)
    shares = gradients.attribute(text, start, n_steps=n_steps, internal_batch_size=bs)  # (1, T, E)
    scores = shares.sum(2)[0].detach().cpu().double().numpy()  # (T,)
    return scores[::-1].copy() if learn.dls.backwards else scores
