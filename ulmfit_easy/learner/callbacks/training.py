"""Callbacks that change how a step is made: modes, clipping, accumulation."""

import math

import torch

from ulmfit_easy.learner.events import ACCUMULATE, CLIP, FIRST, Callback, CancelBatchException
from ulmfit_easy.schema import number, takes, whole

__all__ = ["GradientAccumulation", "GradientClip", "TrainEvalCallback"]


class TrainEvalCallback(Callback):
    """Switch the model between training and evaluation mode, and count batches and epochs."""

    order = FIRST

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
    """Scale all gradients down together if their norm is above `max_norm`. `norm_type` 2 is the Euclidean norm."""

    order, run_valid = CLIP, False

    @takes({"max_norm": number(0, math.inf, without=[0]), "norm_type": number(0, math.inf, without=[0])})
    def __init__(self, max_norm: float = 1.0, norm_type: float = 2.0):
        self.max_norm, self.norm_type = max_norm, norm_type

    def before_step(self):
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.max_norm, self.norm_type)


class GradientAccumulation(Callback):
    """Make a step only after `n_acc` rows. A large batch then fits into the memory of a small one.

    The last rows of an epoch make a step too, even if they are fewer than `n_acc`. If an epoch is cancelled, the
    gradients of rows since the last step are dropped.
    """

    order, run_valid, STATE = ACCUMULATE, False, ("count",)

    count: float  # rows whose gradients wait for a step

    @takes({"n_acc": whole()})
    def __init__(self, n_acc: int = 32):
        self.n_acc, self.count = n_acc, 0

    def before_train(self):
        self.count = 0
        self.opt.zero_grad()

    def after_loss(self):
        rows = self.learn.n_rows or len(self.yb[0])
        self.count += rows
        self.learn.loss_grad = self.loss_grad * (rows / self.n_acc)

    def before_step(self):
        if self.count < self.n_acc and self.iter < self.n_iter - 1:
            raise CancelBatchException  # keep the gradients, make no step
        self.count = 0
