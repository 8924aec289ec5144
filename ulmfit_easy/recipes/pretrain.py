"""Stage 1: learn a language from general text."""

from pathlib import Path

import pandas as pd

from ulmfit_easy.data.loaders import TextDataLoaders
from ulmfit_easy.errors import FileError
from ulmfit_easy.files import read_json
from ulmfit_easy.learner.metrics import Perplexity, accuracy
from ulmfit_easy.learner.text import LMLearner, language_model_learner
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.recipes.phases import run_phases
from ulmfit_easy.recipes.presets import get_preset


def lm_data(texts, preset="laptop", **kwargs) -> TextDataLoaders:
    """Language-model data with the sizes of a preset, one text in ten to validate with.

    Args:
        texts: any iterable of strings.
        preset: a name or a `Preset`.
        kwargs: passed on to `TextDataLoaders.from_df`.
    """
    p = get_preset(preset)
    df = pd.DataFrame({"text": list(texts)}, dtype=object)
    sizes = {"bs": p.lm_bs, "seq_len": p.seq_len, "min_freq": p.min_freq, "max_vocab": p.max_vocab}
    return TextDataLoaders.from_df(df, text_col="text", is_lm=True, **{"valid_pct": 0.1, **sizes, **kwargs})


def new_lm(dls, preset="laptop", pretrained=None, **kwargs) -> LMLearner:
    """A language model with the sizes and dropouts of a preset.

    Args:
        dls: language-model data, `TextDataLoaders.from_df(..., is_lm=True)`.
        preset: a name or a `Preset`.
        pretrained: the folder of an exported language model, which then brings its own sizes; None starts anew.
        kwargs: passed on to `language_model_learner`.
    """
    p = get_preset(preset)
    config = {**(sizes_of(pretrained) if pretrained else p.config), **p.lm_config}
    drop_mult = p.lm_drop_mult if pretrained else p.pretrain_drop_mult
    kwargs = {"metrics": [accuracy, Perplexity()], **kwargs}
    return language_model_learner(dls, AWD_LSTM, config=config, drop_mult=drop_mult,
                                  pretrained=pretrained or False, **kwargs)


def sizes_of(source) -> dict:
    """Embedding, hidden size and layers of a learner or of an exported one's folder, where they are not the default."""
    try:
        settings = getattr(source, "settings", None) or read_json(Path(source) / "config.json")
        config = settings["model"]["config"] or {}
        return {k: config[k] for k in ("emb_sz", "n_hid", "n_layers") if k in config}
    except (KeyError, TypeError) as e:
        raise FileError("E401", received=f"{source}, which does not tell the sizes of a model",
                        expected="the folder of an exported language model",
                        fix="pass the folder that learn.export wrote") from e


def pretrain_lm(learn: LMLearner, preset="laptop") -> LMLearner:
    """Stage 1: train a language model from random weights on general text (section 3.1 of the paper).

    Runs the preset's `pretrain` phases, all layers at once; returns the learner.
    """
    p = get_preset(preset)
    return run_phases(learn, p.pretrain, mom=p.mom, moms=p.moms, wd=p.lm_wd, clip=p.lm_clip)
