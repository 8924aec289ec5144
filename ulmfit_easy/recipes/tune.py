"""Search the rates, epochs and dropouts of stage 3 with Optuna."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ulmfit_easy.extras import optional_package
from ulmfit_easy.learner.pretrained import PretrainedLM, read_lm
from ulmfit_easy.learner.seeds import no_random
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.learner.text_learner import LMLearner, TextLearner
from ulmfit_easy.recipes import inputs, stages
from ulmfit_easy.recipes.kinds import Kind
from ulmfit_easy.recipes.labelled import Labelled, from_table
from ulmfit_easy.recipes.presets import Preset
from ulmfit_easy.reprs import described
from ulmfit_easy.schema import fraction, optional, positive, takes, whole
from ulmfit_easy.terminal import say

__all__ = ["Tuned", "tune"]


class Tuned(NamedTuple):
    """The result of `tune`: the best preset, and a table with a row for each trial, the best one first."""

    preset: Preset
    trials: pd.DataFrame

    def __repr__(self) -> str:
        best = self.trials["accuracy"].iloc[0]
        return described(self, f"{len(self.trials)} trials, the best with accuracy {best:.4f}")


@takes({"minutes": positive, "n_trials": optional(whole()), "valid_pct": fraction, "seed": whole(0, 2**32 - 1)})
def tune(df: pd.DataFrame, minutes: float = 10, *, text_col: str | int | Sequence = "text",
         label_col: str | int = "label", unlabelled: Iterable = (),
         pretrained: str | Path | PretrainedLM | LMLearner = "en", preset: str | Preset | None = None,
         n_trials: int | None = None, valid_pct: float = 0.2, seed: int = 0) -> Tuned:
    """Search rates, epochs, dropouts and weight decays of stage 3 for some minutes. Return the best ones as a preset.

    Stage 2 runs once, before the minutes are counted. Each trial trains a classifier with the same seed, and is
    measured on the same rows kept aside. The first trial is the preset without changes. The score of the best trial is
    too good, so measure the model on test rows that are not in `df`.

    Args:
        df: texts with one label each. Of a table of Prodigy's only accepted rows count.
        text_col, label_col: names or positions. Several text columns are the fields of one text.
        minutes: no trial begins after that time. The first one always runs to its end.
        unlabelled: more texts for stage 2.
        pretrained: the model to start from, as for `read_lm`. Or a learner that has done stage 2, which is then
            skipped.
        preset: where to begin, a name or a `Preset`. None is that of the encoder.
        n_trials: the most trials. With it and a seed, the result is the same each time if the minutes suffice.
        valid_pct: the share of the rows to keep aside.
        seed: for the split, all fits and the search.

    Raises: TrainingError E507 without the package optuna. E1xx and E2xx for texts and labels that cannot be used.

    Source: Akiba et al. 2019, Optuna (arXiv 1907.10902), with its sampler TPE (Bergstra et al. 2011).

    Example:
        >>> found = tune(df, minutes=30)  # doctest: +SKIP
        >>> model = ULMFiT(preset=found.preset).fit(df["text"], df["label"])  # doctest: +SKIP
    """
    optuna = optional_package("optuna")
    with no_random(seed, reproducible=False):
        start = pretrained if isinstance(pretrained, TextLearner) else read_lm(pretrained)
        base = stages.preset_for(preset, start)
        dls, lm = _data(df, text_col, label_col, inputs.fields_of(unlabelled), start, base, valid_pct, seed)
    rows = list[dict[str, Any]]()

    def trial(asked: Any) -> float:
        given = {"lr": asked.suggest_float("lr", 0.25, 4, log=True),
                 "epochs": asked.suggest_int("epochs", 1, 2 * base.clas[-1].epochs + 2),
                 "drop_mult": asked.suggest_float("drop_mult", 0.1, 1),
                 "wd": asked.suggest_float("wd", 1e-3, 0.3, log=True)}
        began, changed = time.perf_counter(), _changed(base, **given)
        with no_random(seed, reproducible=False):
            learn = stages.finetune_classifier(stages.new_classifier(dls, changed, lm, verbose=False), changed)
            loss, accuracy = map(float, list(learn.validate())[:2])
        rows.append({"accuracy": accuracy, "loss": loss, **given, "seconds": round(time.perf_counter() - began, 1),
                     "preset": changed})
        say(f"trial {len(rows)}: accuracy {accuracy:.4f}, loss {loss:.4f}, rates times {given['lr']:.2f}, "
            f"{given['epochs']} epochs, drop_mult {given['drop_mult']:.2f}, wd {given['wd']:.3f}")
        return accuracy

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        study.enqueue_trial({"lr": 1.0, "epochs": base.clas[-1].epochs, "drop_mult": min(1.0, base.clas_drop_mult),
                             "wd": min(0.3, max(1e-3, base.clas_wd))})
        study.optimize(trial, n_trials=n_trials, timeout=60 * minutes)
    finally:
        optuna.logging.set_verbosity(level)
    table = pd.DataFrame(rows).sort_values(["accuracy", "loss"], ascending=[False, True], kind="stable")
    say(f"Accuracy on {dls.valid.n_rows:,} rows kept aside: {table['accuracy'].iloc[0]:.4f}, "
        f"{rows[0]['accuracy']:.4f} with the preset {base.name!r}. It was chosen on these rows: measure on others.")
    return Tuned(table["preset"].iloc[0], table.drop(columns="preset").reset_index(drop=True))


def _data(df: pd.DataFrame, text_col: Any, label_col: str | int, unlabelled: list[str],
          start: PretrainedLM | LMLearner, p: Preset, valid_pct: float,
          seed: int) -> tuple[TextDataLoaders, PretrainedLM | LMLearner]:
    """Return labelled data with rows kept aside, and a language model that has not read these."""
    texts, labels, _, names = from_table(df, text_col, label_col)
    rows = Labelled.read(texts, labels, names if len(names) > 1 else None, Kind()).split(valid_pct, seed)
    if isinstance(start, PretrainedLM) and p.adapts:
        dls = stages.lm_data(inputs.corpus_of(rows.df, unlabelled), p, start, seed=seed)
        start = stages.finetune_lm(stages.new_lm(dls, p, start, verbose=False), p)
    return stages.classifier_data(rows.table(), p, start, on_missing="drop", splitter=rows.splitter,
                                  text_col=list(rows.text_cols), label_col=rows.label_col, seed=seed), start


def _changed(p: Preset, lr: float, epochs: int, drop_mult: float, wd: float) -> Preset:
    """Return a preset with all rates of stage 3 times `lr`, and with other epochs of its last phase."""
    phases = [replace(phase, lr=phase.lr * lr) for phase in p.clas]
    phases[-1] = replace(phases[-1], epochs=epochs)
    return replace(p, name=f"{p.name}, tuned", source=f"tune() from {p.name}: {p.source}", clas=tuple(phases),
                   clas_drop_mult=drop_mult, clas_wd=wd)
