"""Multi-task training: a classifier that keeps learning the language of its texts."""

import torch
from torch import Tensor

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.events import PENALTY, Callback
from ulmfit_easy.models.encoder import needs_memory
from ulmfit_easy.models.softmax import IGNORE, linear_cross_entropy
from ulmfit_easy.schema import number, takes

__all__ = ["AuxiliaryLM"]


class AuxiliaryLM(Callback):
    r"""Train a classifier to guess each next token of its texts too: a second loss is added to `loss_grad`.

    $$ L = L_{task} + w \, L_{lm} $$

    $L_{lm}$ is the mean over the tokens that the head sees, in nats. The embedding decodes, without a bias, so a saved
    model has no more weights than without this callback. Logged losses are those of the task. `lm_loss` has $L_{lm}$ of
    the last batch.

    Args:
        weight: w. 0.5, the default, is that of GPT-1.

    Raises: ArgumentError E603 for an encoder that sees later tokens, or whose states are not as wide as its embedding.
    Source: Radford et al. 2018, section 3.2, equation 5. Rei 2017 (arXiv 1704.07156) before it.
    """

    order, run_valid = PENALTY, False
    lm_loss: Tensor | None = None

    @takes({"weight": number(0)})
    def __init__(self, weight: float = 0.5):
        self.weight = weight

    def before_fit(self):
        encoder = self.model.encoder
        needs_memory(encoder, "AuxiliaryLM")
        if encoder.width != (emb_sz := encoder.embedding.embedding_dim):
            raise ArgumentError("E603", received=f"AuxiliaryLM with states of {encoder.width} numbers over an "
                                f"embedding of {emb_sz}", expected="one width, since the embedding is the decoder",
                                fix="leave out AuxiliaryLM; or train the language model before, as stage 2")

    def after_loss(self):
        raw, embedding = self.rnn.raw_out, self.model.encoder.embedding.weight  # (B, K, E), (V, E)
        if raw.requires_grad or embedding.requires_grad:
            ids, lengths = self.model.head.arranged(*self.xb)
            targets = next_tokens(ids, lengths, self.rnn.mask)
            self.lm_loss = linear_cross_entropy(raw.flatten(0, 1), embedding, None, targets.flatten())
            self.learn.loss_grad = self.loss_grad + self.weight * self.lm_loss


def next_tokens(ids: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
    """Return the token after each kept position, (B, K), and `IGNORE` if there is none.

    Args:
        ids: (B, T) int64, padded on the right, with `lengths` (B,) real tokens.
        mask: (B, K) bool, True on padding. A row keeps its last tokens, in their order.
    """
    kept = ~mask
    following = lengths.unsqueeze(1) - kept.sum(1, keepdim=True) + kept.cumsum(1)  # (B, K) positions of these
    found = ids.gather(1, following.clamp(0, ids.shape[1] - 1))
    return torch.where(kept & (following < lengths.unsqueeze(1)), found, IGNORE)
