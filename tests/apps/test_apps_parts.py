"""`ulmfit predict` over many files: an output for each, every row once, and nothing done twice after a crash."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from ulmfit_easy.apps import parts
from ulmfit_easy.apps.answers import Answers
from ulmfit_easy.apps.cli import main
from ulmfit_easy.apps.parts import Job, parts_of, predict_parts
from ulmfit_easy.errors import FileError, UlmfitError
from ulmfit_easy.learner.predictor import Prediction

OUT = Path("out")


class Shortest:
    """A model that says whether a text is short."""

    text_cols = ["text"]
    predictor = SimpleNamespace(prepare=SimpleNamespace(target=SimpleNamespace(per="text", kind=None),
                                                        label_delim=None), vocab=["word"])
    asked = 0

    def predict(self, texts, first_row=0):
        if any(text == "crash" for text in texts):
            raise RuntimeError
        self.asked += len(texts)
        return [Prediction("short", torch.tensor(1), torch.tensor([0.25, 0.75])).of(["long", "short"]) for _ in texts]


@pytest.fixture
def model(monkeypatch):
    shortest = Shortest()
    monkeypatch.setattr(parts, "model_of", lambda *_: shortest)
    return shortest


@pytest.fixture
def given(tmp_path):
    """Three tables of five rows in two folders."""
    df = pd.DataFrame({"id": range(15), "text": [f"text {i}" for i in range(15)]})
    for name, start in (("a/0.parquet", 0), ("a/1.csv", 5), ("b/0.parquet", 10)):
        (file := tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        rows = df[start:start + 5]
        rows.to_parquet(file) if file.suffix == ".parquet" else rows.to_csv(file, index=False)
    return tmp_path / "in"


def job(given, **options):
    reading = {"encoding": "utf-8", "quoting": 0, "delimiter": None}
    return Job("m", str(given.parent / "out"), "hash", Answers(["text"], **options), "category", reading)


def read(folder):
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".csv", ".parquet"))
    return pd.concat([pd.read_csv(f) if f.suffix == ".csv" else pd.read_parquet(f) for f in files], ignore_index=True)


def test_an_output_has_the_path_of_its_input_below_the_folder_of_all(given):
    assert [part.name for part in parts_of([f"{given}/*/*"], OUT)] == ["a/0.parquet", "a/1.csv", "b/0.parquet"]
    assert [(part.name, part.form) for part in parts_of([f"{given}/a/1.csv"], OUT)] == [("1.csv", ".csv")]
    (given / "a/1.jsonl.gz").touch()
    (given / "a/2.xlsx").touch()
    assert [(part.name, part.form) for part in parts_of([f"{given}/a/[12].*"], OUT)] == [
        ("1.csv", ".csv"), ("1.jsonl.gz", ".jsonl.gz"), ("2.csv", ".csv")]
    (given / "a/1.xlsx").touch()
    with pytest.raises(FileError, match=r"E412.*the output 1\.csv"):
        parts_of([f"{given}/a/*"], OUT)
    for name in (f"{given}/a", f"{given}/*.parquet"):
        with pytest.raises(FileError, match="E404"):
            parts_of([name], OUT)


def test_every_row_is_answered_once_in_its_order_and_keeps_its_columns(given, model):
    told = predict_parts([f"{given}/*/*"], job(given))
    found = read(given.parent / "out")
    assert told == f"15 rows in 3 parts written to {given.parent / 'out'}"
    assert found["id"].tolist() == [*range(15)] and found["text"].iloc[7] == "text 7"
    assert found.columns.tolist() == ["id", "text", "prediction", "probability"] and model.asked == 15
    assert pd.read_parquet(given.parent / "out" / "a" / "0.parquet")["id"].dtype == "int64"


def test_what_is_finished_is_not_done_again(given, model):
    out = given.parent / "out"
    (given / "b/0.parquet").rename(given / "b/2.parquet")
    pd.DataFrame({"id": [10], "text": ["crash"]}).to_parquet(given / "b/0.parquet")
    with pytest.raises(RuntimeError):
        predict_parts([f"{given}/*/*"], job(given))
    assert model.asked == 10 and not (out / "b/0.parquet").exists()
    (given / "b/2.parquet").rename(given / "b/0.parquet")
    assert "2 of them before" in predict_parts([f"{given}/*/*"], job(given))
    assert model.asked == 15 and read(out)["id"].tolist() == [*range(15)]
    pd.DataFrame({"text": ["new"]}).to_csv(given / "a/1.csv", index=False)  # an input has changed
    (out / "_manifest/a/0.parquet.json").write_text("{")  # a damaged manifest
    (out / "b/0.parquet").write_bytes(b"")  # a damaged output
    predict_parts([f"{given}/*/*"], job(given))
    assert model.asked == 15 + 1 + 5 + 5 and len(read(out)) == 11


def test_a_crash_between_answers_and_manifest_is_gone_on_from(given, model, monkeypatch):
    write = parts.write_json

    def stopped(path, facts):
        if "rows" in facts:
            raise KeyboardInterrupt
        write(path, facts)

    monkeypatch.setattr(parts, "write_json", stopped)
    with pytest.raises(KeyboardInterrupt):
        predict_parts([f"{given}/*/*"], job(given))
    assert (given.parent / "out/a/0.parquet").exists()
    monkeypatch.setattr(parts, "write_json", write)
    predict_parts([f"{given}/*/*"], job(given))
    assert read(given.parent / "out")["id"].tolist() == [*range(15)]


def test_a_run_that_answered_nothing_does_not_bind_the_next(given, model):
    crash = pd.DataFrame({"id": [0], "text": ["crash"]})
    crash.to_parquet(given / "a/0.parquet")
    with pytest.raises(RuntimeError):
        predict_parts([f"{given}/a/0.parquet"], job(given))
    crash.assign(text="fine").to_parquet(given / "a/0.parquet")
    assert "1 row in 1 part" in predict_parts([f"{given}/a/0.parquet"], job(given, top_k=1))


def test_a_pattern_that_finds_its_own_answers_too_is_gone_on_with(given, model):
    all_in = replace(job(given), out=str(given / "out"))
    for told in ("15 rows in 3 parts", "3 of them before"):
        assert told in predict_parts([f"{given}/**/*.*"], all_in)
    with pytest.raises(FileError, match="E404.*nothing but answers"):
        predict_parts([f"{given}/out/**/*.csv"], all_in)


def test_parts_without_rows_and_without_values_have_the_columns_of_all(given, model):
    df = pd.read_parquet(given / "a/0.parquet").astype({"text": "string"})
    for name, part in (("0", df[:0]), ("1", df), ("2", df.assign(text=None).astype({"text": "string"}))):
        part.to_parquet(given / "b" / f"{name}.parquet")
    (given / "b/3.csv").write_text("text\n")
    predict_parts([f"{given}/b/*"], job(given))
    assert not len(pd.read_csv(given.parent / "out/3.csv")[["text", "prediction"]])
    found = pd.concat(map(pd.read_parquet, sorted((given.parent / "out").glob("*.parquet"))))
    assert len(found) == 10 and found["probability"].eq(0.75).all() and found["text"].notna().sum() == 5


def test_a_model_that_was_replaced_answers_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("ulmfit_easy.apps.saved_model.SavedModel", lambda folder: folder)
    (tmp_path / "weights").write_text("one")
    sha256 = parts.sha256_of_model(tmp_path)
    assert parts.model_of(str(tmp_path), sha256) == tmp_path
    (tmp_path / "weights").write_text("two")
    parts._loaded.cache_clear()  # as in another worker
    with pytest.raises(FileError, match="E406.*has changed since the work began"):
        parts.model_of(str(tmp_path), sha256)


def test_answers_of_something_else_are_not_overwritten_or_mixed(given, model):
    predict_parts([f"{given}/a/*"], job(given))
    for options, text in (({"proba": True}, "other options"), ({"top_k": 1}, "other options")):
        with pytest.raises(FileError, match=f"E412.*{text}"):
            predict_parts([f"{given}/a/*"], job(given, **options))
    (given.parent / "out" / "mine.txt").write_text("mine")
    with pytest.raises(FileError, match=r"E412.*mine\.txt"):
        predict_parts([f"{given}/a/*"], job(given))


@pytest.mark.parametrize(("name", "data", "error"), [
    ("1.parquet", None, r"E102.*1\.parquet.*--text body"), ("1.csv", "body;id\na;1", r"E102.*1\.csv.*--text body"),
    ("1.csv", "", r"E407.*b/1\.csv, which is empty"), ("1.jsonl", "", r"E407.*b/1\.jsonl, which is empty")])
def test_a_part_without_the_column_is_told_before_anything_is_written(name, data, error, given, model):
    part = given / "b" / name
    part.write_text(data) if data is not None else pd.DataFrame({"body": ["a"]}).to_parquet(part)
    with pytest.raises(UlmfitError, match=error):
        predict_parts([f"{given}/*/*"], job(given))
    assert model.asked == 0


def test_several_files_need_a_folder_and_workers_a_scheduler(given, model, monkeypatch, capsys):
    (folder := given.parent / "m").mkdir()
    files = [str(path) for path in sorted(given.glob("*/*"))]
    assert main(["predict", str(folder), *files]) == 2
    assert "E603" in (told := capsys.readouterr().err) and "--out" in told
    assert main(["predict", str(folder), *files, "--out", "-"]) == 2
    for names in (files, files[:1]):
        assert main(["predict", str(folder), *names, "--out", str(given.parent / "out"), "--workers", "2"]) == 2
        assert "--scheduler local" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    assert main(["predict", str(folder), *files, "--out", str(given.parent / "out"), "--scheduler", "local"]) == 2
    assert "E507" in (told := capsys.readouterr().err) and "pip install distributed" in told
    assert main(["predict", str(folder), *files, "--out", str(given.parent / "out")]) == 0
    manifest = json.loads(Path(given.parent / "out/_manifest/a/1.csv.json").read_text())
    assert manifest["rows"] == 5 and manifest["source"] == str(given / "a/1.csv")
