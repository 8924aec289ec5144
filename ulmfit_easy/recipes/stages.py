"""The three stages as plain functions over a learner. A preset says how large, how long and how fast."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from ulmfit_easy._fastcore import listify
from ulmfit_easy.bundle.packages import MODELS
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.errors import ArgumentError, some
from ulmfit_easy.learner.callbacks.finite import TerminateOnNaNCallback
from ulmfit_easy.learner.callbacks.training import GradientClip
from ulmfit_easy.learner.events import Cbs
from ulmfit_easy.learner.learner import Learner, Moms
from ulmfit_easy.learner.optim.optimizer import Rate, discriminative
from ulmfit_easy.learner.pretrained import PretrainedLM, read_lm, with_sizes
from ulmfit_easy.learner.tasks import TASKS
from ulmfit_easy.learner.text import language_model_learner, text_classifier_learner
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.learner.text_learner import LMLearner, TextLearner
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.recipes.presets import Phase, Preset, get_preset
from ulmfit_easy.text.given import several_texts

L = TypeVar("L", bound=Learner)
Start = TextLearner | PretrainedLM | None  # what a stage begins with


def preset_for(preset: str | Preset | None, start: Start | type[Encoder]) -> Preset:
    """Return a preset. None is the encoder's own: of a learner, of a model (and what suits that model), or of a class.

    Raises: ArgumentError E603 for a preset with dropouts that the encoder does not have.
    """
    arch = type(start.encoder) if isinstance(start, TextLearner) else (
        get_arch(start.arch) if isinstance(start, PretrainedLM) else start)
    found = get_preset((arch or Encoder).preset if preset is None else preset)
    if arch and (strange := (found.lm_config.keys() | found.clas_config.keys()) - arch.clas_config.keys()):
        raise ArgumentError("E603", received=f"preset={found.name!r} with {arch.__name__}, which has no "
                            f"{some(sorted(strange))}", expected="a preset for this encoder", fix="leave out preset=")
    if preset is None and isinstance(start, PretrainedLM) and start.name in MODELS:
        found = replace(found, clas_config={**found.clas_config, **MODELS[start.name].clas_config})
    return found


# --- stage 1: learn a language from general text ------------------------------------------------------------------


def lm_data(texts: Iterable, preset: str | Preset | None = None, pretrained: str | Path | PretrainedLM | None = None,
            **kwargs: Any) -> TextDataLoaders:
    """Return loaders of texts for stages 1 and 2, with the batch sizes of a preset. One text in ten is for validation.

    Args:
        texts: any iterable of strings, or a table with the column `text`, or with a single column.
        preset: a name or a `Preset`. None is the encoder's own.
        pretrained: the language model that `new_lm` will start from. The loaders get its tokenizer, and its words in
            addition to those of the texts, because later texts may use them. Pass what `read_lm` takes, or what
            `read_lm` or `shipped_lm` returned.
        kwargs: passed on to `TextDataLoaders.from_df`.
    """
    pretrained = read_lm(pretrained, kwargs.get("backwards")) if pretrained else None
    p = preset_for(preset, pretrained)
    df = texts if hasattr(texts, "pieces") else pd.DataFrame({"text": list(several_texts(texts))}, dtype=object)
    sizes = {"bs": p.lm_bs, "seq_len": p.seq_len or 72, "min_freq": p.min_freq, "max_vocab": p.max_vocab}
    return TextDataLoaders.from_df(df, text_col="text", is_lm=True, pretrained=pretrained,
                                   **{"valid_pct": 0.1, **sizes, **kwargs})


def new_lm(dls: DataLoaders, preset: str | Preset | None = None, pretrained: str | Path | PretrainedLM | None = None,
           **kwargs: Any) -> LMLearner:
    """Return a language model with the sizes and dropouts of a preset.

    Args:
        dls: language-model data, `TextDataLoaders.from_df(..., is_lm=True)`.
        preset: a name or a `Preset`. None is the encoder's own.
        pretrained: as for `lm_data`. A model brings its own architecture, sizes and softmax. None starts from scratch.
        kwargs: passed on to `language_model_learner`.
    """
    found = read_lm(pretrained, dls.backwards) if pretrained else None
    p, kwargs = preset_for(preset, found), {"metrics": TASKS[dls.task].metrics, **kwargs}
    if found is None:
        return language_model_learner(dls, p.arch, config={**p.config, **p.lm_config},
                                      drop_mult=p.pretrain_drop_mult, pretrained=False, **kwargs)
    kwargs = {"softmax": found.model.get("softmax", "full"), **kwargs}
    return language_model_learner(dls, found, config=p.lm_config, drop_mult=p.lm_drop_mult, **kwargs)


def pretrain_lm(learn: LMLearner, preset: str | Preset | None = None, cbs: Cbs = None) -> LMLearner:
    """Stage 1: train a language model from random weights on general text (section 3.1 of the paper).

    The phases of the preset's `pretrain` run one after the other, on all layers, each with the callbacks `cbs`. Return
    the learner.
    """
    p = preset_for(preset, learn)
    return run_phases(learn, p.pretrain, mom=p.mom, moms=p.moms, wd=p.lm_wd, clip=p.lm_clip, cbs=cbs)


# --- stage 2: learn how the target texts are written --------------------------------------------------------------


def finetune_lm(learn: LMLearner, preset: str | Preset | None = None, cbs: Cbs = None) -> LMLearner:
    """Stage 2: train a pretrained language model further on your texts (section 3.2 of the paper). Return the learner.

    Make the learner with `pretrained=`, as `new_lm` does. The phases of the preset's `lm` run one after the other, each
    with the callbacks `cbs`.
    """
    p = preset_for(preset, learn)
    return run_phases(learn, p.lm, mom=p.mom, moms=p.moms, wd=p.lm_wd, clip=p.lm_clip, cbs=cbs)


# --- stage 3: learn the labels, from the top layer down -----------------------------------------------------------


def classifier_data(df: pd.DataFrame, preset: str | Preset | None = None, lm: Start = None,
                    **kwargs: Any) -> TextDataLoaders:
    """Return loaders of labelled texts for stage 3, with the batch sizes of a preset and the vocabulary of `lm`.

    Args:
        df: a table with the columns `text` and `label`.
        preset: a name or a `Preset`. None is the encoder's own.
        kwargs: passed on to `TextDataLoaders.from_df`.
    """
    p = preset_for(preset, lm)
    sizes = {"bs": p.clas_bs, "seq_len": p.seq_len or 72, "min_freq": p.min_freq, "max_vocab": p.max_vocab}
    columns = {"text_col": "text", "label_col": "label"}
    return TextDataLoaders.from_df(df, **{**columns, **sizes, "pretrained": lm, **kwargs})


def new_classifier(dls: DataLoaders, preset: str | Preset | None = None, lm: Start = None,
                   **kwargs: Any) -> TextLearner:
    """Return a classifier with the sizes and dropouts of a preset.

    Args:
        dls: labelled data, made with `pretrained=lm`.
        preset: a name or a `Preset`. None is the encoder's own.
        lm: the learner of stage 2 or 1, or what `read_lm` returned. The classifier gets its encoder and sizes. None
            starts from scratch.
        kwargs: more arguments of `text_classifier_learner`. They override the settings of the preset.
    """
    p, task = preset_for(preset, lm), TASKS[dls.task]
    if isinstance(lm, TextLearner):
        arch, sizes = type(lm.encoder), lm.encoder.settings
    else:  # a model brings its sizes by itself
        arch, sizes = get_arch(lm.arch if lm else p.arch), None if lm else p.config
    config = with_sizes(sizes, p.clas_config, arch.clas_config)
    wanted = {"pool_words": p.pool_words} if "pool_words" in Head.find(kwargs.get("head") or task.head).SETTINGS else {}
    kwargs = {"metrics": task.metrics, **wanted, **kwargs}
    learn = text_classifier_learner(dls, arch, seq_len=p.seq_len, max_len=p.max_len, config=config,
                                    drop_mult=p.clas_drop_mult,
                                    pretrained=lm if isinstance(lm, PretrainedLM) else False, **kwargs)
    return learn.take_encoder(lm) if isinstance(lm, TextLearner) else learn


def finetune_classifier(learn: TextLearner, preset: str | Preset | None = None, gradual: bool = True,
                        cbs: Cbs = None) -> TextLearner:
    """Stage 3: train a classifier from the top layer down, as the preset says (section 3.3). Return the learner.

    Args:
        learn: a classifier over a trained encoder.
        preset: a name or a `Preset`, None for the encoder's own. Its `clas` phases run.
        gradual: unfreeze layer groups one after the other. False trains all layers at one rate in every phase, which
            suits an encoder with random weights.
        cbs: callbacks for each phase.
    """
    p = preset_for(preset, learn)
    phases = p.clas if gradual else tuple(replace(f, freeze_to=0, factor=1.0) for f in p.clas)
    return run_phases(learn, phases, mom=p.mom, moms=p.moms, wd=p.clas_wd, clip=p.clas_clip, cbs=cbs)


# --- phases -------------------------------------------------------------------------------------------------------


def run_phases(learn: L, phases: tuple[Phase, ...], *, mom: float, moms: Moms, wd: float, clip: float | None,
               cbs: Cbs = None) -> L:
    """Fit once for each phase, with its layer groups, rates and schedule. Returns the learner."""
    for phase in phases:
        learn.freeze_to(phase.freeze_to)
        own = [TerminateOnNaNCallback(), *([GradientClip(clip)] if clip is not None else []), *listify(cbs)]
        if phase.schedule == "stlr":
            learn.opt.set_hyper("mom", mom)
            learn.fit_stlr(phase.epochs, rates(learn, phase), phase.cut_frac, phase.ratio, wd=wd, cbs=own)
        else:
            learn.fit_one_cycle(phase.epochs, rates(learn, phase), moms=moms, wd=wd, cbs=own)
    return learn


def rates(learn: Learner, phase: Phase) -> Rate:
    """Return the highest rate of each layer group in a phase."""
    if phase.divisors is None:
        return discriminative(phase.lr, phase.factor)
    n, divisors = len(learn.opt.param_groups), phase.divisors
    divisors = (divisors[0],) * (n - len(divisors)) + divisors[-n:]  # counted from the top, whatever their number
    return [phase.lr / d for d in divisors]
