"""A bar for the batches and a table for the epochs, in a terminal, a notebook or a log file."""

from collections.abc import Sequence

from ulmfit_easy.bars import progress_bar
from ulmfit_easy.learner.events import REPORT, Callback
from ulmfit_easy.terminal import in_notebook, say
from ulmfit_easy.viz import Live, html_table


def format_value(value: object) -> str:
    """Return one cell of the table: floats with four digits, huge ones with an exponent, nothing for None."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if abs(value) < 1e5 else f"{value:.3e}"


class MetricsTable:
    """Show the table of a fit: in a notebook one output that grows, elsewhere one line an epoch.

    Args:
        columns: their names. None for a fit that shows only its bars.
    """

    def __init__(self, columns: list[str]):
        self.columns, self.rows, self.output = columns, list[list[str]](), Live()
        self.widths = [max(9, len(c)) + 2 for c in columns]
        if columns and not in_notebook():
            self._print(columns)

    def add(self, row: list) -> None:
        cells = [format_value(v) for v in row]
        self.rows.append(cells)
        if in_notebook():
            self.show_bar()
        else:
            self._print(cells)

    def show_bar(self, bar: str = "") -> None:
        """In a notebook, show the table with the HTML of a bar below it."""
        self.output.show_html((html_table(self.rows, self.columns) if self.columns else "") + bar)

    def _print(self, cells: Sequence[str]) -> None:
        say("".join(c.rjust(w) for c, w in zip(cells, self.widths, strict=True)))


class ProgressCallback(Callback):
    """Show a progress bar over the batches and a table of the epochs. A log file gets lines of slow epochs."""

    order, in_lr_find = REPORT, False

    table: MetricsTable | None

    def __init__(self, table: bool = True, bar: bool = True):
        self.with_table, self.with_bar, self.bar, self.table = table, bar, None, None

    def before_fit(self):
        if self.verbose and (self.with_table or self.with_bar):
            self.table = MetricsTable(self.recorder.metric_names if self.with_table else [])

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
        if self.table is not None and self.with_table:
            self.table.add(self.recorder.log)

    def cleanup_fit(self):
        self._close()
        self.table = None

    def _open(self, text: str) -> None:
        self._close()
        if self.verbose and self.with_bar:
            table = self.table or MetricsTable([])  # `validate` alone has no table
            self.bar = progress_bar(total=len(self.dl), desc=text, show=table.show_bar)

    def _close(self):
        if self.bar is not None:
            self.bar.close()
            self.bar = None
