"""Progress bars: tqdm's line in a terminal, plain HTML in a notebook, nothing in a log file."""

import sys
from collections.abc import Callable, Iterable

from tqdm import tqdm

from ulmfit_easy.terminal import in_notebook, is_hushed
from ulmfit_easy.viz import Live, escape

LINE = "{desc}: {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


def progress_bar(iterable: Iterable | None = None, *, desc: str, show: Callable[[str], None] | None = None,
                 **options: object) -> tqdm:
    """Return a bar that disappears when it is closed.

    Args:
        iterable: count these items as they are taken. Without it, call `update()`.
        show: in a notebook, show the bar's HTML with this function instead of in an output of its own.
        options: passed on to tqdm, such as `total` and `unit`.
    """
    if in_notebook():
        return HTMLBar(iterable, desc=desc, show=show or Live().show_html, **options)
    return tqdm(iterable, desc=desc, leave=False, disable=is_hushed() or None, file=sys.stderr, **options)


class HTMLBar(tqdm):
    """A bar of tqdm as one HTML element: it needs no widgets, and a saved notebook keeps nothing of it."""

    monitor_interval = 0  # no thread that redraws slow bars: what it shows may land below another cell

    def __init__(self, iterable: Iterable | None = None, *, show: Callable[[str], None], **options: object):
        self.show = show
        super().__init__(iterable, gui=True, **{"mininterval": 0.2, "miniters": 1, **options})
        self.display()

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        line = self.format_meter(**{**self.format_dict, "bar_format": LINE})
        value = f' value="{self.n}" max="{self.total}"' if self.total else ""
        self.show(f'<div><progress{value}></progress> {escape(line)}</div>')

    def close(self):
        if not self.disable:
            super().close()
            self.show("")
