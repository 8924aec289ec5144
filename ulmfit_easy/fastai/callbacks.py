"""Callbacks of fastai that no recipe and no app uses: quick looks, epochs skipped, what a fit has seen."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from ulmfit_easy._fastcore import listify
from ulmfit_easy.learner.events import REPORT, SCHEDULE, STOP, Callback, CancelTrainException, CancelValidException, Cbs
from ulmfit_easy.schema import share, takes, whole
from ulmfit_easy.terminal import in_notebook
from ulmfit_easy.viz import Live

__all__ = ["BnFreeze", "CollectDataCallback", "FetchPredsCallback", "ShortEpochCallback", "ShowGraphCallback",
           "SkipToEpoch"]


class ShortEpochCallback(Callback):
    """End each epoch after the first `pct` of its batches, to see quickly that everything runs.

    The schedule continues as if the epochs were whole.

    Args:
        pct: the share of the batches to run, 0 to 1. At least one is run.
        short_valid: shorten the validation in the same way.
    """

    order, in_lr_find = STOP, False

    @takes({"pct": share})
    def __init__(self, pct: float = 0.01, short_valid: bool = True):
        self.pct, self.short_valid = pct, short_valid

    def after_batch(self):
        if (self.iter + 1) / self.n_iter < self.pct:
            return
        if self.training:
            raise CancelTrainException
        if self.short_valid:
            raise CancelValidException


class SkipToEpoch(Callback):
    """Start a fit at `epoch`, counted from 0, with the rates that its schedule has there.

    Same as `fit(start_epoch=...)`.
    """

    order, in_lr_find = SCHEDULE, False

    @takes({"epoch": whole(0)})
    def __init__(self, epoch: int):
        self.first = epoch

    def before_fit(self):
        self.learn.start_epoch = max(self.learn.start_epoch, self.first)


class BnFreeze(Callback):
    """Keep the running mean and variance of frozen batch norms as they are.

    By default the learner trains batch norms even in frozen layer groups. Then this callback changes nothing. Build
    the learner with `train_bn=False` to freeze them.
    """

    def before_train(self):
        for m in self.model.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm) and not (m.affine and m.weight.requires_grad):
                m.eval()


class FetchPredsCallback(Callback):
    """Call `learn.get_preds` after each validation, and keep its result in `preds`. Takes the same arguments."""

    remove_on_fetch, in_lr_find = True, False

    def __init__(self, ds_idx: int = 1, dl: Iterable | None = None, with_input: bool = False,
                 with_decoded: bool = False, cbs: Cbs = None, reorder: bool = True):
        self.asked: dict[str, Any] = {
            "ds_idx": ds_idx, "dl": dl, "with_input": with_input, "with_decoded": with_decoded, "cbs": listify(cbs),
            "reorder": reorder}
        self.preds: tuple | None = None

    def after_validate(self):
        with self.learn.removed_cbs([cb for cb in self.learn.cbs if getattr(cb, "remove_on_fetch", False)]):
            self.preds = self.learn.get_preds(**self.asked)


class CollectDataCallback(Callback):
    """Collect `(xb, yb, pred, loss)` of each batch of a fit in the list `data`, on the CPU and without gradients.

    For a language model `pred` is None, because its output is not a tensor.
    """

    in_lr_find = False

    def before_fit(self):
        self.data = []

    def after_batch(self):
        self.data.append(tuple(_plain(v) for v in (self.xb, self.yb, self.pred, self.loss)))


def _plain(value: object) -> Tensor | tuple | None:
    if isinstance(value, tuple | list):
        return tuple(_plain(v) for v in value)
    return value.detach().cpu() if isinstance(value, Tensor) else None


class ShowGraphCallback(Callback):
    """Draw the losses of training and validation after each epoch. A notebook shows one plot that grows.

    Attributes:
        ax: the axes of the last plot.
    """

    order, in_lr_find, main_only = REPORT, False, True

    def before_fit(self):
        self.ax, self.output = None, Live()

    def after_epoch(self):
        if self.ax is not None:
            self.ax.clear()
        self.ax = self.recorder.plot_loss(skip_start=0, ax=self.ax)
        if in_notebook() and self.verbose:
            self.output.show(self.ax.figure)

    def after_fit(self):
        if self.ax is not None and in_notebook():
            import matplotlib.pyplot as plt

            plt.close(self.ax.figure)  # else the notebook shows it once more
