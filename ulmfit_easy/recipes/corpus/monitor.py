"""Report the speed of a run, its progress and the time that is left."""

import math
import sys
import time
from collections.abc import Callable, Iterable
from statistics import median

from tqdm import tqdm

from ulmfit_easy.data import ranks
from ulmfit_easy.learner.callbacks.recorder import format_time
from ulmfit_easy.learner.events import REPORT, STOP, Callback, CancelFitException, CancelValidException
from ulmfit_easy.learner.learner import Learner
from ulmfit_easy.learner.losses import CrossEntropyLossFlat
from ulmfit_easy.learner.lr_find import on_trial
from ulmfit_easy.processes import world
from ulmfit_easy.terminal import is_hushed, say

EVERY = 300  # seconds between two lines of a log file, validations aside


class Stopwatch(Callback):
    """Times the first steps of a fit, then stops it. Nothing is validated."""

    order = STOP

    def __init__(self, n_steps: int, seconds: float, clock: Callable[[], float]):
        self.n_steps, self.seconds, self.clock, self.times = n_steps, seconds, clock, list[float]()

    def before_train(self):
        self.start = time.perf_counter()
        self.times.append(self.clock())

    def after_batch(self):
        self.times.append(self.clock())
        if max(ranks.largest(len(self.times) > self.n_steps, time.perf_counter() - self.start > self.seconds)):
            raise CancelFitException

    def before_validate(self):
        raise CancelValidException


def step_seconds(learn: Learner, cbs: Iterable[Callback] = (), n_steps: int = 20, seconds: float = 20.0,
                 clock: Callable[[], float] = time.perf_counter) -> float:
    """Measure the seconds of one training step on this machine. The learner stays as it is.

    Args:
        cbs: callbacks that the training will have, besides those of the learner.
        n_steps, seconds: how many steps to time, and for how long at most. The result is their median.
        clock: tells the time. By default it counts what other programs take of the processor, too.
    """
    watch = Stopwatch(n_steps, seconds, clock)
    on_trial(learn, lambda: learn.fit(1, cbs=[watch, *cbs]))
    steps = [b - a for a, b in zip(watch.times, watch.times[1:], strict=False)]
    return median(steps[1:] or steps)  # the first one warms up


class RunProgress(Callback):
    """One bar for a whole run in a terminal. In a log file a line at each validation, and one now and then.

    Both tell the share that is done, tokens per second, and the time left. They also tell the perplexity of the last
    training steps and of the last validation. The loss of a sampled softmax is an estimate, so the first is left out
    then.
    """

    order, STATE = REPORT, ("seconds", "valid")

    def __init__(self):
        self.before = 0.0  # seconds of the run before an interruption

    @property
    def seconds(self) -> float:
        """Return how long the run has trained, without interruptions."""
        return self.before + time.perf_counter() - self.start

    def load_state_dict(self, state: dict) -> None:
        self.before, self.valid = state["seconds"], state["valid"]

    def before_fit(self):
        self.start = self.told = time.perf_counter()
        self.tokens, self.valid, self.bar = 0, "", None

    def after_batch(self):
        if not self.training:
            return
        self.tokens += self.xb[0].numel() * world()
        bar = self.bar or self._opened(self.train_iter - 1)  # only now is it known where an interrupted run goes on
        if not bar.disable:
            bar.set_postfix_str(", ".join(self._words()), refresh=False)
            bar.update(self.train_iter - bar.n)
        elif time.perf_counter() - self.told > EVERY:
            self._tell(bar)

    def _opened(self, first: int) -> tqdm:
        self.first, self.total = first, self.n_epoch * len(self.dls.train)
        if first:
            say(f"going on after step {first:,} of {self.total:,}")
        self.bar = tqdm(total=self.total, initial=self.first, unit="step", disable=is_hushed() or None,
                        file=sys.stderr)
        return self.bar

    def after_epoch(self):
        bar = self.bar or self._opened(self.train_iter)  # it was interrupted just before
        self.valid = f"valid perplexity {self.recorder.value_of('perplexity'):.2f}"
        self._tell(bar)

    def cleanup_fit(self):
        if self.bar is not None:
            self.bar.close()

    def _words(self) -> list[str]:
        loss, speed = self.recorder.losses[-1], self.tokens / (time.perf_counter() - self.start)
        is_sum = type(self.loss_func) is not CrossEntropyLossFlat  # of what is more than one token's
        kind = "sampled loss" if self.model.head.sampler is not None else "loss" if is_sum else ""
        words = [f"{kind} {loss:.3f}" if kind else f"perplexity {math.exp(min(loss, 700)):.1f}"]
        return words + ([self.valid] if self.valid else []) + [f"{speed:,.0f} tokens/s"]

    def _tell(self, bar: tqdm) -> None:
        self.told, done = time.perf_counter(), self.train_iter
        left = (self.told - self.start) / max(1, done - self.first) * (self.total - done)
        line = [f"step {done:,} of {self.total:,} ({done / self.total:.0%})", *self._words(),
                f"{format_time(left)} left"]
        if bar.disable:
            say("  ".join(line))
        else:
            bar.write("  ".join(line))
