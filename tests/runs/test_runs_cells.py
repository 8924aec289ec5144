"""The tables of results: each cell runs once, and a page is written from what has run."""

import importlib
from pathlib import Path

import pandas as pd
import pytest

RUNS = Path(__file__).parents[2] / "runs"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(RUNS))
    return importlib.import_module


@pytest.fixture
def cells(script):
    return script("cells")


def args(cells, tmp_path, *more):
    return cells.arguments("a table", "lines.jsonl").parse_args([".", "--out", f"{tmp_path}/lines.jsonl", *more])


def todo(cells):
    return [cells.Cell(seconds, row, "task", seed) for row, seconds in (("quick", 1), ("slow", 100)) for seed in (0, 1)]


def ran(cells, args, fails=()):
    found = []

    def do(row, column, seed):
        found.append((row, seed))
        if row in fails:
            raise ValueError("no model")
        return {"score": seed}

    cells.run(todo(cells), do, args)
    return found


def test_a_cell_that_has_its_line_is_not_run_again(cells, tmp_path):
    assert ran(cells, args(cells, tmp_path, "--seeds", "0")) == [("quick", 0), ("slow", 0)]
    assert ran(cells, args(cells, tmp_path)) == [("quick", 1), ("slow", 1)]
    assert [line["score"] for line in cells.read(tmp_path / "lines.jsonl")] == [0, 0, 1, 1]


def test_a_cell_that_failed_is_run_again_only_if_asked(cells, tmp_path):
    assert len(ran(cells, args(cells, tmp_path), fails=["slow"])) == 4
    assert cells.read(tmp_path / "lines.jsonl")[2]["error"] == "ValueError: no model"
    assert ran(cells, args(cells, tmp_path)) == []
    assert ran(cells, args(cells, tmp_path, "--again")) == [("slow", 0), ("slow", 1)]


@pytest.mark.parametrize("more", [["--most", "50"], ["--only", "quick/*"]], ids=["most", "only"])
def test_cells_are_left_out_by_their_seconds_and_names(cells, tmp_path, more):
    assert ran(cells, args(cells, tmp_path, *more)) == [("quick", 0), ("quick", 1)]


def test_a_draw_keeps_the_shares_of_the_classes_and_two_rows_of_each(script):
    df = pd.DataFrame({"text": [f"text {i}" for i in range(1000)], "label": ["a"] * 700 + ["b"] * 298 + ["c"] * 2})
    drawn = script("transfer").drawn(df, 50, seed=1)
    assert drawn["label"].value_counts().to_dict() == {"a": 33, "b": 15, "c": 2}
    assert not drawn["text"].equals(script("transfer").drawn(df, 50, seed=2)["text"])
    many = script("transfer").drawn(df.assign(label=df.index % 19), 50, seed=1)  # 2.6 rows of each class, so 3
    assert len(many) == 50 and set(many["label"].value_counts()) == {2, 3}


def test_the_transfer_page_gives_mean_spread_and_f1(script):
    lines = [{"row": "linear", "column": "mr@200", "seed": seed, "scores": {"words": [accuracy, 0.5]}, "cpu_seconds": 1}
             for seed, accuracy in enumerate((0.6, 0.7))]
    page = script("transfer").page(lines, "## What it says\n\nLittle.")
    assert "| TF-IDF of words | 65.0 ± 7.1 / 50.0 |" in page
    assert page.endswith("## What it says\n\nLittle.")


def test_the_page_of_encoders_names_what_has_not_run(script):
    line = {"row": "tfidf", "column": "mr", "seed": 0, "score": 0.62, "cpu_seconds": 1, "processor": "any"}
    page = script("encoders").page([line])
    assert "| TF-IDF + logistic regression |  | 62.0 (one seed) (1 s) |" in page
    assert "Not run yet of MiniLM, the recipe (head first):\n\n* TREC, 100 a class\n* MR, 500\n" in page
