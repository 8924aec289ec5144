"""The simulation of active learning runs on small data, repeats no cell, and writes its page from the lines."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from ulmfit_easy.data.toy import toy_reviews

FILE = Path(__file__).parents[2] / "runs/active.py"


@pytest.fixture
def active(monkeypatch):
    spec = importlib.util.spec_from_file_location("active", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    df = toy_reviews(120)[["text", "label"]].drop_duplicates("text").reset_index(drop=True)
    monkeypatch.setattr(module, "COLUMNS", {"sms": lambda folder: (df[:60], df[60:])})
    for name, value in {"START": 10, "ROUNDS": 2, "EACH": 5, "LABELS": [10, 15, 20]}.items():
        monkeypatch.setattr(module, name, value)
    return module


def call(active, monkeypatch, *args):
    monkeypatch.setattr(sys, "argv", ["active.py", *map(str, args)])
    active.main()


def test_each_cell_runs_once_and_the_page_has_it(active, monkeypatch, tmp_path):
    out, page = tmp_path / "a.jsonl", tmp_path / "a.md"
    call(active, monkeypatch, "data", "--ways", "tfidf", "--seeds", 0, "--only", "*/random", "*/margin", "--out", out)
    call(active, monkeypatch, "data", "--ways", "tfidf", "--seeds", 0, "--out", out)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["strategy"] for line in lines] == ["random", "margin", "entropy", "kcenter"]
    assert len({line["accuracy"][0] for line in lines}) == 1 and all(len(line["accuracy"]) == 3 for line in lines)
    page.write_text("old\n## What it says\nwords of a person\n")
    call(active, monkeypatch, "--page", page, "--out", out)
    text = page.read_text()
    assert "| margin | " in text and text.endswith("## What it says\nwords of a person\n") and "old" not in text


def test_the_labels_needed_lie_between_two_rounds(active):
    assert active.needed(np.array([.5, .7, .9]), .8) == "18 (88 %)"
    assert active.needed(np.array([.9, .7, .9]), .8) == "10 (50 %)"
    assert active.needed(np.array([.5, .7, .7]), .8) == "more than 20"
