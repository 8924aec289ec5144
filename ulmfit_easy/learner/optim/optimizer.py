"""Torch's optimizers over layer groups, each group with its own rate, momentum and decay."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ulmfit_easy.absent import TellsAbsent
from ulmfit_easy.errors import TrainingError, refuse_stranger
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.reprs import described
from ulmfit_easy.schema import any_of, list_of, number, share, such, tuple_of
from ulmfit_easy.user_code import warn_user

NORMS = (nn.BatchNorm1d, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class discriminative:
    """Rates for discriminative fine-tuning: `lr` for the last group, divided by `factor` for each group below it.

    By default the factor is that of the encoder: 2.6 for an AWD-LSTM, 1 / 0.95 for a transformer. Pass it wherever a
    rate is taken, as in `learn.fit_one_cycle(1, discriminative(1e-2))`.

    Source: Howard & Ruder 2018, section 3.2, where 2.6 was found by experiment.
    """

    lr: float
    factor: float | None = None


Rate = float | slice | Sequence[float] | np.ndarray | discriminative  # what `expand_lr` takes


def rate(value: object) -> object:
    """Check a rate, or several: what `expand_lr` takes."""
    return value if isinstance(value, discriminative | slice) else any_of(number(0), list_of(number(0)))(value)


momenta = such(tuple_of(share), lambda value: len(value) == 3,
               "three momenta, at the start, in the middle, at the end: moms=(0.8, 0.7, 0.8)")


def expand_lr(lr: Rate, n_groups: int, factor: float = Encoder.factor) -> list[float]:
    """Return one value per layer group, input side first.

    Args:
        lr: a number is the rate of all groups. `slice(a, b)` rises geometrically from the first group to the last.
            `slice(b)` is b for the last group and b / 10 for the others. `discriminative(b)` divides b from the last
            group down. A sequence has one value per group.
        n_groups: how many groups there are.
        factor: between groups, for a `discriminative` that names none.

    Raises: TrainingError E503 for a sequence of another length, or a rate that is not positive in a slice.
    """
    if isinstance(lr, discriminative) and lr.factor is None:
        lr = replace(lr, factor=factor)
    said = [lr.lr, lr.factor] if isinstance(lr, discriminative) else (
        [v for v in (lr.start, lr.stop) if v is not None] if isinstance(lr, slice) else [])
    if not all(isinstance(v, int | float | np.number) and v > 0 for v in said):
        raise _rates_error(lr, "positive numbers")
    if isinstance(lr, discriminative):
        return [lr.lr / cast(float, lr.factor) ** (n_groups - 1 - i) for i in range(n_groups)]
    if isinstance(lr, slice):
        if lr.stop is None:
            raise _rates_error(lr, "slice(a, b) or slice(b) of positive rates")
        if lr.start is None:
            return [lr.stop / 10] * (n_groups - 1) + [lr.stop]
        if n_groups == 1:
            return [lr.stop]
        step = (lr.stop / lr.start) ** (1 / (n_groups - 1))
        return [lr.start * step**i for i in range(n_groups)]
    if isinstance(lr, str):
        raise _rates_error(lr, "numbers")
    if isinstance(lr, Collection):
        if len(lr) != n_groups:
            raise _rates_error(lr, f"{n_groups} values, one for each layer group")
        return [float(v) for v in lr]
    return [float(lr)] * n_groups


def _rates_error(received: object, expected: str) -> TrainingError:
    return TrainingError("E503", received=f"rates {received!r}", expected=expected,
                         fix="give one number, slice(lowest, highest), or a list with one value per group")


class Optimizer(TellsAbsent):
    """A torch optimizer in which each layer group has its own rate and other hyper-parameters, with fastai's names.

    Args:
        groups: lists of parameters, input side first. Parameters alone are one group.
        make: builds the torch optimizer from torch's own parameter groups.
        names: a dict from fastai's names (lr, mom, sqr_mom, eps, wd) to torch's. `betas.0` is the first of a tuple.
            None stands for a name that a schedule may set and this optimizer does not use.
        no_decay: parameters without weight decay. A learner gives biases and norms, unless it has `wd_bn_bias`.
        always_train: parameters that `freeze_to` leaves trainable (norms).
        hypers: the first value of each hyper-parameter.

    Attributes:
        factor: the factor between the rates of two layer groups, if `discriminative` rates do not give one.
    """

    factor = Encoder.factor

    def __init__(self, groups: Tensor | Iterable, make: Callable[[list[dict]], torch.optim.Optimizer],
                 names: Mapping[str, str | None], *, no_decay: Iterable[Tensor] = (),
                 always_train: Iterable[Tensor] = (), **hypers: Rate):
        groups = [groups] if isinstance(groups, torch.Tensor) else list(groups)
        if groups and isinstance(groups[0], torch.Tensor):
            groups = [groups]
        groups, skip = [list(g) for g in groups], {id(p) for p in no_decay}
        self.param_groups = groups
        self.names, self._always = names, {id(p) for p in always_train}
        self.opt = make([  # two torch groups for each layer group: with decay, without
            {"params": [p for p in g if (id(p) in skip) == plain], "_plain": plain}
            for g in groups for plain in (False, True)
        ])
        self.hypers: list[dict[str, float]] = [{} for _ in groups]
        self.frozen_idx, self.scaler = 0, None
        self.set_hypers(**hypers)

    def __repr__(self) -> str:
        values = {name: sorted({hypers[name] for hypers in self.hypers}) for name in (self.hypers or [{}])[0]}
        shown = (f"{name} {v[0]:.3g}" + (f" to {v[-1]:.3g}" if v[1:] else "") for name, v in values.items())
        return described(self, type(self.opt).__name__, f"{len(self.param_groups)} layer groups",
                         self.frozen_idx and f"the first {self.frozen_idx} frozen", *shown)

    def set_hyper(self, name: str, value: Rate) -> None:
        """Set one hyper-parameter of every group. `value` may be anything that `expand_lr` takes."""
        refuse_stranger("the hyper-parameter ", name, self.names)
        key, _, index = (self.names[name] or "").partition(".")
        values = expand_lr(value, len(self.hypers), self.factor)
        if not all(0 <= v < math.inf for v in values):
            raise _rates_error(value, "finite values, none below zero")
        for i, v in enumerate(values):
            self.hypers[i][name] = v
            for tg in self.opt.param_groups[2 * i : 2 * i + 2]:  # looked up anew: torch replaces them on loading
                if index:
                    pair = list(tg[key])
                    pair[int(index)] = v
                    tg[key] = tuple(pair)
                elif key:
                    tg[key] = 0.0 if name == "wd" and tg["_plain"] else v

    def set_hypers(self, **hypers: Rate) -> None:
        """Set several hyper-parameters, each as `set_hyper` does."""
        for name, value in hypers.items():
            self.set_hyper(name, value)

    def freeze(self):
        """Train the last group only."""
        self.freeze_to(-1)

    def unfreeze(self):
        """Train all groups."""
        self.freeze_to(0)

    def freeze_to(self, n: int) -> None:
        """Train the groups from the n-th on (negative counts from the end). Forget gradients and moments."""
        self.frozen_idx = n if n >= 0 else max(0, len(self.param_groups) + n)
        if self.frozen_idx >= len(self.param_groups):
            warn_user(f"freeze_to({n}) freezes all {len(self.param_groups)} layer groups")
        for i, group in enumerate(self.param_groups):
            for p in group:
                p.requires_grad_(i >= self.frozen_idx or id(p) in self._always)
                p.grad = None
        self.clear_state()

    def clear_state(self):
        """Forget the moments of all parameters."""
        self.opt.state.clear()

    def weights_changed(self):
        """Tell the optimizer that the weights were changed between two steps: loaded or averaged."""

    def step(self):
        """Move every parameter that has a gradient."""
        if self.scaler is None:
            self.opt.step()
        else:  # fp16 on a GPU: the scaler skips a step whose gradients overflowed
            self.scaler.step(self.opt)
            self.scaler.update()

    def zero_grad(self):
        """Forget all gradients."""
        self.opt.zero_grad(set_to_none=True)

    def state_dict(self) -> dict:
        """Return everything needed to continue later: torch's state, our hyper-parameters, the freezing."""
        return {"state": self.opt.state_dict()["state"], "hypers": [dict(h) for h in self.hypers],
                "frozen_idx": self.frozen_idx}

    def load_state_dict(self, sd: dict) -> None:
        """Restore what `state_dict` gave."""
        if sd["frozen_idx"] != self.frozen_idx:
            self.freeze_to(sd["frozen_idx"])
        for name in sd["hypers"][0] if self.hypers else ():
            self.set_hyper(name, [h[name] for h in sd["hypers"]])
        self.opt.load_state_dict({"state": sd["state"], "param_groups": self.opt.state_dict()["param_groups"]})


ADAM_NAMES = {"lr": "lr", "mom": "betas.0", "sqr_mom": "betas.1", "eps": "eps", "wd": "weight_decay"}


def Adam(params: Tensor | Iterable, lr: Rate, mom: float = 0.9, sqr_mom: float = 0.99, eps: float = 1e-5,
         wd: float = 0.01, decouple_wd: bool = True, **kwargs: Any) -> Optimizer:
    """AdamW with fastai's defaults: beta2 .99 adapts faster than torch's .999, eps 1e-5 is safe in half precision."""
    kind = torch.optim.AdamW if decouple_wd else torch.optim.Adam
    make = partial(kind, lr=1.0, fused=True)  # one pass over the parameters: a quarter of the time on a CPU
    return Optimizer(params, make, ADAM_NAMES, lr=lr, mom=mom, sqr_mom=sqr_mom, eps=eps, wd=wd, **kwargs)


def SGD(params: Tensor | Iterable, lr: Rate, mom: float = 0.0, wd: float = 0.0, decouple_wd: bool = True,
        **kwargs: Any) -> Optimizer:
    """Stochastic gradient descent (torch's SGD), with momentum if you ask for it.

    Args:
        mom: the momentum. Steps become up to 1 / (1 - mom) times as long. With 0, the default, a schedule cannot
            change it. Pass `opt_func=partial(SGD, mom=0.9)` if `fit_one_cycle` is to move the momentum.
        wd: weight decay: each step takes away the share lr * wd of the weights. With `decouple_wd=False` it is an L2
            penalty instead, whose gradient goes through the momentum.
    """
    names = {"lr": "lr", "mom": "momentum" if mom else None, "wd": "decay" if decouple_wd else "weight_decay"}
    make = partial(SGDW if decouple_wd else torch.optim.SGD, lr=1.0)
    return Optimizer(params, make, names, lr=lr, mom=mom, wd=wd, **kwargs)


class SGDW(torch.optim.SGD):
    """torch's SGD after a decay of the weights by `decay`, which torch has for Adam only."""

    @torch.no_grad()
    def step(self):  # type: ignore[override]  # nobody passes a closure
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.mul_(1 - group["lr"] * group["decay"])
        super().step()


def norm_params(model: nn.Module, kinds: tuple[type[nn.Module], ...] = NORMS) -> list:
    """Return the parameters of normalisation layers."""
    return [p for m in model.modules() if isinstance(m, kinds) for p in m.parameters(recurse=False)]


def norm_and_bias_params(model: nn.Module) -> list:
    """Return the parameters that weight decay leaves alone: of norms, and every bias, those of an LSTM too."""
    biases = [p for name, p in model.named_parameters() if name.rpartition(".")[2].startswith("bias")]
    return norm_params(model) + biases
