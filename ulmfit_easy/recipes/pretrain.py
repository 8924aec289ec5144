"""Stage 1: learn a language from general text."""

from pathlib import Path

import pandas as pd

from ulmfit_easy.bundle.foreign import load_any
from ulmfit_easy.data.loaders import TextDataLoaders
from ulmfit_easy.errors import FileError
from ulmfit_easy.files import read_json
from ulmfit_easy.learner.metrics import Perplexity, accuracy
from ulmfit_easy.learner.text import LMLearner, language_model_learner
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.recipes.phases import run_phases
from ulmfit_easy.recipes.presets import get_preset
from ulmfit_easy.text.tokenizers import Tokenizer


def lm_data(texts, preset="laptop", pretrained=None, **kwargs) -> TextDataLoaders:
    """Language-model data with the sizes of a preset, one text in ten to validate with.

    Args:
        texts: any iterable of strings.
        preset: a name or a `Preset`.
        pretrained: the language model that `new_lm` will start from: its tokenizer is taken, whose words it knows.
        kwargs: passed on to `TextDataLoaders.from_df`.
    """
    p = get_preset(preset)
    if pretrained and (tokenizer := tokenizer_of(pretrained)):
        kwargs = {"tok_tfm": tokenizer, **kwargs}
    df = pd.DataFrame({"text": list(texts)}, dtype=object)
    sizes = {"bs": p.lm_bs, "seq_len": p.seq_len, "min_freq": p.min_freq, "max_vocab": p.max_vocab}
    return TextDataLoaders.from_df(df, text_col="text", is_lm=True, **{"valid_pct": 0.1, **sizes, **kwargs})


def new_lm(dls, preset="laptop", pretrained=None, **kwargs) -> LMLearner:
    """A language model with the sizes and dropouts of a preset.

    Args:
        dls: language-model data, `TextDataLoaders.from_df(..., is_lm=True)`.
        preset: a name or a `Preset`.
        pretrained: the folder of an exported language model, or another library's checkpoint, which then brings its
            own architecture, sizes and softmax; None starts anew.
        kwargs: passed on to `language_model_learner`.
    """
    p = get_preset(preset)
    arch, sizes, drop_mult = AWD_LSTM, p.config, p.pretrain_drop_mult
    if pretrained:
        settings = settings_of(pretrained)  # once: another library's checkpoint takes seconds to read
        arch, sizes, drop_mult = settings["arch"], _sizes_in(settings), p.lm_drop_mult
        kwargs = {"softmax": settings["model"].get("softmax", "full"), **kwargs}
    kwargs = {"metrics": [accuracy, Perplexity()], **kwargs}
    return language_model_learner(dls, arch, config={**sizes, **p.lm_config}, drop_mult=drop_mult,
                                  pretrained=pretrained or False, **kwargs)


def settings_of(source) -> dict:
    """How the model of a learner, of an exported one's folder or of another library's checkpoint is built."""
    try:
        if hasattr(source, "settings"):
            return source.settings
        exported = (Path(source) / "config.json").exists()
        settings = read_json(Path(source) / "config.json") if exported else load_any(source).config
        return {"data": None, **settings, "arch": settings["arch"],
                "model": {**settings["model"], "config": dict(settings["model"]["config"] or {})}}
    except (KeyError, TypeError, ValueError) as e:
        raise FileError("E401", received=f"{source}, which does not tell how its model is built",
                        expected="the folder of an exported language model",
                        fix="pass the folder that learn.export wrote") from e


def sizes_of(source) -> dict:
    """Embedding, hidden size and layers of a model (see `settings_of`), where they are not the default."""
    return _sizes_in(settings_of(source))


def _sizes_in(settings):
    config = settings["model"]["config"]
    return {k: config[k] for k in ("emb_sz", "n_hid", "n_layers") if k in config}


def arch_of(source) -> str:
    """The name of a model's architecture (see `settings_of`)."""
    return settings_of(source)["arch"]


def tokenizer_of(source) -> Tokenizer | None:
    """The tokenizer that a model was trained with (see `settings_of`), or None where that is not known."""
    config = (settings_of(source)["data"] or {}).get("tokenizer")
    return Tokenizer.from_config(config) if config else None


def pretrain_lm(learn: LMLearner, preset="laptop") -> LMLearner:
    """Stage 1: train a language model from random weights on general text (section 3.1 of the paper).

    Runs the preset's `pretrain` phases, all layers at once; returns the learner.
    """
    p = get_preset(preset)
    return run_phases(learn, p.pretrain, mom=p.mom, moms=p.moms, wd=p.lm_wd, clip=p.lm_clip)
