"""Find faults of texts and labels before hours are spent on training with them.

Findings name rows, and labels if there are few of them. They never show a text.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ulmfit_easy._fastcore import listify
from ulmfit_easy.data.checks import UNKNOWN, shown_share
from ulmfit_easy.data.sources import find_columns, is_missing, likely_column, no_table
from ulmfit_easy.data.splits import ColSplitter
from ulmfit_easy.data.symptoms import DAMAGED_TOKENS, Finding, Scan, check_labels, check_languages, check_texts, figures
from ulmfit_easy.data.targets import plain_labels
from ulmfit_easy.errors import TrainingError, some
from ulmfit_easy.terminal import line_width
from ulmfit_easy.text.store import IdStore
from ulmfit_easy.viz import html_table, show_table, text_table

if TYPE_CHECKING:
    from ulmfit_easy.data.dataloaders import DataLoaders

MIN_FREQ = 3  # how often a word must be there to enter a vocabulary, unless told otherwise
HEADINGS = ["", "finding", "rows, from 0", "what to do"]


@dataclass(frozen=True, eq=False, repr=False)
class Checkup:
    """The figures of a data set and what was found in it. Shows itself as two tables."""

    figures: dict[str, str]
    findings: list[Finding]

    @property
    def ok(self) -> bool:
        """True where no finding is a problem."""
        return not any(finding.level == "problem" for finding in self.findings)

    def show(self):
        """Show the figures and the findings: HTML tables in a notebook, plain text in a terminal."""
        for rows, columns in self._tables():
            show_table(rows, columns)

    def _tables(self) -> list[tuple]:
        found = [(level, what, some(rows, 3), advice) for level, what, rows, advice in self.findings]
        return [(list(self.figures.items()), ["data", ""]), (found or [("", "nothing found", "", "")], HEADINGS)]

    def __repr__(self) -> str:
        return "\n\n".join(text_table(rows, columns, line_width()) for rows, columns in self._tables())

    def _repr_html_(self) -> str:
        return "\n".join(html_table(rows, columns) for rows, columns in self._tables())


def doctor(df: pd.DataFrame, text_col: int | str | Sequence = "", label_col: int | str | Sequence | None = "", *,
           valid_col: int | str | None = None, label_delim: str | None = None) -> Checkup:
    """Check a table of texts and labels for common mistakes. Return a `Checkup`, and change nothing.

    It looks for

    * missing, empty, damaged, repeated, very short and very long texts,
    * training texts that are in the validation set too, and equal texts with different labels,
    * missing and rare labels, a single class, classes of unequal size, and labels that look alike,
    * several languages, guessed by script and common words,
    * words that are too rare for a vocabulary.

    Rows count from 0.

    Args:
        text_col: name or position of the texts, or several. By default the column `text`, else the one with the
            longest cells.
        label_col: the same for the labels. By default the column `label`, else the one with the fewest different
            values. None for texts without labels. The first line of the `Checkup` tells which columns were chosen in
            this way.
        valid_col: a column that is true for the validation rows, as for `TextDataLoaders.from_df`. Without it, leaks
            between the two sets are not looked for.
        label_delim: what stands between the labels of a text that may have several.

    Raises: E102 for a column that is not there. E206 for a `valid_col` that is neither true nor false.
    """
    if not isinstance(df, pd.DataFrame):
        raise no_table(df)
    text_cols, label_cols, chosen = _columns(df, text_col, label_col, [] if valid_col is None else [valid_col])
    found = find_columns(df, [*text_cols, *label_cols])
    columns = found[:len(text_cols)]
    texts = [" ".join(field for field in row if isinstance(field, str)) for row in zip(*columns, strict=True)]
    train, valid = (np.arange(len(df)), np.arange(0)) if valid_col is None else ColSplitter(valid_col)(df)
    labels = _labels(found[len(text_cols):], label_delim) if label_cols else None
    scan = Scan(texts, labels, train, valid, range(len(df)))
    rare = sum(n for n in scan.words.values() if n < MIN_FREQ) / max(1, scan.words.total())
    checkup = _checkup(scan, {f"words seen less than {MIN_FREQ} times": f"{rare:.1%}"}, _cells(columns))
    return replace(checkup, figures=chosen | checkup.figures)


def _columns(df: pd.DataFrame, text_col: object, label_col: object, taken: list) -> tuple[list, list, dict[str, str]]:
    """Return the columns of the texts and of the labels, and a figure that names them if their cells chose one."""
    texts, labels = listify(text_col), listify(label_col)
    if by_text := texts == [""]:
        texts = [likely_column(df, "text", [*taken, *labels])]
    if by_label := labels == [""]:
        likely = likely_column(df, "label", [*taken, *texts])
        labels = [] if likely is None else [likely]
    if not (by_text and texts != ["text"] or by_label and labels != ["label"]):
        return texts, labels, {}
    told = [f"{kind} {some(map(repr, cols)) or 'none'}" for kind, cols in (("text", texts), ("label", labels))]
    return texts, labels, {"columns": f"{', '.join(told)} (name others with text_col= and label_col=)"}


def doctor_of(dls: "DataLoaders") -> Checkup:
    """As `doctor`, for loaders: `dls.doctor()`. Rows are those of the data they were made from.

    Raises: E506 for loaders without data.
    """
    if not len(dls.train):
        raise TrainingError("E506", received="loaders without data, as load_learner gives", expected="texts to look at",
                            fix="call doctor(df) on a table")
    ids, n, parts = dls.train.ids, len(dls.train.rows), {"training": dls.train, "validation": dls.valid}
    assert isinstance(ids, IdStore)
    rows = np.concatenate([dl.rows for dl in parts.values()])  # (N,)
    texts = (dls.tokenizer.detokenize(ids.store.tokens(row)) for row in rows)
    labels = None
    if dls.target.has_classes:
        decoded = [dls.decode(target) for dl in parts.values() for target in dl.targets]
        labels = [tuple(label) if isinstance(label, list) else (label,) for label in decoded]
    scan = Scan(texts, labels, np.arange(n), np.arange(n, len(rows)), rows, DAMAGED_TOKENS)
    known, findings = {"words in the vocabulary": f"{len(dls.text_vocab):,}"}, []
    for name, dl in parts.items():
        rate = ids.unk_rate(dl.rows)
        if share := shown_share(rate):
            known[f"unknown tokens, {name}"] = share
        if rate > UNKNOWN:
            findings.append(Finding("problem", f"unknown {name} tokens: {rate:.0%}", [],
                                    "use a vocabulary of this language and tokenizer, or a lower min_freq"))
    return _checkup(scan, known, findings)


def _checkup(scan: Scan, more: dict[str, str], findings: Iterable[Finding]) -> Checkup:
    """Return all figures and findings, problems first."""
    found = [*findings, *check_texts(scan), *check_languages(scan)]
    if scan.labelled:
        found += check_labels(scan)
    return Checkup(figures(scan) | more, sorted(found, key=lambda finding: finding.level != "problem"))


def _cells(columns: Sequence) -> Iterator[Finding]:
    """Cells that are no texts."""
    values = [(row, value) for column in columns for row, value in enumerate(column)]
    missing = sorted({row for row, value in values if is_missing(value)})
    wrong = sorted({row for row, value in values if not isinstance(value, str) and not is_missing(value)})
    if missing:
        yield Finding("problem", f"rows without a text: {len(missing):,}", missing,
                      'drop them; TextDataLoaders also takes on_missing="drop" or "empty"')
    if wrong:
        yield Finding("problem", f"texts that are no strings: {len(wrong):,}", wrong,
                      "turn them into strings, or name the right text_col")


def _labels(columns: Sequence, delim: str | None) -> list | None:
    """Return a tuple of labels for each row, None where they are missing. None alone for numbers to predict."""
    rows = list(zip(*map(plain_labels, columns), strict=True))
    if len(columns) > 1:  # zeros and ones, a column for each class
        return [None if any(map(is_missing, row)) else
                tuple(column.name for column, value in zip(columns, row, strict=True) if value not in (0, "0"))
                for row in rows]
    values = [value for value, in rows]
    if any(isinstance(value, float) and not is_missing(value) and not value.is_integer() for value in values):
        return None
    return [_labels_in(value, delim) for value in values]


def _labels_in(value: object, delim: str | None) -> tuple | None:
    """Return the labels of one cell, which may hold a list of them."""
    if isinstance(value, list | tuple | set | np.ndarray):
        return tuple(label if isinstance(label, Hashable) else str(label) for label in plain_labels(value))
    if is_missing(value):
        return None
    if delim:
        return tuple(filter(None, map(str.strip, str(value).split(delim))))
    if not str(value).strip():
        return None
    return (value if isinstance(value, Hashable) else str(value),)
