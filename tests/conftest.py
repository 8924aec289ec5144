"""One thread: on tensors as small as these, threads only wait for each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import pytest


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """The same numbers on every processor: none trains in bfloat16 unless a test asks for it."""
    monkeypatch.setattr("torch.cpu.get_capabilities", dict, raising=False)
