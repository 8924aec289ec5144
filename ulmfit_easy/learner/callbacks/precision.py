"""Train in 16 bits where that is safe: the callback, and the methods of a learner that choose it."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from ulmfit_easy.learner.events import PRECISION, Callback
from ulmfit_easy.models.precision import PRECISIONS
from ulmfit_easy.models.softmax import LMOutput
from ulmfit_easy.schema import one_of, optional, takes
from ulmfit_easy.user_code import warn_user

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner


L = TypeVar("L", bound="Learner")


class MixedPrecision(Callback):
    """Train in bfloat16 or float16 (mixed precision). Weights and optimizer stay in float32.

    On a CPU only training uses it: validation and predictions stay in float32 there. If a learner has several of these
    callbacks, the one that was added last acts.

    Args:
        dtype: "bf16", "fp16", or "fp32" to change nothing. None, the default, is bf16 on a CPU and on a GPU that
            supports it, else fp16. Without a GPU, "fp16" warns and changes nothing, because it would be slower and
            less exact.
    """

    order = PRECISION
    autocast: torch.autocast | Any = None
    scaler: torch.amp.GradScaler | None = None
    inside = False

    @takes({"dtype": optional(one_of(PRECISIONS))})
    def __init__(self, dtype: str | None = None):
        self.dtype = dtype

    def __repr__(self) -> str:
        return f"MixedPrecision({self.dtype or ''})"

    def __call__(self, event: str) -> None:
        """Act on an event, unless in float32 or if a callback of this class was added later."""
        last = [cb for cb in self.learn.cbs if isinstance(cb, MixedPrecision)][-1:]
        if last in ([], [self]) and self.dtype != "fp32":  # []: it was removed by another callback of this event
            super().__call__(event)

    @property
    def precision(self) -> str:
        """Return the precision that a fit on the learner's device asks for: "fp32", "bf16" or "fp16"."""
        has_bf16 = self.dls.device.type == "cpu" or torch.cuda.is_bf16_supported()
        return self.dtype or ("bf16" if has_bf16 else "fp16")

    def before_fit(self):
        device, bf16 = self.dls.device.type, self.precision == "bf16"
        on, self.run_valid = bf16 or device != "cpu", device != "cpu"
        if not on:
            warn_user("float16 needs a GPU: going on in float32; learn.to_bf16() works on a CPU")
        self.autocast = torch.autocast(device, torch.bfloat16 if bf16 or not on else torch.float16, enabled=on)
        self.scaler = torch.amp.GradScaler(device) if on and not bf16 else None
        if self.learn.opt is not None:  # None before the first fit
            self.learn.opt.scaler = self.scaler

    def before_validate(self):
        if self.autocast is None:  # validate() without a fit
            self.before_fit()

    def before_batch(self):
        self.autocast.__enter__()
        self.inside = True

    def after_pred(self):
        if isinstance(self.pred, torch.Tensor):
            self.learn.pred = self.pred.float()  # (B, C): losses, metrics and numpy want float32

    def after_loss(self):
        self._leave()
        if isinstance(self.pred, LMOutput):  # metrics run its decoder outside autocast
            raw, dropped = self.pred.raw.float(), self.pred.dropped.float()  # (B, T, E) each
            self.learn.pred = replace(self.pred, raw=raw, dropped=dropped)

    def before_backward(self):
        if self.scaler is not None:
            self.learn.loss_grad = self.scaler.scale(self.loss_grad)

    def before_step(self):
        if self.scaler is not None:
            self.scaler.unscale_(self.opt.opt)

    def cleanup_batch(self):
        self._leave()

    def cleanup_fit(self):
        if self.learn.opt is not None:
            self.learn.opt.scaler = None

    def _leave(self):
        if self.inside:
            self.autocast.__exit__(None, None, None)
            self.inside = False


def precision_of(learn: "Learner") -> str:
    """Return the precision that a fit trains in: "fp32", "bf16" or "fp16"."""
    return next((cb.precision for cb in reversed(learn.cbs) if isinstance(cb, MixedPrecision)), "fp32")


def to_precision(learn: L, precision: str, chosen_by_library: bool = False) -> L:
    """Compute in "fp32", "bf16" or "fp16" from now on. Return the learner.

    Args:
        chosen_by_library: if True, a resumed checkpoint may change the precision again. See `CheckpointCallback`.
    """
    learn.precision_was_chosen = chosen_by_library
    theirs = [cb for cb in learn.cbs if isinstance(cb, MixedPrecision)]
    for cb in theirs:
        cb.dtype = precision
    return learn if theirs else learn.add_cbs(MixedPrecision(precision))


def to_bf16(learn: L) -> L:
    """Compute in bfloat16 where that is safe, with weights kept in float32. On a CPU too."""
    return learn.to_precision("bf16")


def to_fp16(learn: L) -> L:
    """Compute in float16 where that is safe, with a scaled loss. Needs a GPU."""
    return learn.to_precision("fp16")


def to_fp32(learn: L) -> L:
    """Compute in float32 again."""
    return learn.to_precision("fp32")
