"""Tags, answers, pairs, several labels and numbers through `ulmfit train`, `predict` and `evaluate`."""

import json

import pandas as pd
import pytest

from ulmfit_easy.apps.cli import main
from ulmfit_easy.data.conll import read_conll
from ulmfit_easy.data.toy import toy_reviews

WHO, WHERE = ("Anna", "Ben", "Carla", "Dan", "Eva"), ("Oslo", "Rome", "Paris", "Kyiv")
SENTENCES = [([who, "lives", "in", where], ["B-PER", "O", "O", "B-LOC"]) for who in WHO for where in WHERE]


def conll(folder):
    (folder / "ner.conll").write_text("\n".join("".join(f"{word} {tag}\n" for word, tag in zip(*each, strict=True))
                                                for each in SENTENCES))
    return ["ner.conll"], "entity F1 "


def conll_as_txt(folder):
    conll(folder)
    (folder / "ner.conll").rename(folder / "ner.txt")
    return ["ner.txt", "--task", "tags"], "entity F1 "


def words_with_tags(folder):
    (folder / "ner.jsonl").write_text("".join(json.dumps({"words": w, "tags": t}) + "\n" for w, t in SENTENCES))
    return ["ner.jsonl"], "entity F1 "


def squad(folder):
    asked = [{"context": " ".join(words), "qas": [{"id": str(i), "question": f"Who lives in {words[-1]} ?", "answers": [
        {"text": words[0], "answer_start": 0}]}]} for i, (words, _) in enumerate(SENTENCES)]
    (folder / "squad.json").write_text(json.dumps({"version": "1.1", "data": [{"title": "x", "paragraphs": asked}]}))
    return ["squad.json"], "exact match "


def answers(folder):
    rows = [{"question": "Who?", "context": " ".join(words), "answers": [{"text": words[0], "answer_start": 0}]}
            for words, _ in SENTENCES]
    (folder / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["qa.jsonl"], "exact match "


def prodigy(folder):
    rows = [{"text": " ".join(words), "answer": "accept", "spans": [
        {"start": 0, "end": len(words[0]), "label": "PER"}]} for words, _ in SENTENCES]
    (folder / "ner.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["ner.jsonl"], "entity F1 "


def doccano(folder):
    rows = [{"id": i, "text": text, "label": [label]} for i, (text, label, *_) in enumerate(
        toy_reviews(40).itertuples(index=False))]
    (folder / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["all.jsonl"], "accuracy "


def label_studio(folder):
    rows = [{"id": i, "data": {"text": text}, "annotations": [{"result": [
        {"from_name": "mood", "type": "choices", "value": {"choices": [label]}}]}]}
            for i, (text, label, *_) in enumerate(toy_reviews(40).itertuples(index=False))]
    (folder / "project.json").write_text(json.dumps(rows))
    return ["project.json"], "accuracy "


def several(folder):
    df = toy_reviews(40)
    df.assign(label=df["label"] + ";" + df["topic"]).to_csv(folder / "several.csv", index=False)
    return ["several.csv", "--label-delim", ";"], "micro-F1 "


def lists(folder):
    rows = [{"text": text, "label": [label, topic]} for text, label, topic in toy_reviews(40).itertuples(index=False)]
    (folder / "lists.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["lists.jsonl"], "micro-F1 "


def numbers(folder):
    df = toy_reviews(40)
    df.assign(label=[(label == "pos") + i / 100 for i, label in enumerate(df["label"])]).to_csv(
        folder / "numbers.csv", index=False)
    return ["numbers.csv", "--task", "regression"], "RMSE "


def pairs(folder):
    a, b = toy_reviews(40, seed=0), toy_reviews(40, seed=1)
    pd.DataFrame({"a": a["text"], "b": b["text"], "label": (a["label"] == b["label"]).map({True: "same", False: "no"})}
                 ).to_csv(folder / "pairs.csv", index=False)
    return ["pairs.csv", "--text", "a", "--text", "b"], "accuracy "


def run(*args):
    return main([str(a) for a in args])


@pytest.mark.parametrize("form", [conll, *[pytest.param(each, marks=pytest.mark.slow) for each in (
    conll_as_txt, words_with_tags, squad, answers, several, lists, numbers, pairs)]])
def test_the_file_says_what_is_learned_and_its_rows_are_answered_and_scored(form, tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (file, *flags), figure = form(tmp_path)
    assert run("train", file, *flags, "--from-scratch", "--seed", 0, "--epochs", 2, "--bs", 4, "--out", "m") == 0
    assert "kept aside" in capsys.readouterr().out
    assert run("predict", "m", file, "--out", "p.jsonl") == 0
    found = pd.read_json("p.jsonl", lines=True)
    assert len(found) in (20, 40) and found["prediction"].notna().all() and {"text", "label"} - {*found.columns} == (
        {"text", "label"} if found.columns[0] in ("words", "id", "question") else {"text"} if form is pairs else set())
    delim = flags if form is several else []
    assert run("evaluate", "m", file, *delim, *(["--out", "s.json"])) == 0
    assert f"\n{figure}" in capsys.readouterr().out and json.loads((tmp_path / "s.json").read_text())["rows"] > 0
    if form is conll:
        assert [len(tags) for tags in found["prediction"]] == [len(w) for w in read_conll(file)["words"]]
        assert run("predict", "m", "Anna lives in Oslo") == 0
        assert run("predict", "m", file, "--out", "p.csv") == 0
        assert pd.read_csv("p.csv")["words"][0] == "Anna lives in Oslo"
        assert run("predict", "m", file, "--proba") == 2 and "--proba" in capsys.readouterr().err
    if form is pairs:
        assert run("predict", "m", "one text", "another") == 0
        assert run("predict", "m", "one text alone") == 2 and "a, b" in capsys.readouterr().err


@pytest.mark.slow
def test_texts_to_measure_with_may_be_a_file_of_their_own(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    conll(tmp_path)
    (tmp_path / "valid.conll").write_text("Finn B-PER\nsleeps O\n\nFinn B-PER\nsings O\n")
    assert run("train", "ner.conll", "--valid", "valid.conll", "--from-scratch", "--bs", 4, "--out", "m") == 0
    assert "20 to train on, 2 kept aside" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("form", [prodigy, doccano, label_studio])
def test_files_of_annotation_tools_are_learned_and_answered(form, tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (file, *_), figure = form(tmp_path)
    assert run("train", file, "--from-scratch", "--seed", 0, "--epochs", 2, "--bs", 4, "--out", "m") == 0
    assert run("predict", "m", file, "--out", "p.jsonl") == 0
    assert pd.read_json("p.jsonl", lines=True)["prediction"].notna().all()
    capsys.readouterr()
    assert run("evaluate", "m", file) == 0
    assert figure in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("line", [
    "train r.csv --subword 200 --valid v.csv --epochs 2 --lr 0.01 --bs 8 --min-freq 2 --patience 1",
    "lm r.csv --subword 200 --valid v.csv --epochs 2 --lr 0.01 --bs 8 --text text --text topic"])
def test_the_options_of_training_reach_it(line, tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, seed in (("r", 0), ("v", 1)):
        toy_reviews(40, seed=seed).to_csv(f"{name}.csv", index=False)
    assert run(*line.split(), "--seed", 0, "--out", "m") == 0
    out = capsys.readouterr().out
    folder = tmp_path / "m" / ("forwards" if line.startswith("train") else "")
    config = json.loads((folder / "config.json").read_text())
    assert config["text"]["tokenizer"]["tok"]["name"].startswith("SentencePiece")
    record = json.loads((folder / "training.json").read_text())
    *_, phase = record["training"]["phase"] if isinstance(record["training"]["phase"], list) else [record["training"]]
    assert phase["epochs"] == 2 and phase["highest learning rate"] == pytest.approx(0.01, rel=0.02)
    assert ("40 kept aside" in out) == line.startswith("train")
