"""Callbacks that change how a step is made: modes, clipping, accumulation, precision."""

from dataclasses import replace

import torch

from ulmfit_easy.data.checks import check_counts, check_numbers
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.events import ACCUMULATE, CLIP, FIRST, PRECISION, Callback, CancelBatchException
from ulmfit_easy.models.precision import PRECISIONS
from ulmfit_easy.models.softmax import LMOutput
from ulmfit_easy.user_code import warn_user

__all__ = ["GradientAccumulation", "GradientClip", "MixedPrecision", "TrainEvalCallback"]


class TrainEvalCallback(Callback):
    """Switches the model between training and evaluation, and keeps count of progress."""

    order = FIRST

    def before_fit(self):
        self.learn.train_iter, self.learn.pct_train = 0, 0.0

    def before_train(self):
        self.learn.model.train()
        self.learn.training = True

    def before_validate(self):
        self.learn.model.eval()
        self.learn.training = False

    def before_batch(self):
        if self.training:
            self.learn.pct_train = (self.epoch + self.iter / self.n_iter) / self.n_epoch

    def after_batch(self):
        if self.training:
            self.learn.train_iter += 1
            self.learn.pct_train = (self.epoch + (self.iter + 1) / self.n_iter) / self.n_epoch

    def cleanup_fit(self):
        self.learn.training = False
        self.learn.pred = self.learn.loss = self.learn.loss_grad = None  # hold no graph after the fit
        self.learn.xb = self.learn.yb = ()
        if self.learn.opt is not None:
            self.learn.opt.zero_grad()


class GradientClip(Callback):
    """Scales all gradients down together where their norm is above `max_norm`."""

    order, run_valid = CLIP, False

    def __init__(self, max_norm: float = 1.0, norm_type: float = 2.0):
        check_numbers(0, without=[0], max_norm=max_norm, norm_type=norm_type)
        self.max_norm, self.norm_type = max_norm, norm_type

    def before_step(self):
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.max_norm, self.norm_type)


class GradientAccumulation(Callback):
    """Makes a step only after `n_acc` rows: a large batch in the memory of a small one.

    The last rows of an epoch make a step even if they are fewer, so that none is lost; where an epoch is cancelled,
    the rows that still wait for a step are dropped.
    """

    order, run_valid = ACCUMULATE, False

    def __init__(self, n_acc: int = 32):
        check_counts(n_acc=n_acc)
        self.n_acc, self.count = n_acc, 0

    def state_dict(self) -> dict:
        """Return the rows whose gradients wait for a step."""
        return {"count": self.count}

    def load_state_dict(self, state: dict):
        """Go on from `state_dict()`."""
        self.count = state["count"]

    def before_train(self):
        self.count = 0
        self.opt.zero_grad()

    def after_loss(self):
        rows = len(self.yb[0])
        self.count += rows
        self.learn.loss_grad = self.loss_grad * (rows / self.n_acc)

    def before_step(self):
        if self.count < self.n_acc and self.iter < self.n_iter - 1:
            raise CancelBatchException  # keep the gradients, make no step
        self.count = 0


class MixedPrecision(Callback):
    """Run the model in bfloat16 or float16 where that is safe. Weights and optimizer stay in float32.

    On a CPU it acts in training only: validation and predictions stay exact there. If a learner has several of these
    callbacks, the one that was added last acts.

    Args:
        dtype: "bf16", "fp16", or "fp32" to change nothing. None is bf16 on a CPU and on a GPU that has it, else fp16.
            Without a GPU, "fp16" warns and changes nothing: it would be slower and less exact.

    Raises:
        TrainingError: E502 for another `dtype`.
    """

    order = PRECISION
    autocast, scaler, inside = None, None, False

    def __init__(self, dtype: str | None = None):
        if dtype not in (None, *PRECISIONS):
            raise TrainingError("E502", received=f"dtype={dtype!r}", expected=f"None, {', '.join(PRECISIONS)}",
                                fix="use learn.to_bf16() or learn.to_fp16()")
        self.dtype = dtype

    def __call__(self, event: str):
        """Act on an event, unless in float32 or if a callback of this class was added later."""
        last = [cb for cb in self.learn.cbs if isinstance(cb, MixedPrecision)][-1:]
        if last in ([], [self]) and self.dtype != "fp32":  # []: it was removed by another callback of this event
            super().__call__(event)

    @property
    def precision(self) -> str:
        """The precision that a fit on the learner's device asks for: "fp32", "bf16" or "fp16"."""
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
            states = {"raw": self.pred.raw.float(), "dropped": self.pred.dropped.float()}  # (B, T, E)
            self.learn.pred = replace(self.pred, **states)

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
