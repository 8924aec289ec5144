"""Turns for threads that need one thing for themselves."""

import os
import threading
import time
from contextlib import contextmanager

from ulmfit_easy.errors import TrainingError


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
