"""The identity of a fit, which shows when it resumes, and what a user may change before: JSON values by name."""

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from inspect import isroutine, signature
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ulmfit_easy.files import sha256_bytes
from ulmfit_easy.learner.metrics.metric import name_of
from ulmfit_easy.learner.optim.schedule import ParamScheduler
from ulmfit_easy.models.encoder import Headed
from ulmfit_easy.processes import world

if TYPE_CHECKING:
    from ulmfit_easy.data.dataloaders import DataLoaders
    from ulmfit_easy.learner.learner import Learner

HYPERS = {"lr", "wd"}  # what a fit sets before it begins


def asked(learn: "Learner") -> dict:
    """Return what a user may change before resuming a fit: JSON values by name."""
    schedules = [cb.scheds for cb in learn.cbs if isinstance(cb, ParamScheduler)]
    return {
        **{name: [float(hypers[name]) for hypers in learn.opt.hypers] for name in sorted(HYPERS)},
        "schedules": [{name: [np.asarray(f(p)).tolist() for p in (0.0, 0.25, 0.5, 0.75, 1.0)]
                       for name, f in scheds.items()} for scheds in schedules],
        "callbacks": sorted(type(cb).__name__ for cb in learn.cbs),
    }


def change(name: str, before: Any, now: Any) -> str:
    if name == "callbacks":
        more, less = Counter(now) - Counter(before), Counter(before) - Counter(now)
        return ", ".join([f"with {cb}" for cb in sorted(more)] + [f"without {cb}" for cb in sorted(less)])
    if name == "schedules":
        return "another schedule"
    before, now = (values[0] if len(set(values)) == 1 else values for values in (before, now))
    return f"{name} {now} (was {before})"


def run_id(learn: "Learner") -> dict:
    """Return what a fit must share with a checkpoint to resume from it: JSON values by name."""
    dls, opt = learn.dls, learn.opt
    settings = learn.model.config() if isinstance(learn.model, Headed) else None  # dropouts, which weights do not tell
    weights = [[name, list(t.shape), str(t.dtype)] for name, t in learn.model.state_dict().items()]
    return {
        "epochs": learn.n_epoch, "batches an epoch": len(dls.train), "rows a batch": dls.bs, "seq_len": dls.seq_len,
        "backwards": dls.backwards, "rows and labels": _short_hash(fingerprints(dls)),
        "classes": _short_hash([repr(c) for c in dls.classes or ()]), "loss": _short_hash(_described(learn.loss_func)),
        "vocabulary": _short_hash(getattr(dls.text_vocab, "sha256", None)), "weights": _short_hash(weights),
        "settings": _short_hash(settings), "precision": learn.precision,
        "optimizer": f"{type(opt).__name__} of {type(opt.opt).__name__}",
        "layer groups": [len(g) for g in opt.param_groups],
        "frozen groups": opt.frozen_idx, "processes": world(),
    }  # fmt: skip


def fingerprints(dls: "DataLoaders") -> list[str | None]:
    return [dl.fingerprint() if hasattr(dl, "fingerprint") else None for dl in (dls.train, dls.valid)]


def _described(loss: Callable) -> list:
    """Return the name of a loss and what it was made with: JSON values."""
    loss, given = (loss.func, loss.keywords) if isinstance(loss, partial) else (loss, {})
    if not isinstance(loss, type) and not isroutine(loss):
        made_with = {name for cls in type(loss).__mro__[:-1] if "__init__" in vars(cls)
                     for name in signature(vars(cls)["__init__"]).parameters}
        given = {name: getattr(loss, name) for name in made_with if hasattr(loss, name)}
    values = {name: v.tolist() if isinstance(v, torch.Tensor) else v for name, v in given.items()}
    return [name_of(loss), sorted((name, repr(v)) for name, v in values.items())]


def _short_hash(value: object) -> str:
    return sha256_bytes(json.dumps(value, default=str).encode())[:12]
