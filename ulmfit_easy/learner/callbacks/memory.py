"""What a fit does where a batch does not fit into memory: say what would fit, or go on in parts."""

import copy
from types import MethodType

import torch
from torch.utils.checkpoint import checkpoint

from ulmfit_easy.data.random_state import random_state, set_random_state
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.callbacks.rnn import HiddenState
from ulmfit_easy.learner.callbacks.training import GradientAccumulation
from ulmfit_easy.learner.events import Callback
from ulmfit_easy.models.encoder import Encoded, Encoder, Memory
from ulmfit_easy.terminal import say

# What torch says on a CPU, the last two by its oneDNN; on a GPU it has a class of errors for it.
ON_A_CPU = ("can't allocate memory", "not enough memory", "could not create a primitive",
            "could not execute a primitive")


class OutOfMemoryCallback(Callback):
    """Where a training batch does not fit into memory, E509 with how many rows do; with `split`, training goes on.

    The batch is undone and read again, its rows in 2 parts, then in 4, 8, ... until forward and backward pass fit.
    An encoder that reads in parts keeps their outputs only, and computes the rest again in the backward pass: a third
    more work. Losses, batch norm and steps are those of the whole batch, so the fit is the one that it would have been,
    but for the random numbers of dropout. Every text learner has one that does not split.

    Args:
        split: go on in these parts until the end of the fit; otherwise stop before the step.

    Raises:
        TrainingError: E509.
    """

    order = -100  # before all others: what they do with the batch is undone from its beginning

    def __init__(self, split: bool = False):
        self.split, self.n_parts, self.start = split, 1, None

    def before_fit(self):
        self.n_parts, self.learn._do_batch = 1, self._do_batch

    def cleanup_fit(self):
        vars(self.learn).pop("_do_batch", None)
        self.start = None
        if self.n_parts > 1:
            vars(self.learn.encoder).pop("forward", None)

    def before_batch(self):
        if self.training:
            counting = [cb for cb in self.learn.cbs if isinstance(cb, HiddenState | GradientAccumulation)]
            measuring = self.recorder.in_training if hasattr(self.learn, "recorder") else []
            self.start = {
                "batch": (self.xb, self.yb), "random": random_state(),
                "counts": [(cb, cb.state_dict()) for cb in counting]
                + [(metric, copy.deepcopy(metric.state_dict())) for metric in measuring],
                "averages": [(buffer, buffer.clone()) for buffer in self.model.buffers()],
                "gradients": [(p, None if p.grad is None else p.grad.clone()) for p in self.model.parameters()]}

    def _do_batch(self):
        learn, why = self.learn, None
        try:
            type(learn)._do_batch(learn)
        except (RuntimeError, MemoryError) as e:
            if not (learn.training and _lacks_memory(e)):
                raise
            why = str(e).partition("\n")[0]
        if why is not None:  # here, where the error no longer holds what the batch has computed
            self._go_back()
            self._halve(why)
            learn("before_batch")
            self._do_batch()

    def before_step(self):
        if self.n_parts > 1 and not self.split:
            self._go_back()
            raise self._error(self.why, f"a batch that fits: one of {self.rows:,} rows does",
                              f"build the loaders with bs={self.rows} or a shorter seq_len, or add "
                              "cbs=OutOfMemoryCallback(split=True), which reads batches as large as this in parts")

    @torch.no_grad()
    def _go_back(self):
        learn, start = self.learn, self.start
        learn("cleanup_batch")
        learn.pred = learn.loss = learn.loss_grad = None
        learn.xb, learn.yb = start["batch"]
        set_random_state(start["random"])
        for thing, counts in start["counts"]:
            thing.load_state_dict(counts)
        for buffer, old in start["averages"]:
            buffer.copy_(old)
        for p, gradient in start["gradients"]:
            p.grad = gradient
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _halve(self, why: str):
        n_rows, encoder = len(self.xb[0]), getattr(self.learn, "encoder", None)
        if encoder is None or self.n_parts >= n_rows:
            tried = "" if encoder is None else "; not even one row does"
            raise self._error(f"{why}{tried}", "a batch that fits",
                              "choose a smaller bs, a shorter seq_len or a smaller model")
        self.n_parts = min(2 * self.n_parts, n_rows)
        self.rows, self.why = -(-n_rows // self.n_parts), why
        encoder.forward = MethodType(in_parts(encoder, self.n_parts), encoder)
        if self.split and self.learn.verbose:
            say(f"Batch {self.iter} of {n_rows:,} rows does not fit into memory: reading {self.rows:,} at a time.")

    def _error(self, why: str, expected: str, fix: str) -> TrainingError:
        shape = " x ".join(f"{n:,}" for n in self.xb[0].shape[:2])
        return TrainingError("E509", received=f"batch {self.iter} of {shape} tokens, which does not fit ({why})",
                             expected=expected, fix=fix)


def _lacks_memory(e: Exception) -> bool:
    if isinstance(e, torch.OutOfMemoryError | MemoryError):
        return True
    return not isinstance(e, TrainingError) and any(words in str(e) for words in ON_A_CPU)


def in_parts(encoder: Encoder, n: int):
    """The forward of an encoder that reads its rows in `n` parts and computes each again for its gradient."""
    whole = type(encoder).forward

    def forward(encoder, ids, lengths=None, memory=None) -> Encoded:
        outputs = []
        for rows in torch.arange(len(ids)).chunk(n):
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            outputs.append(checkpoint(whole, encoder, ids[part], None if lengths is None else lengths[part],
                                      memory and memory.rows(part), use_reentrant=False))
        raw, after, embedded, layers = zip(*outputs, strict=True)
        return Encoded(torch.cat(raw), after[0] and Memory.join(after),
                       None if embedded[0] is None else torch.cat(embedded),
                       tuple(map(torch.cat, zip(*layers, strict=True))))
    return forward
