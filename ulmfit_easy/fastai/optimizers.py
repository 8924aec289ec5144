"""Optimizers that torch lacks, or has with other numbers: RMSProp, RAdam, QHAdam, Larc, Lamb, Lookahead, ranger.

Each of the first five is a `Rule`, a torch optimizer that moves one parameter at a time. Each also has a function of
layer groups, with fastai's name, arguments and defaults. All take `wd`, by default decoupled: a step takes `lr * wd`
of the weights away. With `decouple_wd=False` it is an L2 penalty, added to the gradient.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ulmfit_easy.learner.optim.optimizer import Adam, Optimizer, Rate
from ulmfit_easy.schema import share, takes, whole

__all__ = ["Lamb", "Larc", "Lookahead", "QHAdam", "RAdam", "RMSProp", "ranger"]


class Rule(torch.optim.Optimizer):
    """A torch optimizer in two parts: weight decay here, the step of one parameter in `move`.

    Its groups hold the hyper-parameters under our own names. Its state is made of tensors, so that it can be saved.
    """

    def __init__(self, params: Iterable, **options: Any):
        super().__init__(params, options)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # it takes none
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if group["decouple_wd"]:
                    p.mul_(1 - group["lr"] * group["wd"])
                    grad = p.grad
                else:
                    grad = p.grad.add(p, alpha=group["wd"])
                self.move(p, grad, self.state[p], group)

    def move(self, p: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        """Change `p` in place. `grad` and `p` are of one shape, any."""
        raise NotImplementedError


def average(state: dict, name: str, value: Tensor, keep: float, add: float) -> Tensor:
    """Return the running average `name` in a parameter's state, from 0 on: `keep` of the old, `add` of the value."""
    if name not in state:
        state[name] = torch.zeros_like(value)
    return state[name].mul_(keep).add_(value, alpha=add)


def momentum(state: dict, grad: Tensor, group: dict) -> Tensor:
    """Return the undamped sum of the gradients, or for an optimizer without momentum the gradient itself."""
    return average(state, "grad_avg", grad, group["mom"], 1.0) if "mom" in group else grad


def mean_square(state: dict, grad: Tensor, group: dict) -> Tensor:
    """Return the running mean of the squared gradients."""
    return average(state, "sqr_avg", grad * grad, group["sqr_mom"], 1 - group["sqr_mom"])


def moments(state: dict, grad: Tensor, group: dict) -> tuple[int, Tensor, Tensor]:
    """Return the number of this step, from 1 on, and Adam's means of gradients and squares, bias-corrected."""
    state["step"] = state.get("step", torch.zeros(())) + 1
    n, mom, sqr_mom = int(state["step"]), group["mom"], group["sqr_mom"]
    mean = average(state, "grad_avg", grad, mom, 1 - mom)
    return n, mean / (1 - mom**n), mean_square(state, grad, group) / (1 - sqr_mom**n)


class RMSPropRule(Rule):
    def move(self, p: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        scale = mean_square(state, grad, group).sqrt() + group["eps"]
        p.addcdiv_(momentum(state, grad, group), scale, value=-group["lr"])


class RAdamRule(Rule):
    def move(self, p: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        n, mean, square = moments(state, grad, group)
        b = group["sqr_mom"]
        longest = 2 / (1 - b) - 1  # of the average of squares, in gradients: rho_inf
        length = longest - 2 * n * b**n / (1 - b**n)  # so far: rho_t
        if length <= 5:  # too few squares to divide by
            p.add_(mean, alpha=-group["lr"])
            return
        scale = square.sqrt() + group["eps"]
        if group["beta"]:
            scale = F.softplus(scale, group["beta"])
        trust = math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
        p.addcdiv_(mean, scale, value=-group["lr"] * trust)


class QHAdamRule(Rule):
    def move(self, p: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        _, mean, square = moments(state, grad, group)
        nu_1, nu_2 = group["nu_1"], group["nu_2"]
        scale = ((1 - nu_2) * grad * grad + nu_2 * square).sqrt() + group["eps"]
        p.addcdiv_((1 - nu_1) * grad + nu_1 * mean, scale, value=-group["lr"])


class LarcRule(Rule):
    def move(self, p: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        size, steepness = p.norm(), grad.norm()  # (), ()
        ratio = group["trust_coeff"] * size / (steepness + group["wd"] * size + group["eps"])
        ratio = torch.where(size > 0, ratio, 1.0)  # weights that are all 0 would stay so for ever
        if group["clip"]:
            ratio = ratio.clamp(max=1)
        p.addcmul_(momentum(state, grad, group), ratio, value=-group["lr"])


class LambRule(Rule):
    def move(self, p: Tensor, grad: Tensor, state: dict, group: dict) -> None:
        _, mean, square = moments(state, grad, group)
        step = mean / (square.sqrt() + group["eps"])
        size, length = p.norm(), step.norm()  # (), ()
        ratio = torch.where((size > 0) & (length > 0), (size / length).clamp(max=10), 1.0)
        p.addcmul_(step, ratio, value=-group["lr"])


def optimizer(rule: type[Rule], params: Tensor | Iterable, kwargs: dict, options: dict, **hypers: Rate) -> Optimizer:
    """Return an `Optimizer` over layer groups, from a rule, its fixed options, and its hyper-parameters."""
    names: dict[str, str | None] = {name: name for name in hypers}
    if rule in (RMSPropRule, LarcRule) and not hypers["mom"]:
        names["mom"] = None  # no momentum, whatever a schedule says
    return Optimizer(params, partial(rule, **options), names, **{**hypers, **kwargs})


def RMSProp(params: Tensor | Iterable, lr: Rate, mom: float = 0.0, sqr_mom: float = 0.99, eps: float = 1e-8,
            wd: float = 0.0, decouple_wd: bool = True, **kwargs: Any) -> Optimizer:
    """RMSProp: steps divided by the root of the mean squared gradient (Tieleman & Hinton 2012, lecture 6.5).

    With `mom` above 0, a sum of the last gradients (momentum) is divided instead of the gradient.
    """
    return optimizer(RMSPropRule, params, kwargs, {"decouple_wd": decouple_wd},
                     lr=lr, mom=mom, sqr_mom=sqr_mom, eps=eps, wd=wd)


def RAdam(params: Tensor | Iterable, lr: Rate, mom: float = 0.9, sqr_mom: float = 0.99, eps: float = 1e-5,
          wd: float = 0.0, beta: float = 0.0, decouple_wd: bool = True, **kwargs: Any) -> Optimizer:
    """Rectified Adam: the first steps do not divide by the mean square, which few gradients estimate badly.

    `beta` above 0 smooths the divisor by a softplus of that sharpness. Source: Liu et al. 2019, arXiv 1908.03265.
    """
    return optimizer(RAdamRule, params, kwargs, {"decouple_wd": decouple_wd},
                     lr=lr, mom=mom, sqr_mom=sqr_mom, eps=eps, wd=wd, beta=beta)


def QHAdam(params: Tensor | Iterable, lr: Rate, mom: float = 0.999, sqr_mom: float = 0.999, nu_1: float = 0.7,
           nu_2: float = 1.0, eps: float = 1e-8, wd: float = 0.0, decouple_wd: bool = True, **kwargs: Any) -> Optimizer:
    """Quasi-hyperbolic Adam: each step mixes the mean gradient (a share of `nu_1`) with the latest gradient.

    `nu_2` does the same for the squares. Source: Ma & Yarats 2018, arXiv 1810.06801.
    """
    return optimizer(QHAdamRule, params, kwargs, {"decouple_wd": decouple_wd},
                     lr=lr, mom=mom, sqr_mom=sqr_mom, nu_1=nu_1, nu_2=nu_2, eps=eps, wd=wd)


def Larc(params: Tensor | Iterable, lr: Rate, mom: float = 0.9, clip: bool = True, trust_coeff: float = 0.02,
         eps: float = 1e-8, wd: float = 0.0, decouple_wd: bool = True, **kwargs: Any) -> Optimizer:
    """SGD with a rate for each tensor, in proportion to the norm of the tensor divided by the norm of its gradient.

    With `clip` that rate is at most `lr`. Without it, this is LARS. A tensor of zeros gets the rate `lr`.
    Source: You et al. 2017, arXiv 1708.03888.
    """
    return optimizer(LarcRule, params, kwargs, {"decouple_wd": decouple_wd, "clip": clip},
                     lr=lr, mom=mom, trust_coeff=trust_coeff, eps=eps, wd=wd)


def Lamb(params: Tensor | Iterable, lr: Rate, mom: float = 0.9, sqr_mom: float = 0.99, eps: float = 1e-5,
         wd: float = 0.0, decouple_wd: bool = True, **kwargs: Any) -> Optimizer:
    """Adam with a rate for each tensor: `lr` times the norm of the tensor, divided by the norm of its step.

    Source: You et al. 2019, arXiv 1904.00962. As in fastai, weights decay before the step and apart from it.
    """
    return optimizer(LambRule, params, kwargs, {"decouple_wd": decouple_wd},
                     lr=lr, mom=mom, sqr_mom=sqr_mom, eps=eps, wd=wd)


class Lookahead(Optimizer):
    """Let an optimizer make `k` steps, then move the weights back to the share `alpha` of the way it went.

    Repeat. Source: Zhang et al. 2019, arXiv 1907.08610.

    Args:
        opt: an `Optimizer`. Or layer groups, so that you can pass `Lookahead` as the `opt_func` of a learner.
        k: steps before the weights move back.
        alpha: share of the way that is kept, 0-1.
        opt_func, kwargs: what makes an optimizer of layer groups, e.g. `partial(Lookahead, opt_func=SGD)`.
    """

    @takes({"k": whole(), "alpha": share})
    def __init__(self, opt: Optimizer | Tensor | Iterable, k: int = 6, alpha: float = 0.5, *, opt_func: Callable = Adam,
                 **kwargs: Any):
        opt = opt if isinstance(opt, Optimizer) else opt_func(opt, **kwargs)
        vars(self).update(vars(opt))  # its groups, its hyper-parameters and torch's optimizer are ours now
        self.k, self.alpha = k, alpha
        self.count, self.slow = 0, dict[int, Tensor]()

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group]

    @torch.no_grad()
    def step(self):
        """Make a step of the optimizer inside. The k-th one ends a round."""
        if self.count % self.k == 0:
            self.slow = {i: p.clone() for i, p in enumerate(self._params()) if p.requires_grad}
        super().step()
        self.count += 1
        if self.count % self.k == 0:
            params = self._params()
            for i, slow in self.slow.items():
                params[i].copy_(slow + self.alpha * (params[i] - slow))

    def clear_state(self):
        """Forget the moments of all parameters, and where the round began."""
        super().clear_state()
        self.weights_changed()

    def weights_changed(self):
        """Begin a new round: the weights where the last one began are of the past."""
        self.count, self.slow = 0, {}

    def state_dict(self) -> dict:
        """Return everything needed to continue later, in the middle of a round too."""
        return {**super().state_dict(), "count": self.count, "slow": {str(i): p for i, p in self.slow.items()}}

    def load_state_dict(self, sd: dict) -> None:
        """Restore what `state_dict` gave. From another optimizer's state, a new round begins."""
        super().load_state_dict(sd)
        params, slow = self._params(), sd.get("slow", {})
        self.count, self.slow = sd.get("count", 0), {int(i): p.to(params[int(i)]).clone() for i, p in slow.items()}


def ranger(params: Tensor | Iterable, lr: Rate, mom: float = 0.95, wd: float = 0.01, eps: float = 1e-6, k: int = 6,
           alpha: float = 0.5, **kwargs: Any) -> Lookahead:
    """Rectified Adam with lookahead. `kwargs` are RAdam's. It suits `fit_flat_cos` (Wright 2019)."""
    return Lookahead(RAdam(params, lr=lr, mom=mom, wd=wd, eps=eps, **kwargs), k=k, alpha=alpha)
