"""Text from a language model, one token a step."""

import warnings
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from ulmfit_easy.errors import TrainingError
from ulmfit_easy.models.language_model import LanguageModel


@torch.no_grad()
def generate(model: LanguageModel, ids: Sequence[int], n_words: int, *, temperature: float = 1.0,
             min_p: float | None = None, top_k: int | None = None, top_p: float | None = None,
             seed: int | None = None, banned: Collection[int] = (), stop: Collection[int] = ()) -> list[int]:
    """The ids of up to `n_words` tokens sampled after the prompt `ids`, without the prompt.

    The prompt is read once and the state kept, so a token costs the same however long the text has become.

    Args:
        ids: the prompt, at least one id.
        n_words: tokens to sample.
        temperature: above 1 flattens the distribution, below 1 sharpens it.
        min_p: drop tokens below this probability, before temperature; if none reaches it, a warning instead.
        top_k: keep the k likeliest tokens; 1 is greedy.
        top_p: keep the likeliest tokens that together reach this probability (Holtzman et al. 2020).
        seed: same seed, same text; None draws one from torch's global random state.
        banned: ids never sampled, e.g. unknown and padding.
        stop: ids that end the text; the one sampled is left out.
    Raises: E502 for an empty prompt or a temperature that is not above 0.
    """
    if len(ids) == 0:
        raise TrainingError("E502", received="an empty prompt", expected="at least one token",
                            fix="begin with xxbos, as every text does")
    if temperature <= 0:
        raise TrainingError("E502", received=f"temperature={temperature}", expected="a number above 0",
                            fix="pass top_k=1 for the likeliest token at each step")
    device = next(model.parameters()).device
    rng = torch.Generator(device).manual_seed(int(torch.randint(2**31, ())) if seed is None else seed)
    banned, new, was_training = list(banned), [], model.training
    model.eval()
    try:
        step, hidden = torch.as_tensor(ids, device=device).unsqueeze(0), None  # (1, T)
        while len(new) < n_words:
            output = model(step, hidden)
            logits = output.decoder(output.dropped[0, -1]).float()  # (V,)
            probs = _filter(logits.softmax(0), temperature, min_p, top_k, top_p, banned)  # (V,)
            token = torch.multinomial(probs, 1, generator=rng)  # (1,)
            if token.item() in stop:
                break
            new.append(token.item())
            step, hidden = token.unsqueeze(0), output.hidden  # (1, 1)
    finally:
        model.train(was_training)
    return new


def _filter(probs: Tensor, temperature: float, min_p: float | None, top_k: int | None, top_p: float | None,
            banned: list[int]) -> Tensor:
    """What is left of `probs` (V,) to sample from: non-negative, not summing to 1."""
    probs[banned] = 0
    if min_p is not None:
        if (probs >= min_p).any():
            probs = probs.where(probs >= min_p, 0)
        else:
            warnings.warn(f"No token reaches min_p={min_p}: try a lower value.", stacklevel=3)
    probs = (probs.log() / temperature).softmax(0)  # p ** (1 / temperature), safe at any temperature
    if top_k is not None:
        probs = probs.where(probs >= probs.topk(min(top_k, len(probs))).values[-1], 0)
    if top_p is not None:
        ranked, order = probs.sort(descending=True)  # (V,), (V,)
        before = ranked.cumsum(0) - ranked  # probability of all likelier tokens
        probs[order[before >= top_p * ranked.sum()]] = 0
    return probs
