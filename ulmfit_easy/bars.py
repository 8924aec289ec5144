"""Progress bars: tqdm's line in a terminal, plain HTML in a notebook, and a line every 30 seconds in a log file."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

from ulmfit_easy.terminal import in_notebook, is_hushed, is_terminal, say
from ulmfit_easy.viz import Live, escape

LINE = "{desc}: {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
EVERY = 30  # seconds between two lines of a log file
Rows = TypeVar("Rows", bound=Sized)


def progress_bar(iterable: Iterable | None = None, *, desc: str, show: Callable[[str], None] | None = None,
                 **options: object) -> tqdm:
    """Return a bar that disappears when it is closed. In a log file, it is a line on standard error now and then.

    Args:
        iterable: count these items as they are taken. Without it, call `update()`.
        show: in a notebook, show the bar's HTML with this function instead of in an output of its own.
        options: passed on to tqdm, such as `total` and `unit`.
    """
    if in_notebook():
        return HTMLBar(iterable, desc=desc, show=show or Live().show_html, **options)
    if is_hushed() or is_terminal(sys.stderr):
        return tqdm(iterable, desc=desc, leave=False, disable=is_hushed(), file=sys.stderr, **options)
    return LogBar(iterable, desc=desc, **options)


def rows_of(tables: Iterable[Rows], desc: str) -> Iterator[Rows]:
    """Yield tables, and show how many of their rows are done."""
    with progress_bar(desc=desc, unit=" rows") as bar:
        for table in tables:
            yield table
            bar.update(len(table))


class LogBar(tqdm):
    """A bar of tqdm as plain lines: none for fast work, and for long work one at each tenth of the time so far."""

    monitor_interval = 0  # no thread that redraws slow bars: what it shows may land below another cell

    def __init__(self, iterable: Iterable | None = None, **options: object):
        super().__init__(iterable, gui=True, **{"mininterval": EVERY, "miniters": 1, **options})

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        say(self.format_meter(**{**self.format_dict, "ncols": 0}), sys.stderr)
        self.mininterval = max(float(EVERY), self.format_dict["elapsed"] / 10)


class HTMLBar(LogBar):
    """A bar of tqdm as one HTML element: it needs no widgets, and a saved notebook keeps nothing of it."""

    def __init__(self, iterable: Iterable | None = None, *, show: Callable[[str], None], **options: object):
        self.show = show
        super().__init__(iterable, **{"mininterval": 0.2, **options})
        self.display()

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        line = self.format_meter(**{**self.format_dict, "bar_format": LINE})
        value = f' value="{self.n}" max="{self.total}"' if self.total else ""
        self.show(f'<div><progress{value}></progress> {escape(line)}</div>')

    def close(self):
        if not self.disable:
            super().close()
            self.show("")
