"""A model to ask while it trains, or while other threads ask it too."""

from collections.abc import Callable, Mapping
from functools import wraps
from types import MethodType
from typing import TypeVar, cast

import torch
from torch import nn

from ulmfit_easy.cleanup import surely

M = TypeVar("M", bound=nn.Module)


def evaluated(model: M, instead: Mapping[nn.Module, nn.Module] | None = None) -> M:
    """Return the model in evaluation mode: new modules around the weights and buffers of `model`, which stays as it is.

    So no question changes the mode of a model that trains in another thread, or that another thread asks. Hooks that
    are added to the view stay in the view. `instead` has other modules for some of the model's.
    """
    return cast(M, _twin(model, {id(old): new for old, new in (instead or {}).items()}))


def _twin(module: nn.Module, made: dict[int, nn.Module]) -> nn.Module:
    if id(module) not in made:
        twin = made[id(module)] = type(module).__new__(type(module))
        for name, value in vars(module).items():
            bound = isinstance(value, MethodType) and value.__self__ is module  # a method of this object alone
            vars(twin)[name] = MethodType(value.__func__, twin) if bound else value
        children = {name: child and _twin(child, made) for name, child in module._modules.items()}
        vars(twin).update(training=False, _modules=children, _compiled_call_impl=None,
                          _forward_hooks=module._forward_hooks.copy())
    return made[id(module)]


def without_gradients(function: Callable) -> Callable:
    """Decorate a function that needs no gradients. Unlike `torch.no_grad`, Ctrl-C cannot leave them switched off."""

    @wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        was_enabled = torch.is_grad_enabled()

        def body() -> object:
            torch.set_grad_enabled(False)
            return function(*args, **kwargs)

        return surely(body, lambda: [(torch.set_grad_enabled, was_enabled)])

    return call
