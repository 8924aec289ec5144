"""A bar for the batches and a table for the epochs, in a terminal, a notebook or a log file."""

import sys

from ulmfit_easy.learner.events import Callback
from ulmfit_easy.terminal import say
from ulmfit_easy.viz import html_table, in_notebook


def format_value(value) -> str:
    """One cell of the table: floats with four digits, huge ones with an exponent, nothing for None."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if abs(value) < 1e5 else f"{value:.3e}"


class MetricsTable:
    """The table of a fit. A notebook shows one table that grows; a terminal or a log file one line an epoch."""

    def __init__(self, columns: list[str]):
        self.columns, self.rows, self.handle = columns, [], None
        self.widths = [max(9, len(c)) + 2 for c in columns]
        if not in_notebook():
            self._print(columns)

    def add(self, row: list):
        cells = [format_value(v) for v in row]
        self.rows.append(cells)
        if in_notebook():
            self._display()
        else:
            self._print(cells)

    def _print(self, cells):
        say("".join(c.rjust(w) for c, w in zip(cells, self.widths, strict=True)))

    def _display(self):
        from IPython.display import HTML, display

        table = HTML(html_table(self.rows, self.columns))
        if self.handle is None:
            self.handle = display(table, display_id=True)
        else:
            self.handle.update(table)


class ProgressCallback(Callback):
    """Shows a bar over the batches (not in a log file, where it would only be noise) and the table of the epochs."""

    order, in_lr_find = 60, False

    def __init__(self, table: bool = True, bar: bool = True):
        self.with_table, self.with_bar, self.bar, self.table = table, bar, None, None

    def before_fit(self):
        self.table = MetricsTable(self.recorder.metric_names) if self.with_table and self.verbose else None

    def before_train(self):
        self._open(f"epoch {self.epoch + 1}/{self.n_epoch} train")

    def before_validate(self):
        self._open("validate")

    def after_batch(self):
        if self.bar is not None:
            if self.training and self.recorder.losses:
                self.bar.set_postfix_str(f"loss {self.recorder.losses[-1]:.4f}", refresh=False)
            self.bar.update()

    def after_train(self):
        self._close()

    def cleanup_validate(self):
        self._close()

    def after_epoch(self):
        if self.table is not None:
            self.table.add(self.recorder.log)

    def cleanup_fit(self):
        self._close()
        self.table = None

    def _open(self, text):
        from tqdm.auto import tqdm

        self._close()
        if not (self.verbose and self.with_bar):
            return
        silent = False if in_notebook() else None  # None: unless this is a terminal
        self.bar = tqdm(total=len(self.dl), desc=text, leave=False, disable=silent, file=sys.stderr)

    def _close(self):
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class ShowGraphCallback(Callback):
    """Draws the losses of training and validation after each epoch; in a notebook into one plot that grows.

    Attributes:
        ax: the axes of the last plot.
    """

    order, in_lr_find = 65, False  # after the recorder

    def before_fit(self):
        self.ax = self.handle = None

    def after_epoch(self):
        if self.ax is not None:
            self.ax.clear()
        self.ax = self.recorder.plot_loss(skip_start=0, ax=self.ax)
        if in_notebook() and self.verbose:
            self._display()

    def _display(self):
        from IPython.display import display

        if self.handle is None:
            self.handle = display(self.ax.figure, display_id=True)
        else:
            self.handle.update(self.ax.figure)

    def after_fit(self):
        if self.ax is not None and in_notebook():
            import matplotlib.pyplot as plt

            plt.close(self.ax.figure)  # else the notebook shows it once more
