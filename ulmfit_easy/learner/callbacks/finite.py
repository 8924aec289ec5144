"""Where numbers stop being numbers: the part of a model in which the first NaN or infinity is found."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ulmfit_easy.learner.metric import name_of


def is_finite(tensors: list[Tensor]) -> bool:
    """Whether all numbers are finite and so few of them so large that their norm is finite too."""
    return bool(torch.isfinite(torch.nn.utils.get_total_norm(tensors)))


@torch.no_grad()
def first_in_forward(learn) -> str:
    """The first module whose output for the batch at hand is not finite; else one with such weights; else the loss.

    The batch is read once more for it, with new dropout masks.
    """
    found, names = [], {module: f"{name} ({type(module).__name__})" for name, module in learn.model.named_modules()}

    def look(module, inputs, output):
        if not found and not is_finite(list(_tensors(output))):
            found.append(module)
    hooks = [module.register_forward_hook(look) for module in names]
    try:
        learn.model(*learn.xb)
    finally:
        for hook in hooks:
            hook.remove()
    found += [module for module in names if not is_finite(list(module.parameters(recurse=False)))]
    return names[found[0]] if found else name_of(learn.loss_func)


def first_in_backward(model: nn.Module) -> str:
    """The parameter nearest to the loss whose gradient is not finite, or where all are taken together."""
    bad = [name for name, p in model.named_parameters() if p.grad is not None and not is_finite([p.grad])]
    return bad[-1] if bad else "all of them together"


def _tensors(output) -> Iterator[Tensor]:
    """The tensors of floats in what a module gives back."""
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield output.float()  # norms of float16 would soon be infinite
    elif isinstance(output, list | tuple):
        for part in output:
            yield from _tensors(part)
