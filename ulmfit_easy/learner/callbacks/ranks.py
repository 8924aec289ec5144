"""Training in several processes: each reads its part of a batch, and all take the same step."""

import copy
from types import MethodType
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

import ulmfit_easy
from ulmfit_easy.data import ranks
from ulmfit_easy.data.order import EpochOrder
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.callbacks.run_id import run_id
from ulmfit_easy.learner.events import RANKS, Callback
from ulmfit_easy.learner.metrics.metric import Metric, n_items
from ulmfit_easy.models.precision import at_least_float32
from ulmfit_easy.processes import is_main, rank, world


class Ranks(Callback):
    """Let several processes train one model. A learner has this callback if a launcher started more than one.

    Each process reads its part of each batch, see `DataLoaders.shard`. A step is that of the whole batch. A loss
    weighs as much as its rows or tokens, gradients are averaged, and batch norm sees all rows. So the weights are equal
    in all processes, and so are losses and metrics. In a fit each row to validate with is read once. Outside a fit
    (`validate`, `get_preds`, `predict`) a process reads all rows by itself and waits for no other.

    Gradients are averaged after the backward pass, without torch's DistributedDataParallel. So nothing wraps the model.
    Names of weights, layer groups, frozen groups and weight drop stay as they are, and a step may leave out parameters.
    DistributedDataParallel would also send gradients during the backward pass. That would save little, because the
    largest one, of the embedding, comes last.

    Raises: E513 before training if data, model or versions differ. E508 if another process has ended.
    """

    order = RANKS
    divided = False  # True while a validation reads its part alone

    def after_create(self):
        ranks.start()
        self._divide()

    def _divide(self):
        dls = self.learn.dls
        if len(dls.train) and getattr(dls.train, "world", 1) == 1:
            self.learn.dls = dls.shard(rank(), world())
            self.learn.dls.valid = dls.valid  # whole, for all who ask outside a fit

    def before_fit(self):
        self._divide()
        for cb in self.learn.cbs:
            cb.run = cb.run and (is_main() or not cb.main_only)
        self._compare()
        self.learn.dls.train.load_state_dict(ranks.gathered(self.learn.dls.train.state_dict())[0])
        ranks.like_main([t.detach() for t in self.learn.model.state_dict().values()])
        ranks.own_random()
        for module in self.learn.model.modules():
            if isinstance(module, _BatchNorm):
                vars(module)["forward"] = MethodType(synced, module)

    def _compare(self):
        """Raise E513 if this fit is not the same in all processes."""
        here = {**run_id(self.learn), "torch": torch.__version__, "ulmfit_easy": ulmfit_easy.__version__}
        first, *others = ranks.gathered(here)
        differ = [f"{name} {first[name]} and {other[name]}" for other in others for name in first
                  if first[name] != other[name]]
        if differ:
            raise TrainingError("E513", received=f"processes with {'; '.join(dict.fromkeys(differ))}",
                                expected="the same data, model and versions in all of them",
                                fix="build data and learner outside of `if learn.is_main:`, with seed= for the split")

    def after_loss(self):
        if not self.training:
            return
        n, rows = n_items(self.learn), len(self.yb[0])
        whole = ranks.summed(torch.stack([self.loss.new_tensor(n), self.loss.mean() * n, self.loss.new_tensor(rows)]))
        self.share = n * world() / whole[0].clamp_min(1)
        self.learn.loss = whole[1] / whole[0].clamp_min(1)
        self.learn.n_rows = float(whole[2]) / world()

    def before_backward(self):
        self.learn.loss_grad = self.loss_grad * self.share

    def before_step(self):
        ranks.mean_gradients([p for p in self.learn.model.parameters() if p.requires_grad])

    def after_train(self):
        for metric in self.recorder.in_training:
            join(metric)

    def before_validate(self):
        dl = self.learn.dl
        self.divided = dl is self.learn.dls.valid and isinstance(dl, EpochOrder)  # and no question inside a fit
        if self.divided:
            self.learn.dl = dl.shard(rank(), world())

    def after_validate(self):
        if self.divided:
            for metric in self.recorder._in_validation:
                join(metric)

    def cleanup_validate(self):
        self.divided = False

    def after_fit(self):
        ranks.same_random()  # as the main one goes on

    def cleanup_fit(self):
        for module in self.learn.model.modules():
            if isinstance(module, _BatchNorm):
                vars(module).pop("forward", None)


def join(metric: Metric) -> None:
    """Put what all processes measured into a metric: numbers add up, and lists follow each other.

    What `reset` and `accumulate` do not change stays.
    """
    states = ranks.gathered({name: value[:] if isinstance(value, list) else value
                             for name, value in metric.state_dict().items()})
    empty = copy.copy(metric)
    empty.reset()
    start = empty.state_dict()
    vars(metric).update({name: _joined([state[name] for state in states], start[name]) for name in start})


def _joined(values: list, start: Any) -> Any:
    if isinstance(start, list) and not start:
        return [each for value in values for each in value]
    if isinstance(start, list):
        return [_joined(list(each), first) for each, first in zip(zip(*values, strict=True), start, strict=True)]
    if isinstance(start, bool):
        return any(values)
    return start + sum(value - start for value in values)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes, and of its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return ranks.summed(x.clone())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return ranks.summed(grad.clone())


def synced(self: Any, x: Tensor) -> Tensor:
    """Do what a batch norm does, in training over the rows of all processes. torch's `SyncBatchNorm` needs GPUs.

    One row in all, which has no variance, is left to the module itself.
    """
    dims = [i for i in range(x.ndim) if i != 1]  # all but the features: (B, E) or (B, E, T)
    n = ranks.summed(x.new_tensor(x.numel() / x.shape[1], dtype=torch.float64)) if self.training else 0
    if n <= 1:
        return type(self).forward(self, x)
    view = [-1 if i == 1 else 1 for i in range(x.ndim)]
    wide = x.to(at_least_float32(x))
    mean = _Sum.apply(wide.sum(dims)) / n  # (E,)
    centred = wide - mean.view(view)
    var = _Sum.apply(centred.pow(2).sum(dims)) / n  # (E,)
    if self.track_running_stats:
        self.num_batches_tracked += 1
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        with torch.no_grad():
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(var * n / (n - 1), momentum)
    out = centred * torch.rsqrt(var + self.eps).view(view)
    return (out * self.weight.view(view) + self.bias.view(view) if self.affine else out).to(x.dtype)
