"""A folder of their own for what these tests write, token caches included."""

import pytest


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ULMFIT_EASY_CACHE", str(tmp_path / "cache"))
