"""The one way to a terminal or a notebook: no character of a text steers it, and nobody has to read it."""

import shutil
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from ulmfit_easy.processes import is_main

WIDTH = 90  # of what a notebook shows: JupyterLab breaks longer lines in the middle of words
HUSHED = list[bool]()  # not empty in a block of `hushed`


def in_notebook() -> bool:
    """Return True where output is shown by a Jupyter front end."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ in ("ZMQInteractiveShell", "Shell")  # Jupyter, Colab


def is_terminal(stream: TextIO | None) -> bool:
    """Return True for a stream that somebody looks at. False for a log file, and for one that is closed."""
    return stream is not None and not getattr(stream, "closed", False) and getattr(stream, "isatty", bool)()


def line_width() -> int:
    """Return how many characters a line may have."""
    return WIDTH if in_notebook() else shutil.get_terminal_size((110, 24)).columns


def wrapped(text: str) -> str:
    """Return a text with its long lines broken between words in a notebook, and as it is elsewhere."""
    if not in_notebook():
        return text
    return "\n".join(line if len(line) <= WIDTH else textwrap.fill(
        line, WIDTH, break_long_words=False, break_on_hyphens=False) for line in text.split("\n"))


def printable(value: object) -> str:
    """Return a value as one line without control characters, so that no text can steer a terminal."""
    if isinstance(value, list):
        return "; ".join(map(printable, value))
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


@contextmanager
def hushed() -> Iterator[None]:
    """Say nothing in a block, and show no bars: only what is written to a stream that is named is written."""
    HUSHED.append(True)
    try:
        yield
    finally:
        HUSHED.pop()


def is_hushed() -> bool:
    """Return True in a block of `hushed`, and in all but the main one of several processes."""
    return bool(HUSHED) or not is_main()


def say(text: object = "", file: TextIO | None = None) -> None:
    """Write lines at once to standard output or another stream, in the characters that it has. None if it is closed."""
    stream = sys.stdout if file is None else file
    if stream is None or getattr(stream, "closed", False) or file is None and is_hushed():
        return
    text = "\n".join(map(printable, str(text).split("\n")))
    if file is None:
        text = wrapped(text)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
