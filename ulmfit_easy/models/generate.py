"""Text from a language model, one step a token: sampled, or the likeliest that a beam search finds."""

import heapq
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.encoder import Memory, needs_memory
from ulmfit_easy.models.evaluated import evaluated, without_gradients
from ulmfit_easy.models.language_model import LanguageModel
from ulmfit_easy.models.softmax import LMOutput
from ulmfit_easy.schema import optional, positive, random_seed, share, takes, whole
from ulmfit_easy.user_code import warn_user

WINDOW = 4096  # tokens of a prompt that are read at once


@takes({"n_words": whole(0), "temperature": positive, "min_p": optional(share), "top_k": optional(whole()),
        "top_p": optional(share), "seed": random_seed, "num_samples": optional(whole()), "beam": optional(whole())})
@without_gradients
def generate(model: LanguageModel, ids: Sequence[int] | Sequence[Sequence[int]], n_words: int, *,
             temperature: float = 1.0, min_p: float | None = None, top_k: int | None = None,
             top_p: float | None = None, seed: int | None = None, banned: Collection[int] = (),
             stop: Collection[int] = (), num_samples: int | None = None, beam: int | None = None) -> list:
    """Return the ids of up to `n_words` tokens after the prompt `ids`, without the prompt.

    Each prompt is read once and the state kept, so a token costs the same however long the text has become. All texts
    that are sampled continue together, in one batch. A beam search takes the prompts one by one, its beams together.

    Args:
        ids: one prompt of at least one id, or several.
        n_words: tokens to add.
        temperature: above 1 flattens the distribution, below 1 sharpens it.
        min_p: drop tokens below this probability, before temperature. If none reaches it, a warning instead.
        top_k: keep the k likeliest tokens. 1 is greedy.
        top_p: keep the likeliest tokens that together reach this probability (Holtzman et al. 2020).
        seed: same seed, same text. None draws one from torch's global random state. Text i draws from `seed + i`,
            so that no text depends on those sampled next to it.
        banned: ids that never come, e.g. unknown and padding.
        stop: ids that end the text. The one that ended it is left out.
        num_samples: texts for each prompt. With `beam` the likeliest ones, of which there may be fewer.
        beam: instead of sampling, keep that many of the likeliest texts at each step. Likelihoods are those of what
            temperature, filters and `banned` leave, and of the end where a text has stopped. Short texts have no
            handicap. 1 is greedy.

    Returns: a list of ids for one prompt, a list of these for several. With `num_samples` a list of texts for each.
    Raises: E602 for an empty prompt, E603 for more samples than beams or an encoder without memory.
    """
    needs_memory(model.encoder, "generation")
    alone = len(ids) == 0 or np.ndim(ids[0]) == 0
    prompts = cast(Sequence[Sequence[int]], [ids] if alone else ids)
    if any(len(prompt) == 0 for prompt in prompts):
        raise ArgumentError("E602", received="an empty prompt", expected="at least one token",
                            fix="begin with xxbos, as every text does")
    if beam is not None and beam < (num_samples or 1):
        raise ArgumentError("E603", received=f"beam={beam} for {num_samples or 1} texts", expected="a beam for each",
                            fix="raise beam= or lower num_samples=")
    keep = partial(_filter, temperature=temperature, min_p=min_p, top_k=top_k, top_p=top_p, banned=list(banned))
    model = evaluated(model)
    if beam is None:
        found = _sample(model, prompts, n_words, keep, set(stop), seed, num_samples or 1)
    else:
        found = [_beam_search(model, prompt, n_words, keep, sorted(stop), beam) for prompt in prompts]
    wanted = [texts[:num_samples] if num_samples else texts[0] for texts in found]
    return wanted[0] if alone else wanted


def _sample(model: LanguageModel, prompts: Sequence[Sequence[int]], n_words: int, keep: Callable, stop: set[int],
            seed: int | None, each: int) -> list[list[list[int]]]:
    """`each` sampled texts for each prompt. Those that have stopped leave the batch."""
    logits, memory = _read(model, prompts)
    rows = [i for i in range(len(prompts)) for _ in range(each)]  # the prompt of each text
    logits, memory = logits[rows], memory.rows(rows)  # (B, V)
    seed = int(torch.randint(2**31, ())) if seed is None else seed
    rngs = [torch.Generator(logits.device).manual_seed(seed + i) for i in range(len(rows))]
    texts: list[list[int]] = [[] for _ in rows]
    alive = list(range(len(rows)))
    for n in range(1, n_words + 1):
        probs = keep(logits.softmax(1))  # (B, V)
        drawn = [int(torch.multinomial(p, 1, generator=rngs[i])) for i, p in zip(alive, probs, strict=True)]
        going = [row for row, token in enumerate(drawn) if token not in stop]
        alive, drawn = [alive[row] for row in going], [drawn[row] for row in going]
        for i, token in zip(alive, drawn, strict=True):
            texts[i].append(token)
        if n == n_words or not alive:
            break
        logits, memory = _step(model, drawn, memory.rows(going))
    return [texts[i:i + each] for i in range(0, len(texts), each)]


def _beam_search(model: LanguageModel, prompt: Sequence[int], n_words: int, keep: Callable, stop: list[int],
                 beam: int) -> list[list[int]]:
    """Return the likeliest texts found after a prompt, at most `beam` of them, the likeliest first."""
    logits, memory = _read(model, [prompt])
    texts, ended = [list[int]()], list[tuple[float, list[int]]]()
    scores = logits.new_zeros(1, dtype=torch.float64)  # (b,), of texts that go on
    for n in range(1, n_words + 1):
        probs = keep(logits.softmax(1)).double()  # (b, V)
        total = scores.unsqueeze(1) + (probs / probs.sum(1, keepdim=True)).log()  # (b, V)
        if stop:
            ends = total[:, stop].logsumexp(1).tolist()  # (b,), whichever token it is that ends the text
            ended = heapq.nlargest(beam, ended + [e for e in zip(ends, texts, strict=True) if e[0] > -torch.inf])
            total[:, stop] = -torch.inf
        scores, best = total.flatten().topk(min(beam, int((total > -torch.inf).sum())))
        rows, tokens = (best // total.shape[1]).tolist(), (best % total.shape[1]).tolist()
        texts = [texts[row] + [token] for row, token in zip(rows, tokens, strict=True)]
        beaten = len(ended) == beam and (not texts or ended[-1][0] >= scores[0])  # a text only becomes less likely
        if n == n_words or not texts or beaten:
            break
        logits, memory = _step(model, tokens, memory.rows(rows))
    return [text for _, text in heapq.nlargest(beam, [*ended, *zip(scores.tolist(), texts, strict=True)])]


def _read(model: LanguageModel, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Memory]:
    """Return the logits (P, V) after each of P prompts, and the memory. Each is read alone, so none needs padding."""
    device = next(model.parameters()).device
    outputs = [_read_one(model, torch.as_tensor(prompt, device=device).unsqueeze(0)) for prompt in prompts]
    memory = Memory.join(output.memory for output in outputs if output.memory)  # each has one
    return torch.cat([_last_logits(output) for output in outputs]), memory


def _read_one(model: LanguageModel, ids: Tensor) -> LMOutput:
    """Return the output for the last window of `ids` (1, T). It reads window by window: memory does not grow with T."""
    memory = None
    for window in ids.split(WINDOW, dim=1):
        output = model(window, memory)
        memory = output.memory
    return output


def _step(model: LanguageModel, tokens: list[int], memory: Memory) -> tuple[Tensor, Memory]:
    """Return the logits (B, V) and the memory after one more token in each row."""
    output = model(torch.tensor(tokens, device=memory[0].device).unsqueeze(1), memory)  # ids (B, 1)
    return _last_logits(output), output.memory


def _last_logits(output: LMOutput) -> Tensor:
    return output.decoder(output.dropped[:, -1]).float()  # (B, V)


def _filter(probs: Tensor, temperature: float = 1.0, min_p: float | None = None, top_k: int | None = None,
            top_p: float | None = None, banned: Sequence[int] = ()) -> Tensor:
    """Return what is left of `probs` (B, V) to choose from: rows of numbers from 0 up, which need not add up to 1."""
    probs[:, banned] = 0
    if min_p is not None:
        enough = probs >= min_p  # (B, V)
        some = enough.any(1, keepdim=True)  # (B, 1)
        if not some.all():
            warn_user(f"No token reaches min_p={min_p}: try a lower value.")
        probs = probs.where(enough | ~some, 0)
    probs = (probs.log() / temperature).softmax(1)  # p ** (1 / temperature), safe at any temperature
    if top_k is not None:
        probs = probs.where(probs >= probs.topk(min(top_k, probs.shape[1])).values[:, -1:], 0)
    if top_p is not None:
        ranked, order = probs.sort(1, descending=True)  # (B, V) twice
        before = ranked.cumsum(1) - ranked  # probability of all likelier tokens
        ranked = ranked.where(before < top_p * ranked.sum(1, keepdim=True), 0)
        probs = torch.zeros_like(probs).scatter(1, order, ranked)
    return probs
