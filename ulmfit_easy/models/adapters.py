"""Weights of an ordinary model, read from and loaded into a model that trains the matrices of LoRA."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn


def _adapted(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the names of the layers that peft has wrapped, each with a dot behind it, and the layers."""
    return ((f"{name}.", layer) for name, layer in model.named_modules() if hasattr(layer, "get_delta_weight"))


def has_adapters(model: nn.Module) -> bool:
    """Return True if the matrices of LoRA are being trained in a model."""
    return next(_adapted(model), None) is not None


@torch.no_grad()
def merged(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a model as it would be after `LoRA`: the product of its matrices added to each layer."""
    state = model.state_dict()
    for name, layer in _adapted(model):
        own = {key.removeprefix(name): state.pop(key) for key in list(state) if key.startswith(name)}
        base = {key.removeprefix("base_layer."): t for key, t in own.items() if key.startswith("base_layer.")}
        state |= {name + key: t for key, t in base.items()}
        state[f"{name}weight"] = base["weight"] + layer.get_delta_weight("default")
    return state


def apart(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ordinary weights as a model takes them. Matrices next to its layers add nothing then."""
    weights, own = dict(weights), model.state_dict()
    for name, _ in _adapted(model):
        theirs = {key.removeprefix(name): weights.pop(key) for key in list(weights) if key.startswith(name)}
        weights |= {f"{name}base_layer.{key}": t for key, t in theirs.items()}
        weights |= {key: torch.zeros_like(t) if "lora_B" in key else t for key, t in own.items()
                    if key.startswith(f"{name}lora_")}
    return weights
