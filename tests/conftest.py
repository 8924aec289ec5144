"""What all tests share: one thread, for small tensors only wait for each other on more; nothing shipped."""

import gc
import os
import random
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import pytest

gc.disable()  # modules are kept, and each look at all their objects takes half a second


def pytest_addoption(parser):
    parser.addoption("--shift", type=int, default=0, help="add this to every seed of torch: a test that fails with one "
                                                          "number and passes with another hangs on luck (0)")


def pytest_configure(config):
    if shift := config.getoption("--shift"):
        import torch

        seed = torch.manual_seed
        torch.manual_seed = torch.random.manual_seed = lambda number: seed(int(number) + shift)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Let each test, and what is made for it, begin with the same random numbers, whatever ran before."""
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture
def float32(monkeypatch):
    """Train in float32, for a test of numbers that bfloat16 is too coarse for."""
    monkeypatch.setenv("ULMFIT_EASY_PRECISION", "fp32")


@pytest.fixture(scope="session", autouse=True)
def shipped_weights(tmp_path_factory):
    """The library's own language models are out of sight, for tests use tiny ones; here is where they are."""
    from ulmfit_easy.bundle import shipped

    place = shipped.WEIGHTS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "WEIGHTS", tmp_path_factory.mktemp("weights"))
        yield place


@pytest.fixture(scope="session", autouse=True)
def away_from_the_users_cache(tmp_path_factory):
    """Tokens are kept in a folder of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULMFIT_EASY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    """A folder with a small BERT, as transformers saves it. Tests only read it."""
    pytest.importorskip("transformers", reason="needs the package transformers: pip install -e '.[hf]'")
    from hf_toys import save_bert

    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """For a test that would say less if its texts had been tokenized before: a cache of its own."""
    monkeypatch.setenv("ULMFIT_EASY_CACHE", str(tmp_path / "cache"))


class Canary:
    """A class that makes a file when it is made."""

    def __new__(cls, path):
        Path(path).touch()
        return super().__new__(cls)


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A file that must not appear: hostile files try to make it, by `__main__.Canary` or by a shell."""
    import copyreg

    monkeypatch.setattr(sys.modules["__main__"], "Canary", Canary, raising=False)
    yield tmp_path / "canary"
    copyreg._extension_cache.pop(250, None)
    if ("posix", "system") in copyreg._extension_registry:
        copyreg.remove_extension("posix", "system", 250)
