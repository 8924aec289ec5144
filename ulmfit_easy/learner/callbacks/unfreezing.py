"""In which order the layer groups learn: gradual unfreezing, from the last one down, and chain-thaw, one at a time.

Source: Howard & Ruder 2018, section 3.3. Chain-thaw: Felbo et al. 2017, arXiv 1708.00524, section 3.3.
"""

from typing import TYPE_CHECKING, Any, TypeVar

from ulmfit_easy.learner.events import FIRST, Callback
from ulmfit_easy.learner.optim.optimizer import Rate, discriminative
from ulmfit_easy.schema import one_of, optional, positive, takes, whole

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner

L = TypeVar("L", bound="Learner")
SCHEDULES: dict[str, tuple[str, dict]] = {  # the method of a learner, and arguments of it
    "stlr": ("fit_stlr", {}), "one_cycle": ("fit_one_cycle", {}), "flat": ("fit", {}),
    "cos": ("fit_flat_cos", {"pct_start": 0})}


class GradualUnfreezing(Callback):
    """Unfreeze layer groups during a fit: train the last one first, and add one after every `epochs` epochs.

    The whole fit has one schedule. `gradual_unfreeze` instead gives each phase its own schedule, as in the paper. Give
    the fit `discriminative` rates, so that lower groups change less.

    Args:
        epochs: how long each phase is.
        groups: how many layer groups to add each time. 1 suits an AWD-LSTM. Take a few, such as 3, for a transformer
            of many blocks.
    """

    order, in_lr_find = FIRST, False

    @takes({"epochs": whole(), "groups": whole()})
    def __init__(self, epochs: int = 1, *, groups: int = 1):
        self.epochs, self.groups = epochs, groups

    def before_fit(self):
        self.learn.freeze()  # however far an older fit came

    def before_epoch(self):
        n = min(1 + self.epoch // self.epochs * self.groups, len(self.opt.param_groups))  # groups that train
        if self.opt.frozen_idx != len(self.opt.param_groups) - n:
            self.learn.freeze_to(-n)


@takes({"epochs": whole(), "last_epochs": whole(), "groups": whole(), "factor": optional(positive),
        "schedule": one_of(SCHEDULES)})
def gradual_unfreeze(learn: L, lr: float = 1e-2, *, epochs: int = 1, last_epochs: int = 2, groups: int = 1,
                     factor: float | None = None, schedule: str = "stlr", **fit: Any) -> L:
    """Unfreeze layer groups one by one, from the last one down.

    Each phase is a fit with its own schedule. Return the learner.

    Args:
        lr: the highest rate of the last group, .01 as in the paper. For a transformer use about 2e-4.
        epochs: the epochs of each phase, 1 as in the paper. The last phase, with all groups, has `last_epochs`.
        groups: how many layer groups to add in each phase. The first one trains the last group alone. Take a few, such
            as 3, for a transformer of many blocks.
        factor: what rates are divided by from one group to the one below (section 3.2 of the paper). None is the
            encoder's own: 2.6, for transformers 1 / 0.95.
        schedule: "stlr", as in the paper, "one_cycle", "flat" or "cos", half a cosine from the rate down to 0.
        fit: more arguments for each fit, such as `cbs` and `wd`. With a `CheckpointCallback(resume=True)` in `cbs`, a
            stopped run resumes in its phase.
    """
    learn.freeze()
    n_groups = len(learn.opt.param_groups)
    for n in [*range(1, n_groups, groups), n_groups]:
        learn.freeze_to(-n)
        scheduled(learn, schedule, last_epochs if n == n_groups else epochs, discriminative(lr, factor), **fit)
    return learn


@takes({"lr": positive, "epochs": whole(), "last_epochs": whole(), "div": positive, "schedule": one_of(SCHEDULES)})
def chain_thaw(learn: L, lr: float = 1e-3, *, epochs: int = 1, last_epochs: int = 2, div: float = 10,
               schedule: str = "flat", **fit: Any) -> L:
    """Train the last layer group, then each other group alone, from the first one on, then all. Return the learner.

    Args:
        lr: the rate of the last group while it trains alone, .001 as in table 7 of the ULMFiT paper.
        epochs: how long each group trains alone. All groups together then train for `last_epochs`.
        div: after the last group, the rate is `lr / div`, by default .0001 as in the paper.
        schedule, fit: the schedule and more arguments of each fit, as for `gradual_unfreeze`.

    Source: Felbo et al. 2017, section 3.3 (arXiv 1708.00524). Howard & Ruder 2018 compare with it in table 7.
    """
    learn.freeze()
    scheduled(learn, schedule, epochs, lr, **fit)
    n_groups = len(learn.opt.param_groups)
    for n in range(n_groups - 1):
        learn.freeze_to(n)
        alone = [lr / div if i == n else 0.0 for i in range(n_groups)]  # a rate of 0 moves nothing
        scheduled(learn, schedule, epochs, alone, **fit)
    learn.unfreeze()
    scheduled(learn, schedule, last_epochs, lr / div, **fit)
    return learn


def scheduled(learn: "Learner", schedule: str, epochs: int, lr: Rate, **fit: Any) -> None:
    """Fit for some epochs with the schedule of a name of `SCHEDULES`, up to these rates."""
    method, given = SCHEDULES[schedule]
    getattr(learn, method)(epochs, lr, **given, **fit)
