"""Cleanup that Ctrl-C cannot skip, and a block without warnings."""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

T = TypeVar("T")


def surely(body: Callable[[], T], steps: Callable[[], list[tuple]]) -> T:
    """Return what `body()` returns. Then run each of `steps()`, a function and its arguments, the last one first.

    All of them run, even if the body or another step fails. A step that Ctrl-C interrupts runs again from its start,
    so it must do no harm twice. Change nothing outside the body: then Ctrl-C at any moment leaves nothing changed.

    A `with` block, such as `ending_with`, gives less: Ctrl-C may come before the first line of its `__exit__`.
    """
    done: list = []
    try:
        try:
            return body()
        finally:
            _undo(steps, done)
    finally:
        _undo(steps, done)  # what a Ctrl-C in the lines above has left


@contextmanager
def ending_with(step: Callable[[], None]) -> Iterator[None]:
    """Run `step()` at the end of a `with` block, and again if Ctrl-C came in between: twice must do no harm."""
    try:
        try:
            yield
        finally:
            step()
    finally:
        step()


def _undo(steps: Callable[[], list[tuple]], done: list) -> None:
    if None in done:
        return
    with ExitStack() as stack:
        for step in steps():
            if step not in done:
                stack.callback(_once, step, done)
    done.append(None)


def _once(step: tuple, done: list) -> None:
    try:
        step[0](*step[1:])
    except Exception:
        done.append(step)  # its own error, which it would only make again
        raise
    done.append(step)


@contextmanager
def no_warnings() -> Iterator[None]:
    """Show no warnings in a block. Only the main thread can: all threads share the filters, and would mix them up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
