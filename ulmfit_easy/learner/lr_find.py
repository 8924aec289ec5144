"""The learning-rate finder: try rising rates, look where the loss falls, put everything back (Smith 2015)."""

import copy
import math
from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from tqdm import tqdm

from ulmfit_easy._fastcore import listify
from ulmfit_easy.bars import progress_bar
from ulmfit_easy.data.random_state import random_state, set_random_state
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.contexts import trying
from ulmfit_easy.learner.events import CancelFitException, CancelValidException
from ulmfit_easy.learner.optim.schedule import ParamScheduler, SchedExp
from ulmfit_easy.schema import positive, takes, whole
from ulmfit_easy.user_code import warn_user

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner


T = TypeVar("T")


def valley(lrs: Sequence[float], losses: Sequence[float]) -> float:
    """Return the rate half-way down the longest fall of the losses: the default suggestion.

    The longest fall is the longest strictly decreasing subsequence of the losses. The rate is the one at the middle of
    it.
    """
    loss = np.asarray(losses, dtype=float)  # (n,)
    n = len(loss)
    fall = np.ones(n, dtype=int)  # length of the longest fall that ends at i
    for i in range(1, n):
        higher = loss[:i] > loss[i]
        if higher.any():
            fall[i] = fall[:i][higher].max() + 1
    end = int(fall.argmax())
    start = end - int(fall[end]) if end else 0  # -1 where the fall begins at the first point: fastai's index
    third = (end - start) / 3
    return float(lrs[max(0, start + int(third) + int(third / 2))])


def minimum(lrs: Sequence[float], losses: Sequence[float]) -> float:
    """Return a tenth of the rate at which the loss was lowest."""
    return float(lrs[int(np.argmin(losses))]) / 10


class LRFinder(ParamScheduler):
    """Raises the rate exponentially from batch to batch. Stops where the loss is four times its best, or NaN."""

    bar: tqdm | None = None  # one for all steps, whatever the epochs

    def __init__(self, start_lr: float = 1e-7, end_lr: float = 10, num_it: int = 100, stop_div: bool = True):
        self.num_it, self.stop_div, self.best = num_it, stop_div, math.inf
        super().__init__({"lr": SchedExp(start_lr, end_lr)})

    def before_fit(self):
        super().before_fit()
        if self.verbose:
            self.bar = progress_bar(total=self.num_it, desc="lr_find")

    def before_batch(self):
        pos = self.train_iter / self.num_it
        for name, schedule in self.scheds.items():
            self.learn.opt.set_hyper(name, schedule(pos))

    def after_batch(self):
        super().after_batch()
        if self.bar is not None:
            self.bar.update()
        losses = self.recorder.losses[-1:]  # none yet if the first batch was cancelled
        self.best = min([self.best, *losses])
        diverged = any((self.stop_div and loss > 4 * self.best) or not math.isfinite(loss) for loss in losses)
        if diverged or self.train_iter >= self.num_it:
            raise CancelFitException

    def before_validate(self):
        raise CancelValidException

    def cleanup_fit(self):
        super().cleanup_fit()
        if self.bar is not None:
            self.bar.close()


@takes({"start_lr": positive, "end_lr": positive, "num_it": whole(2)})
def lr_find(learn: "Learner", start_lr: float = 1e-7, end_lr: float = 10, num_it: int = 100, stop_div: bool = True,
            show_plot: bool = True, suggest_funcs: Callable | Sequence[Callable] = valley) -> Any:
    """Try rising rates and suggest some. Then put weights, optimizer and random state back.

    Suggestions look at the points from `num_it // 10` on, without the last five. If fewer than five are left (few
    steps, or a loss that soon was NaN), `lr_find` warns and looks at all of them. If none is left, it suggests
    `start_lr`.

    Returns:
        A named tuple `SuggestedLRs` with one rate for each function in `suggest_funcs`.
    """
    suggest_funcs = listify(suggest_funcs)
    if start_lr >= end_lr:
        raise ArgumentError("E603", received=f"start_lr={start_lr}, end_lr={end_lr}", expected="start_lr < end_lr",
                            fix="leave both out for their defaults")

    def look():
        learn.remove_cbs([cb for cb in learn.cbs if not cb.in_lr_find])
        finder = LRFinder(start_lr, end_lr, num_it, stop_div)
        learn.fit(num_it // max(1, len(learn.dls.train)) + 1, cbs=finder)

    on_trial(learn, look)
    lrs, losses = learn.recorder.lrs, learn.recorder.losses
    finite = next((i for i, v in enumerate(losses) if not math.isfinite(v)), len(losses))
    lrs, losses = lrs[:finite], losses[:finite]
    learn.recorder.lrs, learn.recorder.losses = lrs, losses
    first, last = num_it // 10, len(lrs) - 5
    if last - first < 5:  # too few points to leave any out
        fix, why = "raise num_it", ""
        if len(lrs) < num_it:
            fix = "find the rate before training: the losses of a trained model are noise; or lower start_lr"
            why = f" before the loss diverged (its lowest was {min(losses, default=math.nan):.2g})"
        warn_user(f"[E504] lr_find made {len(lrs)} steps{why}, too few for a curve: suggestions are rough. Fix: {fix}.")
        first, last = 0, len(lrs)
    names = [getattr(f, "__name__", type(f).__name__) for f in suggest_funcs]
    SuggestedLRs = namedtuple("SuggestedLRs", names, rename=True)  # type: ignore[misc]  # a lambda has no name: it is `_0`
    enough = last - first > 1
    found = SuggestedLRs(*(f(lrs[first:last], losses[first:last]) if enough else start_lr for f in suggest_funcs))
    if show_plot and enough:
        learn.recorder.plot_lr_find(suggestions=found._asdict())
    return found


def on_trial(learn: "Learner", body: Callable[[], T]) -> T:
    """Return what `body()` returns, which trains. Then put the learner back, bit for bit, even after an error.

    That is: weights, optimizer, loaders, callbacks, metrics, `verbose` and random state.
    """
    restorers: list = []

    def run() -> T:
        restorers.append(_restorer(learn))
        return body()

    return trying(learn, run, (lambda: [put_back() for put_back in restorers],))


def _restorer(learn: "Learner") -> Callable[[], None]:
    """Return a function that gives weights, optimizer, loaders and random state the values that they have now."""
    weights = {k: v.detach().clone() for k, v in learn.model.state_dict().items()}
    opt = learn.opt
    opt_state = None if opt is None else copy.deepcopy(opt.state_dict())
    loader = learn.dls.train
    loader_state = copy.deepcopy(loader.state_dict()) if hasattr(loader, "state_dict") else None
    was_training, rng = learn.model.training, random_state()
    kept = {name: getattr(learn, name, None) for name in ("opt", "phases", "reference")}

    def put_back():
        learn.model.load_state_dict(weights)
        learn.model.train(was_training)
        vars(learn).update(kept)
        if opt_state is not None:
            opt.load_state_dict(opt_state)
        if loader_state is not None:
            loader.load_state_dict(loader_state)
        set_random_state(rng)

    return put_back
