"""The one way to a terminal: no character of a text steers it, and nobody has to read it."""

import sys
from typing import TextIO


def printable(text: str) -> str:
    """Return a text as one line without control characters."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def say(text: object = "", file: TextIO | None = None) -> None:
    """Write lines at once to standard output or another stream, in the characters that it has; none if it is closed."""
    stream = sys.stdout if file is None else file
    if stream is None or getattr(stream, "closed", False):
        return
    text = "\n".join(map(printable, str(text).split("\n")))
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
