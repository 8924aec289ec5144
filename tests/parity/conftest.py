"""A folder of its own for what each of these tests writes."""

import pytest


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
