"""The ten ways to fine-tune of table 7 (Howard & Ruder 2018), as a table."""

from dataclasses import dataclass
from typing import Any, TypeVar

from ulmfit_easy.learner.callbacks.unfreezing import SCHEDULES, chain_thaw, gradual_unfreeze, scheduled
from ulmfit_easy.learner.learner import Learner
from ulmfit_easy.learner.optim.optimizer import Rate, discriminative
from ulmfit_easy.schema import checked, flag, one_of, takes, whole

__all__ = ["STRATEGIES", "Strategy"]

L = TypeVar("L", bound=Learner)


@dataclass(frozen=True)
class Strategy:
    """A way to fine-tune: which layer groups train when, at which rates, and on which schedule.

    Attributes:
        layers: which layer groups train: "all", "last", "gradual" (`gradual_unfreeze`) or "chain-thaw" (`chain_thaw`).
        discr: use discriminative rates, which fall from each layer group to the one below. Otherwise all have one rate.
        schedule: how the rates change: "flat", "stlr" (slanted triangular), "cos" (half a cosine) or "one_cycle".
    """

    layers: str = "all"
    discr: bool = False
    schedule: str = "flat"

    SETTINGS = {"layers": one_of(("all", "last", "gradual", "chain-thaw")), "discr": flag,
                "schedule": one_of(SCHEDULES)}

    def __post_init__(self):
        checked(self.SETTINGS, **vars(self))

    @takes({"epochs": whole()})
    def fit(self, learn: L, lr: float, epochs: int, **fit: Any) -> L:
        """Train a learner for `epochs` in all. Return the learner.

        Args:
            lr: the highest rate of the last layer group. In chain-thaw all other groups have a tenth of it.
            epochs: the number of epochs in all. "gradual" and "chain-thaw" take one for each layer group, and train all
                groups together for the rest, at least for one epoch.
            fit: more arguments for each fit, such as `cbs` and `wd`.
        """
        n = len(learn.freeze().opt.param_groups)
        rate: Rate = discriminative(lr) if self.discr else lr
        if self.layers == "gradual":
            return gradual_unfreeze(learn, lr, last_epochs=max(1, epochs - n + 1), schedule=self.schedule,
                                    factor=None if self.discr else 1.0, **fit)
        if self.layers == "chain-thaw":
            return chain_thaw(learn, lr, last_epochs=max(1, epochs - n), schedule=self.schedule, **fit)
        learn.freeze_to(0 if self.layers == "all" else -1)
        scheduled(learn, self.schedule, epochs, rate, **fit)
        return learn


STRATEGIES = {
    "from scratch": Strategy(),  # of a model with random weights
    "full": Strategy(),
    "full + discr": Strategy(discr=True),
    "last": Strategy("last"),
    "chain-thaw": Strategy("chain-thaw"),
    "freez": Strategy("gradual"),
    "freez + discr": Strategy("gradual", discr=True),
    "freez + stlr": Strategy("gradual", schedule="stlr"),
    "freez + cos": Strategy("gradual", schedule="cos"),
    "freez + discr + stlr": Strategy("gradual", discr=True, schedule="stlr"),  # ULMFiT
}
