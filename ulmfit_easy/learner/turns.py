"""Turns for threads that need one thing for themselves."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ulmfit_easy.cleanup import ending_with
from ulmfit_easy.errors import TrainingError


class Turn:
    """A lock that one thread holds at a time, and may take again while it holds it.

    Nobody holds a copy of it, nor the one in a forked process.
    """

    def __init__(self):
        self.held = {}

    def __reduce__(self) -> tuple:
        return Turn, ()

    @property
    def is_mine(self) -> bool:
        """True if this thread holds it."""
        return self.held.get("by") == _me()

    def take(self, training: bool = False) -> None:
        """Wait until no other thread holds the learner, then hold it.

        Args:
            training: True if this thread is going to train. Then others are refused instead of waiting.

        Raises: TrainingError E506 if another thread holds it to train.
        """
        me = _me()
        while (holder := self.held.setdefault("by", me)) != me:  # one step, in which no other thread can come between
            if holder[0] != me[0]:
                self.held.clear()
            elif self.held.get("training"):
                raise TrainingError("E506", received="a call to a learner that another thread trains",
                                    expected="learn.predict, which works during a fit, or a call after the fit",
                                    fix="call it in the thread that trains, or when its fit is over")
            else:
                time.sleep(0.002)
        self.held["training"] = training

    def give(self):
        """Let others take it, if this thread holds it."""
        if self.is_mine:
            self.held.clear()


def _me() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


FITS = Turn()  # fits of one process take turns: they share its random numbers


@contextmanager
def turn_to_fit() -> Iterator[None]:
    """Let no other thread train, or draw random numbers for a fit, in a `with` block."""
    if FITS.is_mine:
        yield
        return
    with ending_with(FITS.give):
        FITS.take()
        yield
