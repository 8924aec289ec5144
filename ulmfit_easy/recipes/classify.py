"""Stage 3: learn the labels, from the top layer down."""

from dataclasses import replace
from typing import Any

import pandas as pd

from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.learner.pretrained import with_sizes
from ulmfit_easy.learner.tasks import TASKS
from ulmfit_easy.learner.text import text_classifier_learner
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.learner.text_learner import LMLearner, TextLearner
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.recipes.phases import run_phases
from ulmfit_easy.recipes.presets import Preset, get_preset


def classifier_data(df: pd.DataFrame, preset: str | Preset = "laptop", lm: LMLearner | None = None,
                    **kwargs: Any) -> TextDataLoaders:
    """Labelled data with the sizes of a preset, with the tokenizer and vocabulary of `lm` (None: its own).

    Args:
        df: a table with the columns `text` and `label`.
        preset: a name or a `Preset`.
        kwargs: passed on to `TextDataLoaders.from_df`.
    """
    p = get_preset(preset)
    sizes = {"bs": p.clas_bs, "seq_len": p.seq_len, "min_freq": p.min_freq, "max_vocab": p.max_vocab}
    columns = {"text_col": "text", "label_col": "label"}
    return TextDataLoaders.from_df(df, **{**columns, **sizes, "pretrained": lm, **kwargs})


def new_classifier(dls: DataLoaders, preset: str | Preset = "laptop", lm: LMLearner | None = None,
                   **kwargs: Any) -> TextLearner:
    """Return a classifier with the sizes and dropouts of a preset.

    Args:
        dls: labelled data, made with `pretrained=lm`.
        preset: a name or a `Preset`.
        lm: the language model of stage 2 (or 1) whose encoder is taken over, with its architecture and
            sizes; None starts anew.
        kwargs: passed on to `text_classifier_learner`.
    """
    p = get_preset(preset)
    arch, theirs = (p.arch, p.config) if lm is None else (type(lm.encoder), lm.encoder.settings)
    config = with_sizes(theirs, p.clas_config, get_arch(arch).clas_config)
    kwargs = {"metrics": TASKS[dls.task].metrics, "pool_words": p.pool_words, **kwargs}
    learn = text_classifier_learner(dls, arch, seq_len=p.seq_len, max_len=p.max_len, config=config,
                                    drop_mult=p.clas_drop_mult, pretrained=False, **kwargs)
    return learn if lm is None else learn.take_encoder(lm)


def finetune_classifier(learn: TextLearner, preset: str | Preset = "laptop", gradual: bool = True) -> TextLearner:
    """Stage 3: train a classifier from the top layer down, as the preset says (section 3.3); returns the learner.

    Args:
        learn: a classifier over a trained encoder.
        preset: a name or a `Preset`; its `clas` phases run.
        gradual: False trains all layers at one rate in every phase: right for an encoder that has learned nothing
            yet, since frozen random layers teach nothing.
    """
    p = get_preset(preset)
    phases = p.clas if gradual else tuple(replace(f, freeze_to=0, factor=1.0) for f in p.clas)
    return run_phases(learn, phases, mom=p.mom, moms=p.moms, wd=p.clas_wd, clip=p.clas_clip)
