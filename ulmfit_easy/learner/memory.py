"""Advice for a training batch that does not fit into memory."""

from typing import TYPE_CHECKING

import torch

from ulmfit_easy.errors import TrainingError

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner

# What torch says on a CPU, the last two by its oneDNN. A GPU has an error class of its own.
ON_A_CPU = ("can't allocate memory", "not enough memory", "could not create a primitive",
            "could not execute a primitive")


def is_full(e: Exception) -> bool:
    """Return True for an error that says that memory is full."""
    return isinstance(e, torch.OutOfMemoryError | MemoryError) or any(words in str(e) for words in ON_A_CPU)


def too_large(learn: "Learner", why: str) -> TrainingError:
    """Return the E509 for the batch that a learner trains on, with a batch size to try."""
    rows, tokens = learn.xb[0].shape[:2]
    fix = "choose a shorter seq_len or a smaller model"
    if rows > 1:
        half = rows // 2
        fix = f"build the loaders with bs={half} and train with cbs=GradientAccumulation({rows}), or {fix}"
    return TrainingError("E509", received=f"batch {learn.iter} of {rows:,} x {tokens:,} tokens, which does not fit "
                         f"({why})", expected="a batch that fits", fix=fix)
