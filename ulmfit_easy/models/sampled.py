r"""Sampled softmax: a training loss whose cost depends on a sample of words and not on the vocabulary.

The cross-entropy of a target y with logits $s$ is $\log Z - s_y$ with $Z = \sum_k e^{s_k}$. Most words add little
to $Z$, yet each costs a row of the decoder. Here a sample of words stands for all others:

$$ \hat Z = e^{s_y} + \sum_{k \in sample, k \ne y} e^{s_k} / p_k $$

where $p_k$ is the chance that word k is in the sample, so that $E[\hat Z] = Z$. All tokens of a batch share the
sample. What remains is a bias, since the logarithm is concave: $E[\log \hat Z] \le \log Z$, by about half the
relative variance of $\hat Z$. So a sampled training loss is a little too low. Validation always takes all words.

Sources: Bengio & Senecal 2008 (importance sampling). Duffield, Lund & Thorup 2007 (priority sampling, the unbiased
sums of a sample without repetition). Jean et al. 2015, arXiv 1412.2007 (one sample for a batch).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ulmfit_easy.models.precision import at_least_float32, autocast

N_SAMPLED = 4096  # words a batch


class Sample(NamedTuple):
    """Distinct words, and the logarithm of the chance that each had to be among them."""

    ids: Tensor  # (S,) int64
    log_p: Tensor  # (S,) float32, at most 0


class WordSampler:
    r"""Draws words by Zipf's law over the ids, which a vocabulary has in the order of frequency.

    Each word gets a random key $\log q_k + Gumbel$, with $q_k \propto \log(1 + 1 / (k + 1))$. Those with the n
    largest keys are the sample. Given the largest key left out, $\kappa$, the others are in it independently, with
    $p_k = 1 - \exp(-\exp(\log q_k - \kappa))$: frequent words nearly always, rare ones seldom.

    Args:
        vocab_sz: V.
        n: words in a sample. All of them, each with chance 1, where V is not larger.
    """

    def __init__(self, vocab_sz: int, n: int = N_SAMPLED):
        self.n = min(n, vocab_sz)
        self.log_q = torch.log1p(1 / torch.arange(1, vocab_sz + 1)).log()  # (V,)

    def draw(self, device: torch.device | str = "cpu") -> Sample:
        """Return a new sample, from torch's random state."""
        if self.n == len(self.log_q):
            return Sample(torch.arange(self.n, device=device), torch.zeros(self.n, device=device))
        keys = self.log_q - torch.empty_like(self.log_q).exponential_().log()  # (V,); -log(Exp(1)) is Gumbel
        keys, ids = keys.topk(self.n + 1, sorted=True)
        log_p = (-torch.expm1(-torch.exp(self.log_q[ids[:-1]] - keys[-1]))).log()  # (S,)
        return Sample(ids[:-1].to(device), log_p.to(device))


def sampled_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, sample: Sample,
                          chunk: int, ignore: int) -> Tensor:
    """Return the estimated mean cross-entropy in nats, with its gradients.

    Args:
        x: (N, E) states.
        weight, bias: (V, E) and (V,) or None, of the decoder.
        targets: (N,) int64. `ignore` marks those that do not count.
        chunk: numbers of (n, S) logits that are alive at once.
    """
    return _SampledCrossEntropy.apply(x, weight, bias, targets, *sample, chunk, ignore)


class _SampledCrossEntropy(torch.autograd.Function):
    """Takes the gradients while a chunk's logits are alive, as the exact loss does, then lets them go."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, ids: Tensor, log_p: Tensor,
                chunk: int, ignore: int) -> Tensor:
        counts = targets != ignore  # (N,)
        y = targets.masked_fill(~counts, 0)  # (N,)
        offset = -log_p if bias is None else bias[ids] - log_p  # (S,)
        column = torch.full((len(weight),), -1, device=x.device)  # (V,), of each word in the sample, or -1
        column[ids] = torch.arange(len(ids), device=x.device)
        own = column[y]  # (N,)
        states, drawn, right = *autocast(x, weight[ids]), weight[y]  # (N, E), (S, E), (N, E)
        of_target = (x.to(at_least_float32(x)) * right).sum(1)  # (N,)
        if bias is not None:
            of_target = of_target + bias[y]
        nll = of_target.new_zeros(())
        dx, dtarget = torch.empty_like(x, dtype=of_target.dtype), torch.empty_like(of_target)  # (N, E), (N,)
        ddrawn, doffset = torch.zeros_like(drawn, dtype=of_target.dtype), torch.zeros_like(offset)  # (S, E), (S,)
        size = max(1, chunk // len(ids))
        for rows in (slice(start, start + size) for start in range(0, len(x), size)):
            logits, target = (states[rows] @ drawn.T).to(of_target.dtype).add_(offset), of_target[rows]  # (n, S), (n,)
            mine = own[rows]  # (n,)
            logits[torch.nonzero(mine >= 0).squeeze(1), mine[mine >= 0]] = -torch.inf
            top = torch.maximum(logits.amax(1), target)  # (n,), so that no exponential overflows
            scores, of_own = logits.sub_(top.unsqueeze(1)).exp_(), (target - top).exp()  # (n, S), (n,)
            z = scores.sum(1) + of_own  # (n,)
            nll += ((z.log() + top - target) * counts[rows]).sum()
            dtarget[rows] = (of_own / z - 1) * counts[rows]
            probs = scores.mul_((counts[rows] / z).unsqueeze(1))  # (n, S) = d loss / d logits
            doffset += probs.sum(0)
            probs = probs.to(drawn.dtype)
            dx[rows] = probs @ drawn + dtarget[rows].unsqueeze(1) * right[rows]
            ddrawn += probs.T @ states[rows]
        ctx.save_for_backward(x, y, ids, dx, dtarget, ddrawn, doffset, counts.sum())
        ctx.shape, ctx.has_bias = weight.shape, bias is not None
        return nll / counts.sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y, ids, dx, dtarget, ddrawn, doffset, count = ctx.saved_tensors
        scale, dweight, dbias = grad / count, None, None
        if ctx.needs_input_grad[1]:
            dweight = ddrawn.new_zeros(ctx.shape).index_copy_(0, ids, ddrawn * scale)  # (V, E)
            dweight.index_add_(0, y, x * (dtarget * scale).unsqueeze(1))
        if ctx.has_bias:
            dbias = doffset.new_zeros(ctx.shape[0]).index_copy_(0, ids, doffset * scale)  # (V,)
            dbias.index_add_(0, y, dtarget * scale)
        return dx * scale, dweight, dbias, None, None, None, None, None
