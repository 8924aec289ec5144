"""A model to ask while it trains, or while other threads ask it too."""

from types import MethodType

from torch import nn


def evaluated(model: nn.Module) -> nn.Module:
    """The model in evaluation mode: modules of its own around the weights and buffers of `model`, which stays as it is.

    So no question changes the mode of a model that trains in another thread, or that another thread asks.
    """
    return _twin(model, {})


def _twin(module: nn.Module, made: dict) -> nn.Module:
    if id(module) not in made:
        twin = made[id(module)] = module.__new__(type(module))
        for name, value in vars(module).items():
            bound = isinstance(value, MethodType) and value.__self__ is module  # a method of this object alone
            vars(twin)[name] = MethodType(value.__func__, twin) if bound else value
        children = {name: child and _twin(child, made) for name, child in module._modules.items()}
        vars(twin).update(training=False, _modules=children, _compiled_call_impl=None)
    return made[id(module)]
