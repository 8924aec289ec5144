"""`ulmfit predict`, `evaluate`, `explain` and `doctor`: answers from files, standard input and the command line."""

import io
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ulmfit_easy.apps.answers import in_one_cell
from ulmfit_easy.apps.cli import main
from ulmfit_easy.apps.saved_model import SavedModel
from ulmfit_easy.apps.word_by_word import word_by_word
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.learner.predictor import Prediction


@pytest.fixture
def model(trained):
    return trained


@pytest.fixture
def new(model):
    path = model.parent / "new.csv"
    toy_reviews(8, seed=1).to_csv(path, index=False)
    return path


def run(*args):
    return main([str(a) for a in args])


def test_predict_tells_the_likeliest_classes_or_the_probability_of_each(model, new, capsys):
    assert run("predict", model, new, "--top-k", 2, "--proba") == 0
    out, err = capsys.readouterr()
    found = pd.read_csv(io.StringIO(out))
    assert err == "8 rows written\n" and found.columns.tolist() == [
        "text", "label", "topic", "prediction", "probability", "prediction_2", "probability_2", "probability_neg",
        "probability_pos"]
    assert (found["probability"] == found[["probability_neg", "probability_pos"]].max(axis=1)).all()
    assert (found["prediction"] != found["prediction_2"]).all()
    assert run("predict", model, new, "--quiet") == 0
    quiet = capsys.readouterr()
    assert quiet.err == "" and pd.read_csv(io.StringIO(quiet.out))["probability"].tolist() == found[
        "probability"].tolist()


@pytest.mark.parametrize("sent", [
    "text,id\nThe soup was cold,1\nsuperb,2\n", '{"text": "The soup was cold"}\n{"text": "superb"}\n',
    '[{"text": "The soup was cold"},\n{"text": "superb"}]', "The soup was cold\nsuperb\n"])
def test_predict_reads_a_table_json_lines_or_a_text_a_line_from_standard_input(model, sent, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(sent.encode())))
    assert run("predict", model, "-") == 0
    out, err = capsys.readouterr()
    assert pd.read_csv(io.StringIO(out))["text"].tolist() == ["The soup was cold", "superb"]
    assert err.endswith("2 rows written\n")


@pytest.mark.parametrize(("sent", "texts"), [
    ("I like this text\nBad soup\r\n", ["I like this text", "Bad soup"]),
    ("a\u2028b\tc\n\nd", ["a\u2028b\tc", "", "d"])],
    ids=["the name of the column in a text", "other ends of lines, a tab and an empty line"])
def test_each_line_of_standard_input_is_one_text(model, sent, texts, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(sent.encode())))
    assert run("predict", model, "-") == 0
    assert pd.read_csv(io.StringIO(capsys.readouterr().out), keep_default_na=False)["text"].tolist() == texts


@pytest.mark.parametrize("args", [["predict", "-"], ["evaluate", "-"], ["predict", ""], ["explain", "-"],
                                  ["explain", ""]], ids=" ".join)
def test_nothing_to_read_is_no_text(model, args, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    command, given = args
    assert run(command, model, given) == 2
    assert re.search("nothing from standard input|an empty text|which is no text", capsys.readouterr().err)


def test_evaluate_leaves_out_rows_that_were_rejected(model, tmp_path, capsys):
    df = toy_reviews(8, seed=2)
    answers = ["reject"] + ["accept"] * 7
    df.assign(label=["so-so", *df["label"][1:]], answer=answers).to_csv(tmp_path / "t.csv", index=False)
    assert run("evaluate", model, tmp_path / "t.csv") == 0
    out, err = capsys.readouterr()
    assert out.startswith("7 rows\n") and "1 of 8 rows were left out" in err and "so-so" not in err


def test_predict_answers_for_texts_that_are_typed(model, tmp_path, capsys):
    assert run("predict", model, "The soup was superb.") == 0
    (line,) = capsys.readouterr().out.splitlines()
    label, probability = line.split()
    assert label in ("neg", "pos") and 0.5 <= float(probability) <= 1
    assert run("predict", model, "The soup was superb.", "It was awful, all of it.", "--proba") == 0
    assert capsys.readouterr().out.count("probability_neg 0.") == 2
    assert run("predict", model, "The soup was superb.", "--out", tmp_path / "p.jsonl") == 0
    assert json.loads((tmp_path / "p.jsonl").read_text())["prediction"] == label


def test_evaluate_tells_scores_beside_those_of_the_baseline(model, new, tmp_path, capsys):
    assert run("evaluate", model, new, "--out", tmp_path / "s.json") == 0
    out = capsys.readouterr().out
    scores = json.loads((tmp_path / "s.json").read_text())
    assert out.startswith(f"8 rows\naccuracy {scores['accuracy']:.3f}, macro-F1 {scores['macro-F1']:.3f}\n")
    assert scores["rows"] == 8 and "TF-IDF with logistic regression, which learned beside it: accuracy " in out
    assert "In training, on texts kept aside: accuracy " in out and "f1-score" in out and "label \\ predicted" in out
    found = pd.read_csv(new)
    words = next(member for member in SavedModel(model).blend.members if member.kind == "words")
    theirs = words.probs(words.read(found["text"].tolist()), 2).argmax(1)
    right = ((theirs == 1) == (found["label"] == "pos")).mean()
    assert f"which learned beside it: accuracy {right:.3f}" in out
    predicted = SavedModel(model).predict(found["text"].tolist())
    assert scores["accuracy"] == sum(p.label == y for p, y in zip(predicted, found["label"], strict=True)) / 8


def test_evaluate_counts_labels_of_no_class_as_wrong_and_refuses_a_column_of_none(model, tmp_path, capsys):
    df = toy_reviews(4, seed=2)
    df.assign(label=["so-so", *df["label"][1:]]).to_csv(tmp_path / "t.csv", index=False)
    assert run("evaluate", model, tmp_path / "t.csv") == 0
    out, err = capsys.readouterr()
    assert "labels 'so-so' are none of the classes" in err and "4 rows\naccuracy 0." in out
    assert run("evaluate", model, tmp_path / "t.csv", "--label", "topic") == 2
    assert "[E203]" in (said := capsys.readouterr().err) and "--label" in said


class Keyword:
    """A model whose answer is the share of one word."""

    text_cols = ["text"]
    predictor = SimpleNamespace(classes=["no", "yes"], prepare=SimpleNamespace(target=SimpleNamespace(per="text")))

    def predict(self, texts):
        import torch

        p = torch.tensor([[0.1, 0.9] if "good" in str(text) else [0.5, 0.5] for text in texts])
        return [Prediction(["no", "yes"][int(each.argmax())], each.argmax(), each) for each in p]


@pytest.mark.parametrize("text", ["a good film", ("a film", "so good it is"), "a good " + "long " * 500])
def test_the_word_that_decides_is_the_one_whose_loss_changes_the_answer(text):
    found = word_by_word(Keyword(), text)
    (word, score), *others = found.top(10)
    assert found.label == "yes" and "good" in found.tokens and found.evidence == pytest.approx(2.197, abs=1e-3)
    assert score == pytest.approx(2.197, abs=1e-3) and found.scores[found.tokens.index("good")] == score
    assert word_by_word(Keyword(), text, "no").top(1)[0][1] == pytest.approx(-2.197, abs=1e-3)


def test_explain_answers_for_the_whole_mixture(model, capsys):
    assert run("explain", model, "The soup was superb. All in all a real treat.", "--label", "pos") == 0
    p, = SavedModel(model).predict(["The soup was superb. All in all a real treat."])
    assert capsys.readouterr().out.startswith(f"pos: probability {float(p.probs[1]):.3f}\n")
    assert run("explain", model, "a b", "--label", "posi") == 2
    assert "E604" in (said := capsys.readouterr().err) and "did you mean 'pos'?" in said


def test_doctor_tells_what_it_finds_and_its_status_says_if_that_is_a_problem(model, tmp_path, capsys):
    assert run("doctor", model.parent / "r.csv") == 0
    assert "classes" in capsys.readouterr().out
    toy_reviews(8).assign(text=["", *toy_reviews(7)["text"]]).to_csv(tmp_path / "t.csv", index=False)
    assert run("doctor", tmp_path / "t.csv", "--text", "text", "--label", "label") == 1
    assert "problem" in capsys.readouterr().out
    df = toy_reviews(8).rename(columns={"text": "body", "label": "stars"})
    df.to_csv(tmp_path / "u.csv", index=False)
    assert run("doctor", tmp_path / "u.csv") in (0, 1)
    assert "--text" in (said := capsys.readouterr().out) and "text_col" not in said


def test_a_labelled_table_may_come_from_standard_input(model, new, capsys, monkeypatch):
    for args in (["evaluate", model, "-"], ["doctor", "-"]):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(new.read_bytes())))
        assert run(*args) == (0 if args[0] == "evaluate" else 1)  # few rows are a problem
        assert "8" in capsys.readouterr().out


@pytest.mark.parametrize(("value", "cell"), [
    (["a", "b"], "a;b"), (np.array(["a", "b"]), "a;b"), ([{"a": 1}], '[{"a": 1}]'), ({"a": 1}, '{"a": 1}'), (2, 2)],
    ids=["list", "array", "list of dicts", "dict", "number"])
def test_a_list_is_one_cell_of_a_table(value, cell):
    assert in_one_cell(value, ";") == cell


@pytest.mark.slow
def test_the_commands_work_from_a_shell(model, new):
    piped = subprocess.run([sys.executable, "-m", "ulmfit_easy", "predict", model, "-"], input=new.read_bytes(),
                           capture_output=True, check=True)
    assert len(pd.read_csv(io.BytesIO(piped.stdout))) == 8 and piped.stderr.endswith(b"8 rows written\n")
    told = subprocess.run([sys.executable, "-m", "ulmfit_easy", "evaluate", model, new], capture_output=True, text=True,
                          check=True)
    assert "accuracy" in told.stdout
    for line, end in ((["query", model, new, "-k", "3"], "3 rows of 8 written\n"), (["drift", model, new], "")):
        asked = subprocess.run([sys.executable, "-m", "ulmfit_easy", *line], capture_output=True, text=True, check=True)
        assert asked.stdout and asked.stderr == end
