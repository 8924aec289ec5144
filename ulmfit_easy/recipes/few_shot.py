"""Measure how well a model learns a task from no, one or a few labelled texts per class."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ulmfit_easy.data.sources import find_columns
from ulmfit_easy.data.splits import no_valid
from ulmfit_easy.errors import ArgumentError, some
from ulmfit_easy.learner.pretrained import PretrainedLM, read_lm
from ulmfit_easy.learner.seeds import set_seed
from ulmfit_easy.learner.text import text_classifier_learner
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.learner.text_learner import LMLearner, TextLearner
from ulmfit_easy.recipes.stages import lm_data, new_lm
from ulmfit_easy.recipes.zero_shot import SETTINGS, fields_of, zero_shot
from ulmfit_easy.schema import any_of, function, list_of, mapping, optional, such, takes, whole

__all__ = ["few_shot"]

BATCHES = 60  # of the default fit, at least


@takes({"n": any_of(whole(0), list_of(whole(0))), "words": optional(mapping),
        "seeds": such(list_of(whole(0, 2**32 - 1)), bool, "one seed or more"), "template": SETTINGS["template"],
        "fit": optional(function)})
def few_shot(model: LMLearner | PretrainedLM | str | Path, df: pd.DataFrame, n: int | Sequence[int] = 0, *,
             seeds: Sequence[int] = (0, 1, 2), words: Mapping | None = None, template: str = "{text} It was",
             label_col: str = "label", test: pd.DataFrame | None = None,
             fit: Callable[[TextLearner], Any] | None = None, **kwargs: Any) -> pd.DataFrame:
    """Measure the accuracy of a language model on a task after training on only `n` labelled texts per class.

    With `n` = 0 the model answers by `zero_shot`, and seeds do not matter. With more it is fine-tuned once for each
    seed, on other texts each time.

    Args:
        model: a learner for a language model, or what `read_lm` takes.
        df: labelled texts to draw from.
        n: labelled texts per class, one number or several: `[0, 1, 8]`.
        words, template: for `zero_shot`. By default the words of a label are its name. The columns in the template's
            braces are the text columns.
        test: labelled texts to measure on. By default the rows of `df` that were not drawn.
        fit: a function of a learner that trains the classifier. By default it trains the head over a frozen encoder,
            by `fit_one_cycle` at 5e-3 for 60 batches or more. The learner has no validation set, because all drawn
            rows are for training.
        kwargs: for `text_classifier_learner`, such as `config={"n_layers": 21}`.

    Returns:
        A table with a row for each `n`: the mean accuracy over the seeds and its standard deviation (`spread`). Then
        the share of the most frequent label, the number of test texts, and seconds.

    Raises: TextError E102 if a column is missing. ArgumentError E603 if a class has fewer than `n` rows, if no test
        rows are left, or if `words` are not for these labels. What `zero_shot` raises.
    """
    start, fields = time.perf_counter(), fields_of(template)
    for table in (df, df if test is None else test):
        find_columns(table, [*fields, label_col])
    aside, labels = df if test is None else test, sorted(df[label_col].unique().tolist())
    words = words or {label: str(label) for label in labels}
    if words.keys() ^ {*labels}:
        raise ArgumentError("E603", received=f"words for {some(map(repr, words))}, and rows with the labels "
                            f"{some(map(repr, labels))}", expected="words for each label, and for no other",
                            fix="pass words={label: 'its words', ...} with the labels of the table")
    found, lm = list[dict](), model if isinstance(model, LMLearner) else read_lm(model)
    for each in [n] if isinstance(n, int) else n:
        if (least := df[label_col].value_counts().min()) < each:
            raise ArgumentError("E603", received=f"n={each} with a class of {least:,} rows",
                                expected="n rows or more in each class", fix="lower n, or give more labelled rows")
        if test is None and each * len(labels) >= len(df):
            raise ArgumentError("E603", received=f"n={each}, which draws all {len(df):,} rows",
                                expected="rows that were not drawn, to measure on",
                                fix="lower n, or pass other rows as test=")
        if each == 0:
            learn = lm if isinstance(lm, LMLearner) else new_lm(
                lm_data(df[fields[0]], pretrained=lm), pretrained=lm, verbose=False)
            said = zero_shot(learn, aside[fields], words, template)
            right, tested = [_share([p.label for p in said], aside[label_col])], len(aside)
        else:
            right = []
            for seed in seeds:
                drawn = df.groupby(label_col).sample(each, random_state=seed)
                rest = df.drop(drawn.index) if test is None else test
                right.append(_fitted(lm, drawn, rest, fields, label_col, seed, fit or _fit_head, kwargs))
                tested = len(rest)
        found.append({"n": each, "accuracy": np.mean(right), "spread": np.std(right), "seeds": len(right),
                      "most_frequent": aside[label_col].value_counts(normalize=True).max(), "texts": tested,
                      "seconds": round(time.perf_counter() - start, 1)})
        start = time.perf_counter()
    return pd.DataFrame(found).round(4)


def _fitted(lm: LMLearner | PretrainedLM, drawn: pd.DataFrame, test: pd.DataFrame, fields: list[str], label_col: str,
            seed: int, fit: Callable, kwargs: dict) -> float:
    """Return the accuracy on some texts of a classifier that was trained on others."""
    set_seed(seed)
    dls = TextDataLoaders.from_df(drawn, text_col=fields, label_col=label_col, pretrained=lm, seed=seed,
                                  splitter=no_valid, bs=min(16, len(drawn)), cache_dir=False)
    learn = text_classifier_learner(dls, read_lm(lm), **{"verbose": False, **kwargs})
    fit(learn)
    return _share([p.label for p in learn.predict(test[fields])], test[label_col])


def _share(said: list, labels: pd.Series) -> float:
    return float(np.mean(said == labels.to_numpy()))


def _fit_head(learn: TextLearner) -> None:
    learn.fit_one_cycle(-(-BATCHES // len(learn.dls.train)), 5e-3)
