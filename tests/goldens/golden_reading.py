"""Reading golden files and comparing with them."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch

TOLERANCE = 1e-6


@cache
def golden(name: str) -> dict:
    """One golden file."""
    return json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8"))


def assert_close(ours, theirs, tolerance: float = TOLERANCE) -> None:
    """Assert that two nested lists of numbers are of one shape and agree."""
    ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def unnamed(value):
    """A value of a golden as Python has it: {"slice": [a, b]} becomes slice(a, b)."""
    return slice(*value["slice"]) if isinstance(value, dict) else value


def load_state(model: torch.nn.Module, stored: dict) -> torch.nn.Module:
    """The model in eval mode with a golden's weights, which it must know by the same names."""
    state = {name: torch.tensor(stored[v] if isinstance(v, str) else v) for name, v in stored.items()}
    model.load_state_dict(state)
    assert set(model.state_dict()) == set(state)
    return model.eval()


def shapes(groups) -> list:
    """The shapes of each group's parameters, in an order of their own."""
    return [sorted(list(p.shape) for p in group) for group in groups]
