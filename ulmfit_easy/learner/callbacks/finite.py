"""Stop a fit at the first loss or gradient that is NaN or infinite, and name the module that went wrong."""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.events import FIRST, Callback
from ulmfit_easy.learner.metrics.metric import name_of
from ulmfit_easy.models.evaluated import evaluated

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner

WILD = 1e6  # times as large as before, or as 1: no step that teaches does that to a weight
OUTLIER = 1e3  # times as large as this gradient: what is left in the momentum of one like that is the cause
SAFE = 1.0  # rate x gradient norm, of at least 1: below it no optimizer leaps, as a move of Adam is some rates long


class TerminateOnNaNCallback(Callback):
    """Stop with E501 at the first batch whose loss or gradient is NaN or infinite, or whose step destroys the weights.

    A step destroys weights if it makes them NaN, infinite, or a million times as large. The message names the batch,
    the rate, the norm of the gradient, and the first module that went wrong. Weights, running averages (batch norm) and
    optimizer are then those before that batch. If the cause is an earlier gradient that is still in the momentum, the
    moments of the optimizer are cleared.

    The weights are copied before the first step, and before later steps whose rate and gradients are large. In
    float16 the gradient scaler skips steps whose gradients overflow, as usual.
    """

    order, run_valid, in_lr_find = FIRST, False, False
    norm: float | None
    echo: float | None
    weights: dict[Tensor, Tensor]
    state: dict | None
    averages: Sequence[tuple[Tensor, Tensor]]

    def before_fit(self):
        self.norm, self.echo, self.weights, self.state, self.averages = None, None, {}, None, ()

    cleanup_fit = before_fit

    def before_batch(self):
        self.averages = [(buffer, buffer.clone()) for buffer in self.model.buffers()]

    def after_loss(self):
        if not torch.isfinite(self.loss).all():
            self._stop(f"a loss of {float(self.loss)}", first_in_forward(self.learn))

    @torch.no_grad()
    def before_step(self):
        moving = [p for p in self.model.parameters() if p.grad is not None]
        if self.opt.scaler is None:
            self.norm = float(get_total_norm([p.grad for p in moving]))
            if not math.isfinite(self.norm):
                self._stop("a gradient that is not finite", first_in_backward(self.model))
        rate, echo, first = max(h["lr"] for h in self.opt.hypers), self.echo or 0.0, self.echo is None
        size = max(1.0, self.norm or 0.0)
        may_leap = self.norm is None or (rate * size > SAFE and echo < OUTLIER * size)
        self.state = copy.deepcopy(self.opt.state_dict()) if may_leap else None
        self.weights = {p: p.clone() for p in moving} if may_leap or first or rate * echo > SAFE else {}
        # the largest gradient that is still in the momentum; the first step shows what an earlier fit left there
        self.echo = max(h.get("mom", 0.0) for h in self.opt.hypers) * max(self.norm or 0.0, echo)

    @torch.no_grad()
    def after_step(self):
        wild = [name for name, p in self.model.named_parameters() if p in self.weights
                and not p.norm() <= WILD * max(1.0, self.weights[p].norm())]
        if wild:
            for p, old in self.weights.items():
                p.copy_(old)
            if self.state is None:
                self.opt.clear_state()
            else:
                self.opt.load_state_dict(self.state)
            cause = "a step" if self.state is not None else "an earlier gradient, still in the momentum,"
            self._stop(f"{cause} that made weights more than {WILD:,.0f} times as large", wild[0])

    @torch.no_grad()
    def _stop(self, what: str, where: str) -> NoReturn:
        for buffer, old in self.averages:
            buffer.copy_(old)
        norm = "none yet" if self.norm is None else f"{self.norm:.3g}"
        raise TrainingError(
            "E501", received=f"{what}, first in {where}, in epoch {self.epoch}, batch {self.iter}, at rate "
            f"{self.opt.hypers[-1]['lr']:.3g}, norm of the last gradient: {norm}",
            expected="finite numbers; weights and optimizer are those before this batch",
            fix="try a lower rate (learn.lr_find() suggests one) or GradientClip()")


def is_finite(tensors: list[Tensor]) -> bool:
    """Return True if all numbers are finite, and their norm is, too."""
    return bool(torch.isfinite(get_total_norm(tensors)))


@torch.no_grad()
def first_in_forward(learn: "Learner") -> str:
    """Return the first module whose output for this batch is not finite, or one with such weights, or the loss.

    The batch is read once more for it, with new dropout masks.
    """
    model = evaluated(learn.model).train()
    found: list[nn.Module] = []
    names = {module: f"{name} ({type(module).__name__})" for name, module in model.named_modules()}

    def look(module: nn.Module, inputs: tuple, output: object) -> None:
        if not found and not is_finite(list(_tensors(output))):
            found.append(module)

    for module in names:
        module.register_forward_hook(look)
    model(*learn.xb)
    found += [module for module in names if not is_finite(list(module.parameters(recurse=False)))]
    return names[found[0]] if found else name_of(learn.loss_func)


def first_in_backward(model: nn.Module) -> str:
    """Return the parameter nearest to the loss whose gradient is not finite, or where all are taken together."""
    bad = [name for name, p in model.named_parameters() if p.grad is not None and not is_finite([p.grad])]
    return bad[-1] if bad else "all of them together"


def _tensors(output: object) -> Iterator[Tensor]:
    """Yield the floating-point tensors in what a module returns."""
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield output.float()  # norms of float16 would soon be infinite
    elif isinstance(output, list | tuple):
        for part in output:
            yield from _tensors(part)
