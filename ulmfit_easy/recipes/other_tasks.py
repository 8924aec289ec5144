"""The three stages for tasks that the estimators do not have: tags of words, answers in a text, and tasks of yours."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ulmfit_easy.data.sources import is_missing, joined
from ulmfit_easy.data.splits import DefaultSplitter, checked_split
from ulmfit_easy.data.targets import read_labels
from ulmfit_easy.errors import TextError, counted
from ulmfit_easy.learner.seeds import set_seed
from ulmfit_easy.learner.tasks import TASKS
from ulmfit_easy.learner.text_learner import TextLearner
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.recipes import inputs
from ulmfit_easy.recipes.kinds import Kind
from ulmfit_easy.recipes.labelled import Labelled, texts_and_labels
from ulmfit_easy.recipes.presets import Preset
from ulmfit_easy.recipes.starts import begin
from ulmfit_easy.recipes.training import Training, seed_in
from ulmfit_easy.terminal import say

VALID_PCT = 0.1  # of the rows, as the estimators keep aside


class OfTask(Kind):
    """Labels of any kind that `y_block` names, read by its target alone."""

    def __init__(self, y_block: str):
        super().__init__()
        self.y_block = y_block

    def loader(self) -> dict:
        return {"y_block": self.y_block}


def train_task(df: pd.DataFrame, text_cols: Sequence[str], label_col: str, y_block: str, *,
               valid: pd.DataFrame | None = None, unlabelled: Iterable[str] = (),
               encoder: type[Encoder] | str | Path | None = None, pretrained: bool | str | Path = True,
               backwards: bool = False, lang: str = "en", preset: str | Preset | None = None, seed: int | None = None,
               patience: int | None = None, changes: dict[str, Any] | None = None, subword: bool | int = False,
               resume: str | Path | None = None, verbose: bool = True) -> TextLearner:
    """Return a learner that has run the stages on a table, and tell its scores on the rows kept aside.

    Args:
        df: a table with a row for each text: for tags, lists of words and of tags. For answers, questions, contexts
            and answers.
        y_block: the kind of labels, such as "tags" or "span".
        valid: rows to measure with. None keeps one in ten of `df` aside.
        changes: in the preset, as for `Preset.tuned`.

    The other arguments are those of `ULMFiT` and of its `fit`.

    Raises: TextError, LabelError with row numbers, as `TextDataLoaders.from_df`. ArgumentError E6xx.
    """
    folder = None if resume is None else Path(resume)
    seed = seed if folder is None else seed_in(folder, seed)
    if seed is not None:
        set_seed(seed)
    rows = _rows(df, tuple(text_cols), label_col, y_block)
    if valid is None:
        aside = checked_split(DefaultSplitter(None, VALID_PCT, seed, rows.df["text"].tolist()), rows.df)[1]
        rows = replace(rows, df=rows.df.assign(valid=np.isin(np.arange(len(rows.df)), aside)))
    else:
        theirs = _rows(valid, tuple(text_cols), label_col, y_block).df.assign(valid=True)
        both = [rows.df.assign(valid=False), theirs.set_axis(theirs.index + rows.n)]
        rows = replace(rows, df=pd.concat(both), own_valid=True)
    tell: Callable[[str], None] = say if verbose else (lambda _: None)
    start, more = begin(encoder, pretrained, backwards, bidir=False, lang=lang, subword=subword), list(unlabelled)
    tell(f"{inputs.rows_read(rows.n, rows.empty, note=', left out')}.")
    training = Training(preset, changes or {}, {"lang": lang, "seed": seed}, {}, patience, tell, verbose,
                        subword=subword, folder=folder)
    learn = training.run(rows, inputs.corpus_of(rows.df, more), len(more), backwards, start, left=1)
    kept = rows.df[rows.df["valid"]]
    labels = read_labels([kept["label"]], y_block=y_block)[1]
    report = TASKS[learn.dls.task].report(labels, learn.predict(kept["text"].tolist()))
    scores = ", ".join(f"{name} {value:.3f}" for name, value in report.figures.items())
    tell(f"On {counted(len(kept), 'text')} kept aside: {scores}")
    return learn


def _rows(df: pd.DataFrame, text_cols: tuple, label_col: str, y_block: str) -> Labelled:
    """Return the rows of a table that have a text, lists of words as strings. Raises: E1xx, E2xx with row numbers."""
    fields = [["" if is_missing(cell) else joined(cell) for cell in df[col]] for col in text_cols]
    texts = fields[0] if len(fields) == 1 else list(zip(*fields, strict=True))
    empty = inputs.empty_rows(texts)
    if len(empty) == len(df):
        raise TextError("E104", received=f"{len(df):,} rows, none of them with a text", expected="texts and labels",
                        fix="check the data")
    kept = inputs.without(range(len(df)), empty)
    target, labels = read_labels([df[label_col].iloc[kept]], y_block=y_block, rows=kept)
    target.check_texts([texts[i] for i in kept], labels, kept)  # before stage 2, which is slow
    table = texts_and_labels([texts[i] for i in kept], df[label_col].iloc[kept].tolist(), kept)
    return Labelled(table, len(df), empty, text_cols, label_col, OfTask(y_block))
