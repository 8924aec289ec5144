"""NT-ASGD, the optimizer of the AWD-LSTM: plain SGD whose weights are averaged once it no longer improves."""

import math

from torch import Tensor

from ulmfit_easy.learner.events import AVERAGE, Callback
from ulmfit_easy.schema import takes, whole


class NTASGD(Callback):
    """Average the weights over all steps, beginning when the validation loss has stopped falling.

    Averaging begins after an epoch whose loss is above the lowest loss of all epochs before the last `n`. Training then
    continues with its own weights. Validation, `SaveModelCallback` and the end of the fit use the averages. With
    `opt_func=SGD` this is NT-ASGD. The paper trains for hundreds of epochs at a constant rate:

        cbs = [NTASGD(), GradientClip(0.25)]
        learn = language_model_learner(dls, AWD_LSTM, pretrained=False, opt_func=SGD, cbs=cbs)
        learn.fit(500, 30.0, wd=1.2e-6)

    Source: Merity et al. 2017 (arXiv 1708.02182), section 5, algorithm 1, with one check an epoch.

    Args:
        n: how many epochs to wait for a new lowest loss. 5 in the paper.
        monitor: the column of the table to watch. Lower must be better.
    """

    order, in_lr_find, STATE = AVERAGE, False, ("losses", "averages", "count")

    @takes({"n": whole(0)})
    def __init__(self, n: int = 5, monitor: str = "valid_loss"):
        self.n, self.monitor = n, monitor
        self.before_fit()

    def before_fit(self):
        self.losses, self.averages, self.count, self.own, self.were_swapped = [], None, 0, None, []

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state_dict()`."""
        super().load_state_dict(state)
        if self.averages:
            self.averages = {name: self.averages[name].to(p, copy=True) for name, p in self._weights()}

    def _weights(self) -> list[tuple[str, Tensor]]:
        return [(name, p.detach()) for name, p in self.model.named_parameters()]

    def after_step(self):
        if self.averages is None:
            return
        self.count += 1
        for name, p in self._weights():
            average = self.averages.setdefault(name, p.clone())
            average += (p - average) / self.count

    def _swap(self, averaged: bool) -> None:
        """Put the averages into the model, or its own weights again. If Ctrl-C breaks in, either can be asked again."""
        if averaged and self.count and self.own is None:
            self.own = {name: p.clone() for name, p in self._weights()}
        if self.own is not None:
            source = averaged and self.averages or self.own
            for name, p in self._weights():
                p.copy_(source[name])
        if not averaged:
            self.own = None

    def before_validate(self):
        self.were_swapped.append(self.own is not None)  # one validation may be asked for inside another
        self._swap(True)

    def cleanup_validate(self):
        self._swap(bool(self.were_swapped) and self.were_swapped.pop())

    def after_epoch(self):
        loss = self.recorder.value_of(self.monitor)
        loss = math.nan if loss is None else loss
        before = self.losses[: max(0, len(self.losses) - self.n)]
        if self.averages is None and before and loss > min(before):
            self.averages = {}
        self.losses.append(loss)
        self._swap(True)

    def cleanup_epoch(self):
        self._swap(False)

    def after_fit(self):
        self._swap(True)
        if self.own is not None:
            self.opt.weights_changed()
        self.own = None  # from here on the averages are the weights

    def cleanup_fit(self):
        self._swap(False)
        self.before_fit()
