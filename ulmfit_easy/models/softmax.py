"""The decoder of a language model, and losses that never hold tokens x vocabulary.

The logits of a batch are the largest tensor in ULMFiT. For 64 x 72 tokens and 60,000 words they take 1.1 GB, and their
gradient as much again. Here a model gives back its last states and the decoder. The loss makes the logits of one chunk
of tokens, takes all it needs from them, gradients included, and lets them go. Sampled softmax trains with fewer logits
and validates exactly.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit_easy.models.dropout import RNNDropout
from ulmfit_easy.models.encoder import Encoded, Encoder, Memory, needs_memory
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.precision import at_least_float32, autocast
from ulmfit_easy.models.sampled import WordSampler, sampled_cross_entropy
from ulmfit_easy.schema import flag, one_of, takes

SOFTMAX = ("full", "sampled")
IGNORE = -100  # a target that counts nowhere, torch's default
CHUNK_FLOATS = 2**23  # logits alive at once: 32 MB


class TokenStats(NamedTuple):
    """Sums over the tokens of a batch: divide by `n`, or add up batches first."""

    nll: Tensor  # (), nats
    correct: Tensor  # (), tokens whose likeliest word is the target
    n: Tensor  # (), tokens


@dataclass(eq=False)
class LMOutput:
    """The result of a language model: the last states and the decoder, not logits."""

    raw: Tensor  # (B, T, E), before output dropout
    dropped: Tensor  # (B, T, E), what the decoder reads
    memory: Memory | None
    decoder: nn.Linear  # from states to logits
    sampler: WordSampler | None = None  # in training with sampled softmax
    stats: TokenStats | None = None  # left here by `lm_cross_entropy` when no gradient is wanted

    def logits(self) -> Tensor:
        """Return all logits (B, T, V): for a look at a few texts. Losses and metrics do without."""
        return self.decoder(self.dropped)


class LMDecoder(Head):
    """Output dropout, then a linear layer from states to the logits of the vocabulary.

    Args:
        n_out, n_hid: V and E.
        output_p: dropout probability 0-1, one mask over time.
        tie_encoder: the embedding whose weight the decoder shares (Inan et al. 2016), or None for its own.
        bias: whether each word has a bias.
        softmax: "full" or "sampled". They differ in the training loss only.
    """

    SETTINGS = {**Head.SETTINGS, "tie_weights": flag, "out_bias": flag, "softmax": one_of(SOFTMAX)}
    decodes = True

    @takes({"softmax": SETTINGS["softmax"]})
    def __init__(self, n_out: int, n_hid: int, output_p: float = 0.1, tie_encoder: nn.Embedding | None = None,
                 bias: bool = True, softmax: str = "full"):
        super().__init__()
        self.sampler = WordSampler(n_out) if softmax == "sampled" else None
        self.output_dp = RNNDropout(output_p)
        self.decoder = nn.Linear(n_hid, n_out, bias=bias)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        if bias:
            nn.init.zeros_(self.decoder.bias)
        if tie_encoder is not None:
            self.decoder.weight = tie_encoder.weight

    @classmethod
    def check_encoder(cls, arch: type[Encoder]) -> None:
        needs_memory(arch, "a language model")

    @classmethod
    def over(cls, encoder: Encoder, n_out: int, output_p: float = 0.1, tie_weights: bool = True, out_bias: bool = True,
             softmax: str = "full") -> "LMDecoder":
        tied = encoder.embedding if tie_weights else None
        return cls(n_out, encoder.width, output_p, tied, out_bias, softmax)

    def read(self, encoder: Encoder, ids: Tensor, memory: Memory | None = None) -> LMOutput:
        """Return the output for ids (B, T), which continue from `memory`. A decoder has no reader but this."""
        return self(encoder(ids, memory=memory))

    def forward(self, output: Encoded) -> LMOutput:  # type: ignore[override]  # of one window; no reader is between
        sampler = self.sampler if self.training else None
        return LMOutput(output.raw, self.output_dp(output.raw), output.memory, self.decoder, sampler)


def lm_cross_entropy(output: LMOutput, targets: Tensor, reduction: str = "mean") -> Tensor:
    """Return the cross-entropy of `targets` (B, T) in nats per token, from a decoder run in chunks.

    Where gradients are off, it is exact, and `output.stats` is filled on the way, so that metrics need no second
    pass. With sampled softmax it is an estimate in training, see `models/sampled.py`.

    Args:
        targets: int64. `IGNORE` (-100) marks positions that do not count.
        reduction: "mean" over the tokens that count. "none" for one value per token, without a gradient.
    Returns: a scalar, or (B, T) for "none".
    """
    assert reduction in ("mean", "none")
    if reduction == "none":
        with torch.no_grad():
            nll = [F.nll_loss(logp, y, reduction="none") for logp, y in _log_prob_chunks(output, targets)]
        return torch.cat(nll).view_as(targets)  # (B, T)
    if torch.is_grad_enabled():
        x, y, decoder = output.dropped.flatten(0, 1), targets.flatten(), output.decoder  # (B * T, E), (B * T,)
        if output.sampler is not None:
            sample = output.sampler.draw(x.device)
            return sampled_cross_entropy(x, decoder.weight, decoder.bias, y, sample, CHUNK_FLOATS, IGNORE)
        return linear_cross_entropy(x, decoder.weight, decoder.bias, y)
    output.stats = token_stats(output, targets)
    return output.stats.nll / output.stats.n


def linear_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of `x @ weight.T + bias`, for x (N, E) and targets (N,) int64, chunk by chunk."""
    return _LinearCrossEntropy.apply(x, weight, bias, targets)


@torch.no_grad()
def token_stats(output: LMOutput, targets: Tensor) -> TokenStats:
    """Return summed negative log-likelihood, right guesses and number of tokens, for `targets` (B, T)."""
    nll, correct = output.dropped.new_zeros((), dtype=torch.float32), targets.new_zeros(())
    for logp, y in _log_prob_chunks(output, targets):  # (n, V), (n,)
        nll = nll + F.nll_loss(logp, y, reduction="sum")
        correct = correct + (logp.argmax(1) == y).sum()
    return TokenStats(nll, correct, (targets != IGNORE).sum())


class _LinearCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of `x @ weight.T + bias`, its gradients taken while each chunk's logits are alive.

    With probabilities p and one-hot targets y, d loss / d logits = (p - y) / count. So one pass over the chunks gives
    loss and gradients, and nothing is computed twice. The division by `count` waits for backward, because (p - y) /
    count would vanish in half precision.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        need_x, need_weight, need_bias, _ = ctx.needs_input_grad
        dx = torch.empty_like(x, dtype=at_least_float32(x)) if need_x else None  # (N, E)
        dweight = torch.zeros_like(weight) if need_weight else None  # (V, E)
        dbias = torch.zeros_like(bias) if bias is not None and need_bias else None  # (V,)
        x, weight = autocast(x, weight)
        nll = x.new_zeros((), dtype=at_least_float32(x))
        for rows in _chunks(len(x), len(weight)):
            y = targets[rows]  # (n,)
            logp = _log_probs(x[rows], weight, bias)  # (n, V)
            nll += F.nll_loss(logp, y, reduction="sum")
            if dx is None and dweight is None and dbias is None:
                continue
            counts = (y != IGNORE).unsqueeze(1)  # (n, 1)
            dlogits = logp.exp_().scatter_add_(1, y.clamp_min(0).unsqueeze(1), -counts.to(logp.dtype))
            dlogits = dlogits.mul_(counts)  # (n, V) = p - y, 0 where ignored
            if dbias is not None:
                dbias += dlogits.sum(0)
            dlogits = dlogits.to(x.dtype)
            if dx is not None:
                dx[rows] = (dlogits @ weight).to(dx.dtype)
            if dweight is not None:
                _add_matmul(dweight, dlogits.T, x[rows])
        ctx.count = (targets != IGNORE).sum().clamp_min(1)  # without a target the loss is 0
        ctx.save_for_backward(dx, dweight, dbias)
        return nll / ctx.count

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        scale = grad / ctx.count
        return *(None if d is None else d * scale for d in ctx.saved_tensors), None


def _add_matmul(total: Tensor, a: Tensor, b: Tensor) -> None:
    """`total += a @ b`, without a copy of `total` where the types allow."""
    if total.dtype == a.dtype:
        total.addmm_(a, b)
    else:
        total += a @ b


def _log_prob_chunks(output: LMOutput, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Log-probabilities (n, V) and targets (n,), chunk after chunk."""
    decoder, x, y = output.decoder, output.dropped.flatten(0, 1), targets.flatten()  # (B * T, E), (B * T,)
    x, weight = autocast(x, decoder.weight)
    for rows in _chunks(len(x), len(weight)):
        yield _log_probs(x[rows], weight, decoder.bias), y[rows]


def _log_probs(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    bias = None if bias is None else bias.to(x.dtype)
    return F.linear(x, weight, bias).to(at_least_float32(x)).log_softmax(1)  # (n, V)


def _chunks(n_tokens: int, vocab_sz: int) -> Iterator[slice]:
    size = max(1, CHUNK_FLOATS // vocab_sz)
    return (slice(start, start + size) for start in range(0, n_tokens, size))
