"""The whole state of a training run, and how a file without pickle holds it: safetensors and JSON."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.bundle.artefact import load_state, load_weights, save_weights
from ulmfit_easy.data import ranks
from ulmfit_easy.data.random_state import random_state, set_random_state
from ulmfit_easy.errors import FileError
from ulmfit_easy.learner.events import Callback
from ulmfit_easy.learner.weights import check_opt_state
from ulmfit_easy.processes import is_main, rank, world

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner


def training_state(learn: "Learner", position: int) -> dict:
    """Return all that decides how a fit continues after `position` batches of its epoch. Tensors are not copied.

    Callbacks are asked for theirs. Of several processes each has streams of text and random numbers of its own.
    """
    opt = learn.opt.state_dict()
    callbacks = {key: state for key, cb in _numbered(learn) if (state := cb.state_dict())}
    own = ranks.gathered({"callbacks": callbacks, "random": random_state()})
    return {
        "epoch": learn.epoch,
        "train_iter": learn.train_iter,
        "model": learn.model.state_dict(),
        "opt": {**opt, "state": {str(i): moments for i, moments in opt["state"].items()}},
        "grads": {name: p.grad for name, p in learn.model.named_parameters() if p.grad is not None},  # accumulated
        "scaler": learn.opt.scaler and learn.opt.scaler.state_dict(),
        "loader": {**learn.dls.train.state_dict(), "position": position},
        **own[0],
        "others": {str(i): state for i, state in enumerate(own) if i},  # of several processes
    }


def check_training_state(learn: "Learner", state: dict, source: Path) -> None:
    """Raise FileError before anything changes if values of a state cannot be those of this fit.

    E401 for values that no fit has, E402 for an optimizer's state that does not fit.
    """
    try:
        loader, python, numpy = state["loader"], state["random"]["python"], state["random"]["numpy"]
        counts = state["epoch"], state["train_iter"], loader.get("epoch", 0), loader["position"]
        possible = (all(type(n) is int and n >= 0 for n in counts) and type(state["done"]) is bool
                    and state["epoch"] < learn.n_epoch + state["done"] and loader["position"] <= len(learn.dls.train)
                    and python["words"].shape == (625,) and numpy["key"].shape == (624,)
                    and state["random"]["torch"].shape == torch.get_rng_state().shape
                    and all(isinstance(state[name], dict) for name in ("model", "opt", "grads", "callbacks"))
                    and len(state.get("others", ())) == world() - 1)
    except (LookupError, TypeError, AttributeError):
        possible = False
    if not possible:
        raise FileError("E401", received=f"{source} with values that no fit of {learn.n_epoch} epochs of "
                        f"{len(learn.dls.train):,} batches has", expected="a file written by CheckpointCallback",
                        fix="delete it and start from the beginning")
    check_opt_state(learn.opt, state["opt"], source)


def load_training_state(learn: "Learner", state: dict, source: Path) -> None:
    """Put a learner into a state from `training_state`. E402 naming `source` if its weights do not fit."""
    state = state if is_main() else {**state, **state["others"][str(rank())]}
    load_state(learn.model, state["model"], source)
    moments = {int(i): m for i, m in state["opt"]["state"].items()}
    learn.opt.load_state_dict({**state["opt"], "state": moments})
    for name, p in learn.model.named_parameters():
        p.grad = state["grads"][name].to(p.device) if name in state["grads"] else None
    if learn.opt.scaler and state["scaler"]:
        learn.opt.scaler.load_state_dict(state["scaler"])
    learn.epoch, learn.train_iter = state["epoch"], state["train_iter"]
    learn.dls.train.load_state_dict(state["loader"])
    for key, cb in _numbered(learn):
        if key in state["callbacks"]:  # one that was not there before starts as new
            cb.load_state_dict(state["callbacks"][key])
    set_random_state(state["random"])


def _numbered(learn: "Learner") -> Iterator[tuple[str, Callback]]:
    """Yield the callbacks, each under its name and how many of that name came before."""
    seen = Counter[str]()
    for cb in learn.cbs:
        yield f"{cb.name}-{seen[cb.name]}", cb
        seen[cb.name] += 1


def write_state(path: Path, state: dict, **metadata: Any) -> Path:
    """Write a nested state to one file, atomically: an older one stays until the new one is whole."""
    tensors: dict[str, Tensor] = {}
    packed = _pack(state, "", tensors)
    return save_weights(path, tensors, state=packed, **metadata)


def read_state(path: Path) -> tuple[dict, dict]:
    """Return the state and the metadata that `write_state` wrote, with lists for tuples. E401 for any other file."""
    try:
        tensors, metadata = load_weights(path)
        packed = metadata.pop("state")
    except (FileError, KeyError) as e:
        raise FileError("E401", received=f"{path}, which is no checkpoint or a damaged one ({e})",
                        expected="a file written by CheckpointCallback",
                        fix="put a copy in its place, or delete it and start from the beginning") from e
    return _unpack(packed, tensors), metadata


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Return a nested value as JSON. Tensors and floats go into `tensors`: JSON has no NaN, and is long."""
    if isinstance(value, dict):
        return {key: _pack(v, f"{name}/{key}", tensors) for key, v in value.items()}
    value = value.item() if isinstance(value, np.generic) else value
    several = isinstance(value, list | tuple)
    if isinstance(value, Tensor):
        tensors[name] = value
        return ["tensor", name]
    if isinstance(value, float) or (several and value and all(isinstance(v, float) for v in value)):
        tensors[name] = torch.tensor(value, dtype=torch.float64)
        return ["float", name]
    if several:
        return ["list", [_pack(v, f"{name}/{i}", tensors) for i, v in enumerate(value)]]
    return ["plain", value]


def _unpack(packed: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(packed, dict):
        return {key: _unpack(v, tensors) for key, v in packed.items()}
    kind, value = packed
    if kind == "tensor":
        return tensors[value]
    if kind == "float":
        return tensors[value].tolist()
    return [_unpack(v, tensors) for v in value] if kind == "list" else value
