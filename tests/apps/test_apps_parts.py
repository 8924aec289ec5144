"""`ulmfit predict` over many files: an output for each, every row once, and nothing done twice after a crash."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from ulmfit_easy.apps import parts
from ulmfit_easy.apps.answers import Answers
from ulmfit_easy.apps.cli import main
from ulmfit_easy.apps.parts import Job, parts_of, predict_parts
from ulmfit_easy.errors import FileError, TextError
from ulmfit_easy.learner.predictor import Prediction


class Shortest:
    """A model that says whether a text is short."""

    text_cols = ["text"]
    predictor = SimpleNamespace(prepare=SimpleNamespace(target=SimpleNamespace(per="text", kind=None),
                                                        label_delim=None))
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
    assert [part.name for part in parts_of([f"{given}/*/*"])] == ["a/0.parquet", "a/1.csv", "b/0.parquet"]
    assert [(part.name, part.form) for part in parts_of([f"{given}/a/1.csv"])] == [("1.csv", ".csv")]
    (given / "a/1.jsonl.gz").touch()
    (given / "a/2.xlsx").touch()
    assert [(part.name, part.form) for part in parts_of([f"{given}/a/[12].*"])] == [
        ("1.csv", ".csv"), ("1.jsonl.gz", ".jsonl.gz"), ("2.csv", ".csv")]
    (given / "a/1.xlsx").touch()
    with pytest.raises(FileError, match=r"E412.*the output 1\.csv"):
        parts_of([f"{given}/a/*"])
    for name in (f"{given}/a", f"{given}/*.parquet"):
        with pytest.raises(FileError, match="E404"):
            parts_of([name])


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


def test_answers_of_something_else_are_not_overwritten_or_mixed(given, model):
    predict_parts([f"{given}/a/*"], job(given))
    for options, text in (({"proba": True}, "other options"), ({"top_k": 1}, "other options")):
        with pytest.raises(FileError, match=f"E412.*{text}"):
            predict_parts([f"{given}/a/*"], job(given, **options))
    (given.parent / "out" / "mine.txt").write_text("mine")
    with pytest.raises(FileError, match=r"E412.*mine\.txt"):
        predict_parts([f"{given}/a/*"], job(given))


def test_a_part_without_the_column_is_told_before_anything_is_written(given, model):
    pd.DataFrame({"body": ["a"]}).to_parquet(given / "b/1.parquet")
    with pytest.raises(TextError, match=r"E102.*--text body"):
        predict_parts([f"{given}/*/*"], job(given))
    assert model.asked == 0


def test_several_files_need_a_folder_and_workers_a_scheduler(given, model, monkeypatch, capsys):
    (folder := given.parent / "m").mkdir()
    files = [str(path) for path in sorted(given.glob("*/*"))]
    assert main(["predict", str(folder), *files]) == 2
    assert "E603" in (told := capsys.readouterr().err) and "--out" in told
    assert main(["predict", str(folder), *files, "--out", str(given.parent / "out"), "--workers", "2"]) == 2
    assert "--scheduler local" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    assert main(["predict", str(folder), *files, "--out", str(given.parent / "out"), "--scheduler", "local"]) == 2
    assert "E507" in (told := capsys.readouterr().err) and "pip install distributed" in told
    assert main(["predict", str(folder), *files, "--out", str(given.parent / "out")]) == 0
    manifest = json.loads(Path(given.parent / "out/_manifest/a/1.csv.json").read_text())
    assert manifest["rows"] == 5 and manifest["source"] == str(given / "a/1.csv")
