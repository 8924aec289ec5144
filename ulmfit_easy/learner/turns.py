"""Cleanup that Ctrl-C cannot skip, and turns for threads that need one thing for themselves."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager

from ulmfit_easy.errors import TrainingError


def surely(body: Callable, steps: Callable[[], list[tuple]]):
    """What `body()` gives; then each of `steps()`, a function and its arguments, runs, the last one first.

    They run whatever came, and all of them, even if one fails. One that Ctrl-C breaks into runs again from its start:
    it must be such that this does no harm. No state is changed before, so that Ctrl-C at any line leaves none behind.
    """
    done: list = []
    try:
        try:
            return body()
        finally:
            _undo(steps, done)
    finally:
        _undo(steps, done)  # what a Ctrl-C in the lines above has left


def _undo(steps, done: list):
    if None in done:
        return
    with ExitStack() as stack:
        for step in steps():
            if step not in done:
                stack.callback(_once, step, done)
    done.append(None)


def _once(step: tuple, done: list):
    try:
        step[0](*step[1:])
    except Exception:
        done.append(step)  # its own error, which it would only make again
        raise
    done.append(step)


class Turn:
    """What one thread has at a time; a thread that has it already goes on in it.

    A copy is another thing, which nobody has, as is that of a forked process.
    """

    def __init__(self):
        self.held = {}

    def __reduce__(self):
        return Turn, ()

    @property
    def is_mine(self) -> bool:
        """Whether this thread has it."""
        return self.held.get("by") == _me()

    def take(self, training: bool = False):
        """Wait until no other thread has it; E506 if the other one has it to train."""
        me = _me()
        while (holder := self.held.setdefault("by", me)) != me:  # one step, in which no other thread can come between
            if holder[0] != me[0]:
                self.held.clear()
            elif self.held.get("training"):
                raise TrainingError("E506", received="a question to a learner that another thread trains",
                                    expected="learn.predict, which works beside a fit, or a question after it",
                                    fix="call it in the thread that trains, or when its fit is over")
            else:
                time.sleep(0.002)
        self.held["training"] = training

    def give(self):
        """Let others have it, if this thread has it."""
        if self.is_mine:
            self.held.clear()


def _me() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


FITS = Turn()  # fits of one process take turns: they share its random numbers


@contextmanager
def turn_to_fit():
    """No other thread draws random numbers for a fit inside."""
    if FITS.is_mine:
        yield
        return
    try:
        try:
            FITS.take()
            yield
        finally:
            FITS.give()
    finally:
        FITS.give()  # a Ctrl-C may have broken into the line above
