"""`ulmfit experiment`: cells that resume, and a page whose words stay. The model is tiny, the reviews are made up."""

import re

import pandas as pd
import pytest
from matplotlib.figure import Figure
from preset_toys import TINY

from ulmfit_easy.apps.cli import main
from ulmfit_easy.apps.commands import experiment as command
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.learner.pretrained import read_lm
from ulmfit_easy.recipes.experiments import cells, draws, page, paper, run, ways
from ulmfit_easy.recipes.stages import lm_data, new_lm

PLACE = ("--folder", "data", "--data", "trec", "--out", "out")


@pytest.fixture(scope="module")
def start():
    """A tiny model in each direction, and the folder of a data set in the official format of TREC."""
    texts = toy_reviews(60, seed=1)["text"].tolist()
    return [read_lm(new_lm(lm_data(texts, TINY, backwards=b, cache_dir=False), TINY, verbose=False)) for b in (0, 1)]


@pytest.fixture
def small(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, n, seed in (("train_5500.label", 70, 0), ("TREC_10.label", 20, 2)):
        (tmp_path / "data/trec").mkdir(parents=True, exist_ok=True)
        lines = [f"{row.label}:x {row.text}\n" for row in toy_reviews(n, seed=seed).itertuples()]
        (tmp_path / "data/trec" / name).write_text("".join(lines))
    monkeypatch.setattr(ways, "read_lm", lambda lang, backwards: start[backwards])
    monkeypatch.setattr(ways, "get_preset", lambda *_, **__: TINY)
    for name, value in (("STEPS", 1), ("EPOCHS", (1, 2))):
        monkeypatch.setattr(ways, name, value)
    monkeypatch.setattr(run, "RATES", (1e-2, 2e-2))
    monkeypatch.setattr(run, "LABELS", (5,))
    monkeypatch.setitem(draws.DATA_SETS, "trec", draws.DATA_SETS["trec"]._replace(per_class=10))
    return tmp_path


def typed(*args):
    return main(["experiment", *map(str, args), *PLACE])


def test_the_command_offers_what_the_package_has():
    assert command.NAMES == tuple(paper.EXPERIMENTS) and command.DATA == tuple(draws.DATA_SETS)


def test_an_experiment_runs_resumes_and_keeps_the_words_of_a_person(small, capsys):
    assert typed("table5", "--seeds", 1) == 0
    file = small / "out/table5.md"
    text = file.read_text()
    rows = dict(line.split(" | ", 1) for line in text.replace("\n| ", "\n").splitlines() if line.count(" | ") == 3)
    assert {*paper.EXPERIMENTS["table5"].rows, paper.BASELINE} < {*rows}
    assert rows["without dropout"].endswith(" | 7.41 |") and (small / "out/table5.png").stat().st_size > 1000
    file.write_text(text + "\nA person read it.\n")
    lines = cells.read(small / "out/table5.jsonl")
    assert len(lines) == 3 and {*lines[-1]["tried"]} == {"0.01", "0.02"} and not any("error" in line for line in lines)
    assert typed("table5", "--seeds", 1) == 0
    assert cells.read(small / "out/table5.jsonl") == lines and file.read_text().endswith("\nA person read it.\n")
    found = pd.read_csv(small / "out/table5.csv")
    assert found["test_error"].between(0, 100).all() and found["n_test"].eq(20).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", command.NAMES)
def test_each_experiment_runs_with_two_seeds(name, small):
    assert typed(name, "--seeds", 2) == 0
    lines, kind = cells.read(small / f"out/{name}.jsonl"), paper.EXPERIMENTS[name].kind
    assert [line for line in lines if "error" in line] == []
    assert len(lines) == 2 * (1 + len(paper.EXPERIMENTS[name].rows)) * (2 if kind == "labels" else 1)
    rates = {row: {line["lr"] for line in lines if line["row"] == row and "lr" in line} for row in paper.EXPERIMENTS[
        name].rows}
    assert all(len(rates[row]) <= 1 for row in rates)  # tuned with the first seed, for all


def line_of(row, seed, error, column="trec@100", **more):
    return {"row": row, "column": column, "seed": seed, "test_error": error, "n_train": 600, "n_test": 500, "lr": 2e-3,
            "cpu_seconds": 1.0, "processor": "any", **more}


def test_the_page_has_means_spreads_and_the_papers_figures(tmp_path):
    lines = [line_of("full", seed, error) for seed, error in enumerate((20.0, 22.0))]
    lines.append(line_of("full", 0, 50.0, "trec@20", n_train=120))
    page.write_page("table7", paper.EXPERIMENTS["table7"], lines, tmp_path / "table7.md")
    text = (tmp_path / "table7.md").read_text()
    assert "| row | TREC-6, 600 labels | rate | the paper, all labels | TREC-6, 120 labels |" in text
    assert "| full | 21.0 ± 1.4 (2) | 0.002 | 6.86 | 50.0 (1) |" in text and "| last |" not in text
    assert "ulmfit experiment table7 --folder FOLDER --data trec --seeds 2\n" in text


@pytest.mark.parametrize(("name", "more", "shown"), [
    ("lowshot", [{"column": "trec@5", "n_train": 30}, {}], "| labels | 30 | 600 |"),
    ("behaviour", [{"curve": [30.0, 20.0]}, {"curve": [31.0, 21.0]}], "| 21.0 ± 1.4 (2) | 0.002 |")])
def test_curves_have_pages_too(name, more, shown, tmp_path):
    row = [*paper.EXPERIMENTS[name].rows][0]
    lines = [line_of(row, seed, 20.0 + 2 * seed, **each) for seed, each in enumerate(more)]
    page.write_page(name, paper.EXPERIMENTS[name], lines, tmp_path / "p.md")
    assert shown in (tmp_path / "p.md").read_text() and (tmp_path / "p.png").exists()


def test_a_curve_over_labels_has_a_tick_for_each_number_that_a_row_has():
    cells = page.frame([line_of("full", 0, 30.0, "trec@5", n_train=30), line_of("full", 0, 20.0)])
    ax = Figure().subplots()
    page._over_labels(ax, {"full": cells, "begun": cells[:1], "not run": cells[:0]})
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["30", "600"]


def test_cells_that_failed_are_told_and_run_again(small, capsys, monkeypatch):
    def fails(*_):
        raise ValueError("no")

    monkeypatch.setattr(run.Run, "cell", fails)
    assert typed("table4", "--seeds", 1) == 1
    assert "3 cells failed: out/table4.jsonl tells why" in capsys.readouterr().err
    monkeypatch.setattr(run.Run, "cell", lambda self, row, column, seed: {
        "test_error": 1.0, "n_train": 20, "n_test": 20})
    assert typed("table4", "--seeds", 1) == 0
    assert "| with pretraining | 1.0 (1) |" in (small / "out/table4.md").read_text()


def test_a_language_without_a_model_is_an_error_before_anything_runs(small, monkeypatch, capsys):
    (small / "data/trec").rename(small / "data/nsmc")
    monkeypatch.setattr(ways, "read_lm", read_lm)
    assert main(["experiment", "table4", "--folder", "data", "--data", "nsmc", "--out", "out"]) == 2
    assert re.search("E404.*'ko'", capsys.readouterr().err) and not (small / "out").exists()


def test_no_text_is_in_two_parts_of_a_draw(small):
    parts = draws.parts_of(small / "data", "trec")
    draw = draws.drawn(parts, 0, 10)
    asked, learned, chosen = ({*df["text"]} for df in (draw.test, draw.labelled, draw.valid))
    assert not asked & learned and not asked & chosen and not learned & chosen
    assert learned <= {*draw.texts} and not {*draw.texts} & (asked | chosen)
    assert draw.labelled["label"].value_counts().tolist() == [10, 10]


@pytest.mark.parametrize(("args", "error"), [
    (("table7", "--folder", "."), "E404.*trec.*--folder"), (("table7", "--page", "p.md"), "E404.*no out/table7.jsonl"),
    (("table7", "--page", "p.html"), "E602.*--page p.md"), (("table7", "--seeds", 0), "E602.*--seeds"),
    (("tabel7",), "E604.*table7")], ids=["folder", "cells", "page", "seeds", "name"])
def test_mistakes_are_errors_of_one_line(args, error, small, capsys):
    args = [*map(str, args)]
    assert main(["experiment", *args[:1], "--data", "trec", "--out", "out", *args[1:]]) == 2
    assert re.search(error, capsys.readouterr().err)
