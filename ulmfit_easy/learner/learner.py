"""The `Learner`: a model, its data and an optimizer, and the loop that brings them together."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from ulmfit_easy._fastcore import ifnone, listify
from ulmfit_easy.absent import TellsAbsent, gone
from ulmfit_easy.cleanup import surely
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.on_device import OnDevice
from ulmfit_easy.data.order import EpochOrder
from ulmfit_easy.errors import ArgumentTypeError, TrainingError
from ulmfit_easy.learner import contexts, inference, summary, weights
from ulmfit_easy.learner.callbacks import precision
from ulmfit_easy.learner.callbacks.progress import ProgressCallback
from ulmfit_easy.learner.callbacks.recorder import Recorder
from ulmfit_easy.learner.callbacks.training import TrainEvalCallback
from ulmfit_easy.learner.events import CANCEL, EVENTS, Callback, Cbs
from ulmfit_easy.learner.lr_find import lr_find
from ulmfit_easy.learner.made import made
from ulmfit_easy.learner.metrics.metric import Metric, as_metric
from ulmfit_easy.learner.optim import groups, schedule
from ulmfit_easy.learner.optim.groups import trainable_params
from ulmfit_easy.learner.optim.optimizer import Adam, Optimizer, Rate, momenta, rate
from ulmfit_easy.learner.summary import one_line
from ulmfit_easy.learner.tasks import TASKS, Task
from ulmfit_easy.learner.turns import Turn
from ulmfit_easy.processes import is_main, world
from ulmfit_easy.schema import flag, function, optional, path, takes, whole

Moms = tuple[float, float, float]


class Learner(TellsAbsent):
    """Train a model on data with an optimizer: the training loop, with fastai's names.

    Args:
        dls: `DataLoaders`.
        model: any `nn.Module` that takes the inputs of a batch.
        loss_func: a function of (prediction, targets) that returns a scalar. By default one that fits the labels. If
            it has `activation` and `decodes`, these turn predictions into probabilities and classes.
        opt_func: a function of (layer groups, lr=...) that returns an `Optimizer`.
        lr, wd: the rate and weight decay of a `fit` to which you give none. None is the optimizer's own default. For
            `lr` this is 1e-3, unless `opt_func` is a `partial` with another.
        splitter: a function of the model that returns its layer groups, input side first.
        cbs: callbacks for all fits.
        metrics: functions of (prediction, targets), or `Metric`s.
        path, model_dir: where `save` writes, relative to the working folder.
        wd_bn_bias: apply weight decay to norms and biases too.
        train_bn: train batch norms even in frozen layer groups.
        moms: the momentum at the start, the middle and the end of `fit_one_cycle`.
        default_cbs: add `TrainEvalCallback`, `Recorder` and `ProgressCallback`.
        verbose: False prints nothing: no table, no bar.
    """

    opt: Optimizer | Any  # None before the first fit
    dl: EpochOrder | OnDevice | Any  # that gives the batches now
    xb: tuple
    yb: tuple
    pred: Any  # what the model returned for this batch, or what a callback made of it
    loss: Tensor | Any  # of this batch; None without a target
    loss_grad: Tensor | Any
    recorder: Recorder  # every callback is known by its name
    smooth_loss: float | None
    n_rows: float | None = None  # of this batch in each of several processes, their mean
    final_record: list

    @takes({"loss_func": optional(function), "opt_func": function, "lr": optional(rate), "splitter": function,
            "path": optional(path), "model_dir": path, "wd": optional(rate), "wd_bn_bias": flag, "train_bn": flag,
            "moms": momenta, "default_cbs": flag, "verbose": flag})
    def __init__(self, dls: DataLoaders, model: nn.Module, loss_func: Callable | None = None, opt_func: Callable = Adam,
                 lr: Rate | None = None, splitter: Callable = trainable_params, cbs: Cbs = None,
                 metrics: Callable | Metric | Sequence[Callable | Metric] | None = None, path: str | Path | None = None,
                 model_dir: str = "models", wd: float | None = None, wd_bn_bias: bool = False, train_bn: bool = True,
                 moms: Moms = (0.95, 0.85, 0.95), default_cbs: bool = True, *, verbose: bool = True):
        self.task: Task | Any = TASKS.get(getattr(dls, "task", ""))  # None for data that this library did not make
        if loss_func is None:
            if self.task is None:
                raise TrainingError("E506", received="a learner without a loss", expected="loss_func",
                                    fix="pass loss_func=CrossEntropyLossFlat() or another function of (pred, target)")
            loss_func = self.task.loss(None)
        self.dls, self.model = dls, model.to(dls.device)
        self.loss_func = made(loss_func, object, "loss_func")
        self.opt_func, self.splitter, self.moms = opt_func, splitter, moms
        self.lr = getattr(opt_func, "keywords", {}).get("lr", 1e-3) if lr is None else lr  # that of a partial
        self.wd, self.wd_bn_bias, self.train_bn = wd, wd_bn_bias, train_bn
        self.path, self.model_dir = Path(path if path is not None else dls.path), model_dir
        self.metrics = [as_metric(m) for m in listify(metrics)]
        self.opt, self.training, self.epoch, self.n_epoch, self.iter, self.n_iter = None, False, 0, 1, 0, 0
        self.pct_train, self.train_iter, self.start_epoch, self.verbose = 0.0, 0, 0, verbose
        self.precision_was_chosen = False
        self.checkpointed = Counter[Path]()  # fits that are over, by the folder of their CheckpointCallback
        self.dl, self.xb, self.yb, self.pred, self.loss, self.loss_grad = None, (), (), None, None, None
        self.cbs: list[Callback] = []
        self.turn = Turn()
        self.add_cbs([TrainEvalCallback(), Recorder(), ProgressCallback()] if default_cbs else [])
        self.add_cbs(cbs)
        if world() > 1:
            from ulmfit_easy.learner.callbacks.ranks import Ranks

            self.add_cbs(Ranks)
        self("after_create")

    def __repr__(self) -> str:
        return one_line(self)

    is_main = property(lambda self: is_main(), doc="True in the process that prints and writes: the first of several.")
    x = property(lambda self: self.xb[0] if len(self.xb) == 1 else self.xb, doc="The input; a tuple of several.")
    y = property(lambda self: self.yb[0] if len(self.yb) == 1 else self.yb, doc="The target; a tuple of several.")
    crit = gone("Learner", "crit")

    def _split(self, batch: Sequence) -> tuple[tuple, tuple]:
        n_inp = ifnone(self.dls.n_inp, max(1, len(batch) - 1))
        return tuple(batch[:n_inp]), tuple(batch[n_inp:])

    # --- the loop -----------------------------------------------------------------------------------------------

    @takes({"n_epoch": whole(0), "start_epoch": whole(0)})
    def fit(self, n_epoch: int, lr: Rate | None = None, wd: float | None = None, cbs: Cbs = None,
            reset_opt: bool = False, start_epoch: int = 0) -> None:
        """Train for `n_epoch` epochs at a constant rate, validating after each. `cbs` are there for this fit only."""
        before = self.checkpointed.copy()
        try:
            contexts.fitting(self, lambda: self._fit(n_epoch, lr, wd, cbs, reset_opt, start_epoch))
        except BaseException:
            self.checkpointed = before  # Ctrl-C after its last batch: the next fit is this one, asked for again
            raise

    def _fit(self, n_epoch: int, lr: Rate | None, wd: float | None, cbs: Cbs, reset_opt: bool,
             start_epoch: int) -> None:
        if not len(self.dls.train):
            raise TrainingError("E506", received="a learner without training data, as load_learner gives",
                                expected="texts to learn from", fix="build a learner with data")
        if reset_opt or self.opt is None:
            self.create_opt()
        if wd is not None or self.wd is not None:
            self.opt.set_hyper("wd", ifnone(wd, self.wd))
        self.opt.set_hyper("lr", ifnone(lr, self.lr))
        self.n_epoch, self.start_epoch = n_epoch, start_epoch
        self.add_cbs(cbs)
        self._with_events("fit", self._do_fit)

    def _do_fit(self):
        for self.epoch in range(self.start_epoch, self.n_epoch):  # a checkpoint may have moved the start  # noqa: B020
            self._with_events("epoch", self._do_epoch)

    def _do_epoch(self):
        self.dl = self.dls.train
        self._with_events("train", self._all_batches)
        self._do_validate(self.dls.valid)

    def _do_validate(self, dl: EpochOrder | OnDevice) -> None:
        self.dl = dl
        with torch.no_grad():
            self._with_events("validate", self._all_batches)

    def _all_batches(self):
        self.n_iter = len(self.dl)
        for self.iter, batch in enumerate(self.dl, getattr(self.dl, "position", 0)):  # noqa: B020
            self.xb, self.yb = self._split(batch)
            self.pred = self.loss = self.loss_grad = None  # a batch that is cancelled has none, not the last one's
            self._with_events("batch", self._do_batch)

    def _do_batch(self):
        self.pred = self.model(*self.xb)
        self("after_pred")
        if self.yb:
            self.loss_grad = self.loss_func(self.pred, *self.yb)
            self.loss = self.loss_grad.detach()  # what is logged; regularisers change loss_grad only
            self("after_loss")
        if self.training and self.yb:
            self._with_events("backward", lambda: self.loss_grad.backward())  # a callback may replace it
            self._with_events("step", self.opt.step)
            self.opt.zero_grad()

    def _with_events(self, name: str, f: Callable[[], None]) -> None:
        """Run `f` between `before_x` and `after_x`. A Cancel exception of x goes to `after_cancel_x`."""
        cleanup = f"cleanup_{name}"
        surely(lambda: self._between(name, f),
               lambda: [(cb, cleanup) for cb in reversed(self._sorted_cbs())] if cleanup in EVENTS else [])

    def _between(self, name: str, f: Callable[[], None]) -> None:
        try:
            self(f"before_{name}")
            f()
        except CANCEL[name]:
            self(f"after_cancel_{name}")
        self(f"after_{name}")

    def __call__(self, event: str) -> None:
        """Send an event to all callbacks, by their order."""
        for cb in self._sorted_cbs():
            cb(event)

    def _sorted_cbs(self) -> list[Callback]:
        return sorted(self.cbs, key=lambda cb: cb.order)

    # --- callbacks ----------------------------------------------------------------------------------------------

    def add_cbs(self, cbs: Cbs) -> Self:
        """Add callbacks (instances or classes) that are not there yet. Each is then known as `learn.<its name>`."""
        for cb in listify(cbs):
            cb = made(cb, Callback, "cbs")
            if not isinstance(cb, Callback):
                raise ArgumentTypeError("E601", received=f"cbs with {cb!r}", expected="callbacks",
                                        fix="write a subclass of Callback with a method for each event")
            cb.learn = self
            self._have_cbs([*self.cbs, *([] if cb in self.cbs else [cb])])
        return self

    def remove_cbs(self, cbs: Cbs) -> Self:
        """Remove callbacks (instances or classes)."""
        return self._have_cbs([c for c in self.cbs if not any(c is o or c.__class__ is o for o in listify(cbs))])

    def _have_cbs(self, cbs: list[Callback]) -> Self:
        """Replace the callbacks. Each is known by its name, unless a method or the model has that name."""
        mine = vars(self)
        for name in [name for name, value in mine.items() if any(value is cb for cb in self.cbs)]:
            del mine[name]
        self.cbs[:] = cbs
        mine.update({cb.name: cb for cb in cbs if isinstance(getattr(self, cb.name, cb), Callback)})
        return self

    add_cb, remove_cb = add_cbs, remove_cbs

    # --- methods that live elsewhere ------------------------------------------------------------------------------

    added_cbs, removed_cbs, validation_context = contexts.added_cbs, contexts.removed_cbs, contexts.validation_context
    no_bar, no_mbar, no_logging = contexts.no_bar, contexts.no_mbar, contexts.no_logging
    create_opt, freeze_to = groups.create_opt, groups.freeze_to
    freeze, unfreeze = groups.freeze, groups.unfreeze
    fit_one_cycle, fit_flat_cos, fit_sgdr = schedule.fit_one_cycle, schedule.fit_flat_cos, schedule.fit_sgdr
    fit_stlr, fine_tune, lr_find = schedule.fit_stlr, schedule.fine_tune, lr_find
    validate, get_preds = inference.validate, inference.get_preds
    predict, show_results = inference.predict, inference.show_results
    predictor = property(inference.predictor)
    save, load = weights.save, weights.load
    show_training_loop, summary = summary.show_training_loop, summary.summary
    to_precision, to_bf16, to_fp16 = precision.to_precision, precision.to_bf16, precision.to_fp16
    to_fp32, precision = precision.to_fp32, property(precision.precision_of)
