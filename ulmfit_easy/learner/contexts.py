"""Change a learner for a while: its callbacks, what it prints, and which thread has it for itself."""

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeVar

import torch

from ulmfit_easy._fastcore import listify
from ulmfit_easy.cleanup import surely
from ulmfit_easy.learner.callbacks.progress import ProgressCallback
from ulmfit_easy.learner.events import Callback, Cbs
from ulmfit_easy.learner.made import made
from ulmfit_easy.learner.turns import FITS
from ulmfit_easy.user_code import UNCHANGED, tell_interrupt

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner

L = TypeVar("L", bound="Learner")
T = TypeVar("T")
LOOP = ("dl", "iter", "n_iter", "xb", "yb", "pred", "loss", "loss_grad", "training")  # what a pass over data changes


@contextmanager
def added_cbs(learn: L, cbs: Cbs) -> Iterator[L]:
    """Add callbacks in a `with` block. One that the learner has already acts once."""
    new = [made(cb, Callback, "cbs") for cb in listify(cbs) if cb not in learn.cbs]
    try:
        learn.add_cbs(new)
        yield learn
    finally:
        learn.remove_cbs(new)  # and no other: Python may come here late, if Ctrl-C breaks into the end of the block


@contextmanager
def removed_cbs(learn: L, cbs: Cbs) -> Iterator[L]:
    """Remove callbacks (instances or classes) in a `with` block."""
    before = list(learn.cbs)
    try:
        learn.remove_cbs(cbs)
        yield learn
    finally:
        learn._have_cbs([*before, *(cb for cb in learn.cbs if cb not in before)])


@contextmanager
def replaced(learn: L, things: Sequence, name: str, value: object) -> Iterator[L]:
    """Give the attribute `name` of each of `things`, parts of a learner, another value in a `with` block."""
    before = [getattr(thing, name) for thing in things]
    try:
        for thing in things:
            setattr(thing, name, value)
        yield learn
    finally:
        for thing, old in zip(things, before, strict=True):
            setattr(thing, name, old)


def no_bar(learn: L) -> AbstractContextManager[L]:
    """Show no progress bar in a `with` block. The table of the epochs stays."""
    return replaced(learn, _progress(learn), "with_bar", False)


def no_mbar(learn: L) -> AbstractContextManager[L]:
    """Show no table of the epochs in a `with` block. The bar stays."""
    return replaced(learn, _progress(learn), "with_table", False)


def _progress(learn: "Learner") -> list[Callback]:
    return [cb for cb in learn.cbs if isinstance(cb, ProgressCallback)]


def no_logging(learn: L) -> AbstractContextManager[L]:
    """Print nothing in a `with` block."""
    return replaced(learn, [learn], "verbose", False)


@contextmanager
def validation_context(learn: L, cbs: Cbs = None, inner: bool = False) -> Iterator[L]:
    """Print nothing and add callbacks in a `with` block.

    Args:
        inner: Ignored; kept for fastai compatibility.
    """
    with no_logging(learn), added_cbs(learn, cbs):
        yield learn


def asking(learn: "Learner", body: Callable[[], T]) -> T:
    """Return what `body()` returns, which reads data without training. Then put the learner back as it was.

    Other threads wait until it is done.

    Raises: TrainingError E506 while another thread trains this learner.
    """
    return _alone(learn, body, training=False)


def fitting(learn: "Learner", body: Callable[[], T]) -> T:
    """Return what `body()` returns, which trains. Then remove the callbacks that it added. Fits wait for each other."""
    return _alone(learn, body, training=True)


def trying(learn: "Learner", body: Callable[[], T], *steps: tuple) -> T:
    """Return what `body()` returns, a fit on trial. Then put callbacks back, and run `steps` as `surely` does."""
    return _alone(learn, body, training=True, steps=steps)


def _alone(learn: "Learner", body: Callable[[], T], training: bool, steps: Iterable[tuple] = ()) -> T:
    """Run `body` in this thread alone. Even Ctrl-C leaves gradients, autocast and callbacks as they were."""
    before: dict = {}
    gives = [(turn.give,) for turn in ([FITS] if training else []) + [learn.turn] if not turn.is_mine]

    def run() -> T:
        if training:
            FITS.take()
        if not learn.turn.is_mine:
            learn.turn.take(training)
        before.update(_state(learn, training))
        if training:
            learn.train_iter, learn.pct_train = 0, 0.0
        try:
            result = body()
        except KeyboardInterrupt as e:
            tell_interrupt(e, _stopped(learn) if training and not steps else UNCHANGED)
            raise
        before["changed"] = training and not steps
        return result

    return surely(run, lambda: [*gives, (_put_back, learn, before), *(steps if before else ())])


def _stopped(learn: "Learner") -> str:
    """Return a line about a learner whose fit was interrupted."""
    total = learn.n_epoch * len(learn.dls.train)
    after = f" after {round(learn.pct_train * total):,} of {total:,} batches" if learn.train_iter else ""
    resume = ("make the learner again, and fit with resume=True of its CheckpointCallback to go on"
              if hasattr(learn, "checkpoint") else "to begin again, make the learner again, or load what you saved")
    return f"Stopped{after}. The weights {'have' if after else 'may have'} changed: {resume}."


def _state(learn: "Learner", training: bool) -> dict:
    device = learn.dls.device.type
    return {"changed": False, "grad": torch.is_grad_enabled(), "device": device, "nesting": _nesting(),
            "autocast": (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device),
                         torch.is_autocast_cache_enabled()),
            "cbs": list(learn.cbs), "learner": {name: getattr(learn, name) for name in ("metrics", "verbose")},
            "loop": {} if training else {name: getattr(learn, name) for name in LOOP},
            "modes": [] if training else [(module, module.training) for module in learn.model.modules()]}


def _put_back(learn: "Learner", before: dict) -> None:
    if not before:
        return
    torch.set_grad_enabled(before["grad"])
    vars(learn).update(before["loop"])
    for module, mode in before["modes"]:
        module.training = mode
    if before["changed"]:
        learn._have_cbs([cb for cb in before["cbs"] if cb in learn.cbs])
        return
    enabled, dtype, cache = before["autocast"]
    torch.set_autocast_enabled(before["device"], enabled)
    torch.set_autocast_dtype(before["device"], dtype)
    torch.set_autocast_cache_enabled(cache)
    while _nesting() > before["nesting"]:
        torch.autocast_decrement_nesting()
    while _nesting() < before["nesting"]:  # left twice
        torch.autocast_increment_nesting()
    torch.clear_autocast_cache()
    learn._have_cbs(before["cbs"])
    vars(learn).update(before["learner"])


def _nesting() -> int:
    """Return how many blocks of autocast this thread is in. No signal comes between the two calls."""
    return [*map(operator.call, (torch.autocast_increment_nesting, torch.autocast_decrement_nesting))][1]
