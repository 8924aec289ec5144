"""A learner that is otherwise for the length of a `with` block: other callbacks, less on the screen."""

from contextlib import ExitStack, contextmanager

from ulmfit_easy._fastcore import listify
from ulmfit_easy.learner.callbacks.progress import ProgressCallback


@contextmanager
def added_cbs(learn, cbs):
    """See `Learner.added_cbs`. A callback that is there already acts once, and stays."""
    before = list(learn.cbs)
    try:
        learn.add_cbs([cb for cb in listify(cbs) if cb not in before])
        yield learn
    finally:
        learn.remove_cbs([cb for cb in learn.cbs if cb not in before])


@contextmanager
def removed_cbs(learn, cbs):
    """See `Learner.removed_cbs`."""
    before = list(learn.cbs)
    learn.remove_cbs(cbs)
    try:
        yield learn
    finally:
        learn.add_cbs([cb for cb in before if cb not in learn.cbs])
        learn.cbs.sort(key=lambda cb: before.index(cb) if cb in before else len(before))


@contextmanager
def replaced(things, name: str, value):
    """Each of `things` with another value of its attribute `name`."""
    before = [getattr(thing, name) for thing in things]
    try:
        for thing in things:
            setattr(thing, name, value)
        yield
    finally:
        for thing, old in zip(things, before, strict=True):
            setattr(thing, name, old)


@contextmanager
def without(learn, part: str):
    """The learner without a part of its progress, "with_bar" or "with_table"."""
    with replaced([cb for cb in learn.cbs if isinstance(cb, ProgressCallback)], part, False):
        yield learn


@contextmanager
def no_logging(learn):
    """See `Learner.no_logging`."""
    with replaced([learn], "verbose", False):
        yield learn


@contextmanager
def validation_context(learn, cbs=None):
    """See `Learner.validation_context`."""
    with ExitStack() as stack:
        stack.enter_context(no_logging(learn))
        stack.enter_context(added_cbs(learn, cbs))
        yield learn
