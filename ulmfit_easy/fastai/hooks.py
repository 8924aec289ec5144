"""Look at the outputs or the gradients of modules, in a fit or outside."""

from collections.abc import Callable, Sequence
from typing import Any, Self

from torch import Tensor, nn

from ulmfit_easy.data.on_device import changed

__all__ = ["Hook", "Hooks", "has_params", "hook_output", "hook_outputs", "total_params"]


class Hook:
    """Call a function after each pass through a module, and keep its result in `.stored`.

    It ends with `remove()` or with the `with` block.

    Args:
        m: the module.
        hook_func: a function of (module, inputs, output). With `is_forward=False` inputs and output are gradients.
        is_forward: True for the forward pass, False for the backward pass.
        detach: give the function tensors without gradients.
        cpu: give the function copies on the CPU.
    """

    def __init__(self, m: nn.Module, hook_func: Callable, is_forward: bool = True, detach: bool = True,
                 cpu: bool = False):
        self.hook_func, self.detach, self.cpu, self.stored = hook_func, detach, cpu, None
        self.handle = (m.register_forward_hook if is_forward else m.register_full_backward_hook)(self._run)

    def _run(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.stored = self.hook_func(module, changed(inputs, self._seen), changed(output, self._seen))

    def _seen(self, tensor: Tensor) -> Tensor:
        tensor = tensor.detach() if self.detach else tensor
        return tensor.cpu() if self.cpu else tensor

    def remove(self):
        """Remove the hook from the module. `.stored` stays."""
        self.handle.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Hooks(list):
    """A `Hook` for each of several modules. `.stored` is the list of their results."""

    def __init__(self, ms: Sequence[nn.Module], hook_func: Callable, *args: Any, **kwargs: Any):
        super().__init__(Hook(m, hook_func, *args, **kwargs) for m in ms)

    stored = property(lambda self: [hook.stored for hook in self])

    def remove(self):  # type: ignore[override]  # all of them, not one item
        """Remove all hooks. `.stored` stays."""
        for hook in self:
            hook.remove()

    __enter__, __exit__ = Hook.__enter__, Hook.__exit__


def hook_output(module: nn.Module, detach: bool = True, cpu: bool = False, grad: bool = False) -> Hook:
    """Return a `Hook` that keeps a module's output in `.stored`.

    With `grad`, the gradient of the loss by that output.
    """
    return Hook(module, _output, not grad, detach, cpu)


def hook_outputs(modules: Sequence[nn.Module], detach: bool = True, cpu: bool = False, grad: bool = False) -> Hooks:
    """Return `Hooks` that keep the outputs of several modules in `.stored`. With `grad`, the gradients by them."""
    return Hooks(modules, _output, not grad, detach, cpu)


def _output(module: nn.Module, inputs: Any, output: Any) -> Any:
    return output


def has_params(m: nn.Module) -> bool:
    """Return True if a module or a module inside it has parameters."""
    return next(m.parameters(), None) is not None


def total_params(m: nn.Module) -> tuple[int, bool]:
    """Return the number of a module's parameters, and True if the first one trains."""
    params = list(m.parameters())
    return sum(p.numel() for p in params), bool(params) and params[0].requires_grad
