"""Stage 1: learn a language from general text."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.learner.pretrained import PretrainedLM, read_lm
from ulmfit_easy.learner.tasks import TASKS
from ulmfit_easy.learner.text import language_model_learner
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.learner.text_learner import LMLearner
from ulmfit_easy.recipes.phases import run_phases
from ulmfit_easy.recipes.presets import Preset, get_preset
from ulmfit_easy.text.given import several_texts


def lm_data(texts: Iterable, preset: str | Preset = "laptop", pretrained: str | Path | PretrainedLM | None = None,
            **kwargs: Any) -> TextDataLoaders:
    """Language-model data with the sizes of a preset, one text in ten to validate with.

    Args:
        texts: any iterable of strings, or a table with the column `text` or only one.
        preset: a name or a `Preset`.
        pretrained: the language model that `new_lm` will start from. Its tokenizer is taken, and its words are added
            to those of the texts, because later texts may use them. What `read_lm` takes or, to read it only once,
            what `read_lm` or `shipped_lm` gave.
        kwargs: passed on to `TextDataLoaders.from_df`.
    """
    p = get_preset(preset)
    df = pd.DataFrame({"text": list(several_texts(texts))}, dtype=object)
    sizes = {"bs": p.lm_bs, "seq_len": p.seq_len, "min_freq": p.min_freq, "max_vocab": p.max_vocab}
    return TextDataLoaders.from_df(df, text_col="text", is_lm=True, pretrained=pretrained,
                                   **{"valid_pct": 0.1, **sizes, **kwargs})


def new_lm(dls: DataLoaders, preset: str | Preset = "laptop", pretrained: str | Path | PretrainedLM | None = None,
           **kwargs: Any) -> LMLearner:
    """Return a language model with the sizes and dropouts of a preset.

    Args:
        dls: language-model data, `TextDataLoaders.from_df(..., is_lm=True)`.
        preset: a name or a `Preset`.
        pretrained: as for `lm_data`; a model brings its own architecture, sizes and softmax. None starts anew.
        kwargs: passed on to `language_model_learner`.
    """
    p = get_preset(preset)
    kwargs = {"metrics": TASKS[dls.task].metrics, **kwargs}
    if not pretrained:
        return language_model_learner(dls, p.arch, config={**p.config, **p.lm_config},
                                      drop_mult=p.pretrain_drop_mult, pretrained=False, **kwargs)
    found = read_lm(pretrained, dls.backwards)
    kwargs = {"softmax": found.model.get("softmax", "full"), **kwargs}
    return language_model_learner(dls, found.arch, config=p.lm_config, drop_mult=p.lm_drop_mult,
                                  pretrained=found, **kwargs)


def pretrain_lm(learn: LMLearner, preset: str | Preset = "laptop") -> LMLearner:
    """Stage 1: train a language model from random weights on general text (section 3.1 of the paper).

    Runs the preset's `pretrain` phases, all layers at once; returns the learner.
    """
    p = get_preset(preset)
    return run_phases(learn, p.pretrain, mom=p.mom, moms=p.moms, wd=p.lm_wd, clip=p.lm_clip)
