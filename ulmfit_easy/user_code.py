"""The lines of the user's own code, for tracebacks, interrupts and warnings."""

import sys
import sysconfig
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import PurePath
from types import FrameType, TracebackType

from ulmfit_easy.processes import is_main
from ulmfit_easy.terminal import printable, wrapped

UNCHANGED = "Stopped. Nothing has changed."
LIBRARIES = PurePath(__file__).parent, PurePath(sysconfig.get_path("stdlib"))


def is_library(file: str) -> bool:
    """Tell if a source file belongs to this library, to an installed one, or to Python."""
    path = PurePath(file)
    return (file.startswith("<frozen ") or not {"site-packages", "dist-packages"}.isdisjoint(path.parts)
            or any(path.is_relative_to(folder) for folder in LIBRARIES))


def lines_of_the_user(tb: TracebackType | None) -> list[str]:
    """Return the last ten lines of a traceback that no library has, each with its file or notebook cell."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    cell_of = getattr(getattr(shell, "compile", None), "format_code_name", lambda file: None)
    own = [frame for frame in traceback.extract_tb(tb) if frame.line and not is_library(frame.filename)]
    return [printable(f"{' '.join(cell_of(frame.filename) or ['File', frame.filename])}, line {frame.lineno}: "
                      f"{frame.line}") for frame in own[-10:]]


@contextmanager
def interrupted(state: str) -> Iterator[None]:
    """Let `state` be the last line of a `KeyboardInterrupt` that leaves the block or the decorated function."""
    try:
        yield
    except KeyboardInterrupt as e:
        tell_interrupt(e, state)
        raise


def tell_interrupt(error: KeyboardInterrupt, state: str) -> None:
    """Let `state` be the last line of an error, in place of an inner call's. IPython shows your own lines before it."""
    vars(error).update(__notes__=[state], _render_traceback_=partial(_in_short, state))


def _in_short(state: str) -> list[str]:
    return [*lines_of_the_user(sys.exc_info()[2]), "KeyboardInterrupt", wrapped(state)]


def warn_user(message: str) -> None:
    """Show a warning at the innermost line that no library has: the one that the user can change.

    Of several processes that train together, the main one shows it.
    """
    if not is_main():
        return
    frame: FrameType | None = sys._getframe(1)
    stacklevel = 2
    while frame is not None and is_library(frame.f_code.co_filename):
        frame, stacklevel = frame.f_back, stacklevel + 1
    warnings.warn(message, stacklevel=stacklevel)
