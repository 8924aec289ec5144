"""Several models as one."""

import torch
from torch import Tensor


def ensemble(learners, texts) -> Tensor:
    """The mean of the models' probabilities for each text, (N, C): of probabilities, not of logits.

    Source: Howard & Ruder 2018, section 3.3: a forward and a backward model, 0.5 to 0.7 points better than one.
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    return torch.stack([torch.stack([p.probs for p in learn.predict(texts)]) for learn in learners]).mean(0)
