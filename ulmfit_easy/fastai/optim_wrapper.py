"""Any torch optimizer as one of ours: layer groups, freezing, rates for each group."""

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.optim.optimizer import Optimizer, Rate, expand_lr

__all__ = ["OptimWrapper"]


# From torch's names to ours, as fastai has them; `betas__0` is the first of a tuple. Others keep their name.
pytorch_hp_map = {"momentum": "mom", "weight_decay": "wd", "alpha": "sqr_mom", "betas__0": "mom", "betas__1": "sqr_mom"}


class OptimWrapper(Optimizer):
    """Use any torch optimizer in a learner: `opt_func=partial(OptimWrapper, opt=torch.optim.NAdam)`.

    Its hyper-parameters have fastai's names, such as `lr`, `mom` and `wd`. An optimizer that is made without momentum
    keeps none, even if a schedule sets it. `SGD` does the same.

    Args:
        params: layer groups, or parameters, or dicts as torch takes them, `{"params": ..., "lr": 1e-3}`, each of which
            is a layer group.
        opt: a class such as `torch.optim.NAdam`, or a function that makes a torch optimizer of torch's groups. Without
            `params`, an optimizer itself, whose groups are then the layer groups.
        hp_map: a dict from torch's names of hyper-parameters to fastai's, by default `pytorch_hp_map`.
        lr: the rate, as for `set_hyper`. None for the optimizer's own.
        no_decay, always_train: as for `Optimizer`.
        kwargs: passed on to `opt`, under torch's names.

    Raises:
        ArgumentError: E603 if `opt` is an optimizer and `params` is given too, or if neither says what to train.
    """

    def __init__(self, params: Tensor | Iterable | None = None, opt: Callable | torch.optim.Optimizer | None = None,
                 hp_map: dict | None = None, *, lr: Rate | None = None, no_decay: Iterable[Tensor] = (),
                 always_train: Iterable[Tensor] = (), **kwargs: Any):
        there = opt if isinstance(opt, torch.optim.Optimizer) else None
        if opt is None or (there is None) == (params is None):
            raise ArgumentError("E603", received="parameters for an optimizer that has its own" if there else
                                "parameters or an optimizer, and not both",
                                expected="parameters and an optimizer's class, or an optimizer alone",
                                fix="write OptimWrapper(params, torch.optim.NAdam) or OptimWrapper(opt=optimizer)")

        given = params if isinstance(params, Tensor) else list(params or ())
        as_dicts = given if isinstance(given, list) and given and isinstance(given[0], dict) else []

        def make(torch_groups: list[dict]) -> torch.optim.Optimizer:
            if there is not None:
                old = there.param_groups
                there.param_groups = [{**old[i // 2], **group} for i, group in enumerate(torch_groups)]
                return there
            for i, group in enumerate(as_dicts):
                for torch_group in torch_groups[2 * i : 2 * i + 2]:
                    torch_group |= {k: v for k, v in group.items() if k != "params"}
            rate = {} if lr is None else {"lr": expand_lr(lr, len(torch_groups) // 2)[-1]}
            return cast(Callable, opt)(torch_groups, **rate, **kwargs)

        dicts = as_dicts if there is None else there.param_groups
        parts = [group["params"] for group in dicts]
        groups = [[ps] if isinstance(ps, Tensor) else list(ps) for ps in parts] if dicts else given
        super().__init__(groups, make, {}, no_decay=no_decay, always_train=always_train)
        values = [hypers_of(group, hp_map or pytorch_hp_map) for group in self.opt.param_groups[::2]]
        self.names = {name: key for name, (key, _) in values[0].items()} if values else {}
        for name in self.names:
            self.set_hyper(name, [group[name][1] for group in values])
        if not any(h.get("mom") for h in self.hypers):
            self.names["mom"] = None
        self.names.setdefault("wd", None)
        if lr is not None:
            self.set_hyper("lr", lr)


def hypers_of(group: dict, hp_map: dict) -> dict:
    """Return the numbers in a torch group: our name -> (torch's name, as `Optimizer` wants it, value)."""
    found = {}
    for key, value in group.items():
        parts = {f"{key}__{i}": v for i, v in enumerate(value)} if isinstance(value, tuple) else {key: value}
        for part, v in parts.items():
            if isinstance(v, float) or (type(v) is int and part in {"lr", *pytorch_hp_map, *hp_map}):  # others count
                found[hp_map.get(part, part)] = (part.replace("__", "."), float(v))
    return found
