"""`ulmfit query`, `drift` and `tune`: what to label next, whether texts have changed, and better settings."""

import io
import json
import sys

import pandas as pd
import pytest
from preset_toys import TINY

from ulmfit_easy.apps.cli import main
from ulmfit_easy.apps.presets import preset_given
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.recipes.query import query


def run(*args):
    return main([str(a) for a in args])


@pytest.fixture
def pool(tmp_path):
    toy_reviews(40, seed=4).assign(id=range(40)).to_csv(tmp_path / "pool.csv", index=False)
    return tmp_path / "pool.csv"


def test_query_writes_the_rows_that_python_chooses_with_all_their_columns(trained, pool, capsys):
    assert run("query", trained, pool, "-k", 5, "--strategy", "entropy") == 0
    out, err = capsys.readouterr()
    found, df = pd.read_csv(io.StringIO(out)), pd.read_csv(pool)
    expected = query(ULMFiT.load(trained), df, 5, "entropy")
    assert err == "5 rows of 40 written\n" and found.columns.tolist() == ["text", "label", "topic", "id", "score"]
    assert found["id"].tolist() == expected["id"].tolist() and found["score"].is_monotonic_decreasing
    next_ones = pool.with_name("next.jsonl")
    assert run("query", trained, pool, "-k", 3, "--strategy", "kcenter", "--labelled", trained.parent / "r.csv",
               "--out", next_ones, "--quiet") == 0
    rows = [json.loads(line) for line in next_ones.read_text().splitlines()]
    assert len({row["id"] for row in rows}) == 3 and capsys.readouterr() == ("", "")
    assert run("query", trained, next_ones) == 2 and "a column 'score'" in capsys.readouterr().err
    assert run("query", trained, pool, "--labelled", pool) == 2
    assert "--labelled FILE with --strategy margin" in (said := capsys.readouterr().err)
    assert "Fix: pass --strategy kcenter" in said


def test_drift_ends_with_1_for_texts_of_other_words_only(trained, pool, capsys):
    assert run("drift", trained, pool) == 0
    assert "Nothing here asks for a new model." in capsys.readouterr().out
    pd.DataFrame({"text": ["구두 가 너무 작아요 quux", "배송 이 늦어요 quux"] * 20}).to_csv(pool, index=False)
    assert run("drift", trained, pool) == 1
    assert "New words: quux" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "flags", "command"), [
    ("".join(f"Anna B-PER\nlives O\nin O\nOslo{i} B-LOC\n\n" for i in range(30)), [], "drift"),
    ("text,label\n" + "".join(f"soup {i},{i}.5\n" for i in range(30)), ["--task", "regression"], "query")],
    ids=["tags", "numbers"])
def test_a_model_of_another_kind_is_refused_with_what_to_type(rows, flags, command, tiny, pool, tmp_path, capsys):
    (file := tmp_path / ("t.csv" if flags else "t.conll")).write_text(rows)
    assert run("train", file, *flags, "--from-scratch", "--out", tmp_path / "m", "--quiet") == 0
    assert run(command, tmp_path / "m", pool) == 2
    assert "Expected a model of classes" in (said := capsys.readouterr().err) and "`ulmfit train FILE`" in said


def test_tune_says_which_package_it_needs(pool, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert run("tune", pool) == 2
    assert "[E507] Received no package optuna." in capsys.readouterr().err


def test_a_preset_may_be_a_file(tmp_path):
    (tmp_path / "tuned.json").write_text(json.dumps(TINY.to_json()))
    assert preset_given(str(tmp_path / "tuned.json")) == TINY and preset_given("paper") == "paper"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_tune_ends_in_a_preset_that_train_takes(tiny, pool, tmp_path, capsys):
    pytest.importorskip("optuna", reason="optuna is not installed")
    out = tmp_path / "tuned.json"
    assert run("tune", pool, "--text", "txt") == 2 and "--text text" in capsys.readouterr().err
    assert run("lm", pool, "--out", tmp_path / "lm", "--quiet") == 0
    assert run("tune", pool, "--n-trials", 2, "--out", out, "--pretrained", tmp_path / "lm") == 0
    told = capsys.readouterr().out
    assert f"train {pool} --preset {out} --pretrained " in told and told.count("trial ") == 2
    assert run("train", pool, "--preset", out, "--out", tmp_path / "m", "--quiet") == 0
    assert json.loads((tmp_path / "m" / "estimator.json").read_text())["params"]["preset"]["name"] == "laptop, tuned"
    assert run("tune", pool, "--out", out) == 2 and "add --overwrite" in capsys.readouterr().err
