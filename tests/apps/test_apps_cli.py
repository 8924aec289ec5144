"""The command line: tables and folders in, models and CSV out, and one line for whatever goes wrong."""

import csv
import gzip
import io
import json
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import ulmfit_easy
from ulmfit_easy.apps import cli
from ulmfit_easy.apps.saving import keep
from ulmfit_easy.apps.sources import read_any
from ulmfit_easy.bundle import shipped
from ulmfit_easy.data.tables import read_table
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import FileError, TrainingError
from ulmfit_easy.files import atomic_folder
from ulmfit_easy.recipes import presets
from ulmfit_easy.recipes.estimator import ULMFiT

DF = toy_reviews(n=120, seed=0)
TINY = presets.Preset(name="laptop", source="these tests", config={"emb_sz": 16, "n_hid": 24, "n_layers": 2},
                      pretrain=(presets.Phase(1, 2e-2),), lm=(presets.Phase(1, 1e-2),),
                      clas=(presets.Phase(1, 2e-2),), min_freq=1, seq_len=16, lm_bs=8, clas_bs=16)


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "laptop", TINY)
        yield


def run(*args):
    return cli.main([str(a) for a in args])


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    DF.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def model(reviews, tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "a" / "b"
    assert run("train", reviews, "--seed", 0, "--quiet", "--out", out) == 0
    return out


def test_toy_writes_a_table_that_train_reads_and_leaves_other_files_alone(tmp_path, capsys):
    file = tmp_path / "my reviews.csv"
    assert run("toy", "--out", file, "--rows", 40) == 0
    told = f"Saved 40 reviews to {file}. Next: ulmfit train {shlex.quote(str(file))}, or keep it to test with\n"
    assert capsys.readouterr().out == told
    pd.testing.assert_frame_equal(pd.read_csv(file), toy_reviews(40))
    before = file.read_bytes()
    assert run("toy", "--out", file) == 2 and "E411" in capsys.readouterr().err and file.read_bytes() == before
    assert run("toy", "--out", tmp_path / "a.txt") == run("toy", "--out", tmp_path / "a.csv", "--rows", 0) == 2
    assert [f.name for f in tmp_path.iterdir()] == ["my reviews.csv"]


def as_csv(folder):
    DF.to_csv(folder / "r.csv", index=False)
    return folder / "r.csv"


def as_gz(folder):
    (folder / "r.csv.gz").write_bytes(gzip.compress(DF.to_csv(index=False).encode()))
    return folder / "r.csv.gz"


def as_tsv(folder):
    DF.to_csv(folder / "r.tsv", index=False, sep="\t")
    return folder / "r.tsv"


def as_folder(folder):
    for i, (text, label) in enumerate(zip(DF["text"], DF["label"], strict=True)):
        (folder / "r" / label).mkdir(parents=True, exist_ok=True)
        (folder / "r" / label / f"{i}.txt").write_text(text)
    return folder / "r"


@pytest.mark.parametrize("source", [as_csv, as_gz, as_tsv, as_folder])
def test_every_kind_of_source_is_learned_from_and_predicted(source, model, tmp_path, capsys, monkeypatch):
    file, out, taken = source(tmp_path), tmp_path / "deep" / "p.csv", []
    monkeypatch.setattr(ULMFiT, "fit", lambda self, texts, y, *_, **__: taken.extend(zip(texts, y, strict=True)))
    monkeypatch.setattr(ULMFiT, "save", lambda *_: None)
    assert run("train", file, "--out", tmp_path / "m") == 0
    assert sorted(taken) == sorted(zip(DF["text"], DF["label"], strict=True))
    for _ in range(2):
        capsys.readouterr()
        assert run("predict", model, file, "--out", out) == 0
        assert capsys.readouterr() == (f"120 rows written to {out}\n", "")
    found = pd.read_csv(out)
    assert len(found) == 120 and set(found["text"]) == set(DF["text"])
    assert set(found["prediction"]) <= {"neg", "pos"} and found["probability"].between(0.5, 1).all()
    assert ("file" in found) == (source is as_folder)


def test_training_says_what_it_read_how_good_it_is_and_what_comes_next(reviews, tmp_path, capsys):
    out = tmp_path / "models" / "mine"
    assert run("train", reviews, "--seed", 0, "--out", out) == 0
    told = capsys.readouterr().out
    assert told.startswith("120 rows, 2 classes (neg 52, pos 68).\n")
    assert "on this machine" in told and f"ulmfit predict {out} FILE" in told
    assert " texts kept aside: " in told and "(95% interval 0." in told
    assert re.search("(exact test, p = |two are equal)", told)
    assert ULMFiT.load(out).classes_.tolist() == ["neg", "pos"]


def test_quiet_says_nothing(reviews, tmp_path, capfd):
    assert run("train", reviews, "--seed", 0, "--quiet", "--out", tmp_path / "m") == 0
    assert capfd.readouterr() == ("", "")


def test_an_older_model_is_replaced_only_if_told_to(reviews, model, capsys):
    for command, out in (("train", model), ("lm", model / "forwards")):
        complains(capsys, r"E412.*a model of 20\d\d-\d\d-\d\d\..*add --overwrite", command, reviews, "--out", out)
    assert ULMFiT.load(model).seed == 0
    assert run("train", reviews, "--seed", 1, "--quiet", "--out", model, "--overwrite") == 0
    assert ULMFiT.load(model).seed == 1
    assert [p.name for p in model.parent.iterdir()] == [model.name]


AWKWARD = ['two\nlines', 'a "quoted" word', "one, two, three", "tab\there", "carriage\rreturn", "ünïcode 日本 🙂", "",
           '"', "=1+1"]


@pytest.mark.parametrize("to_file", [True, False])
def test_predictions_are_csv_that_reads_back_whatever_the_texts(model, tmp_path, capsys, to_file):
    given = pd.DataFrame({"id": [f"{i:03}" for i in range(len(AWKWARD))], "text": AWKWARD, "note": "NA"})
    given.to_csv(tmp_path / "in.csv", index=False, quoting=csv.QUOTE_ALL)
    out = tmp_path / "out.csv"
    assert run("predict", model, tmp_path / "in.csv", *(["--out", out] if to_file else [])) == 0
    told = capsys.readouterr()
    assert (told.out if to_file else told.err.splitlines()[-1]).strip() == (
        f"{len(AWKWARD)} rows written{f' to {out}' if to_file else ''}, 1 without text (row 6, counted from 0)")
    assert told.err.splitlines()[0].startswith("ulmfit: ") and "without a known word" in told.err
    source = io.BytesIO(out.read_bytes() if to_file else told.out.encode())
    found = pd.read_csv(source, dtype=str, keep_default_na=False)
    assert found.columns.tolist() == ["id", "text", "note", "prediction", "probability"]
    assert found[["id", "text", "note"]].values.tolist() == given.values.tolist()


@pytest.fixture(scope="module")
def weights(reviews, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    assert run("lm", reviews, "--seed", 0, "--out", folder / "awd_lstm-fwd") == 0
    return folder


@pytest.fixture
def ours(weights, monkeypatch):
    """A tiny language model that comes with the library."""
    monkeypatch.setattr(shipped, "WEIGHTS", weights)


@pytest.mark.slow
def test_the_librarys_own_model_is_the_start_unless_from_scratch(ours, reviews, tmp_path, capsys):
    told = "Starts from the English model that comes with ulmfit_easy (awd_lstm-fwd). "
    for command in ("lm", "train"):
        assert run(command, reviews, "--seed", 0, "--out", tmp_path / command) == 0
        assert capsys.readouterr().out.count(told) == 1
        assert run(command, reviews, "--seed", 0, "--from-scratch", "--out", tmp_path / f"{command}-2") == 0
        assert told not in capsys.readouterr().out
    complains(capsys, "E603.*not allowed with argument --from-scratch", "train", reviews, "--from-scratch",
              "--pretrained", tmp_path / "lm")


def test_texts_without_a_known_word_are_told_beside_their_predictions(model, tmp_path, capsys):
    pd.DataFrame({"text": [DF["text"][0], "qwxz", " ", DF["text"][1]]}).to_csv(tmp_path / "new.csv", index=False)
    assert run("predict", model, tmp_path / "new.csv") == 0
    out, err = capsys.readouterr()
    assert err.count("2 texts without a known word (rows 1, 2)") == 1 and len(pd.read_csv(io.StringIO(out))) == 4


@pytest.mark.parametrize("command", ["train", "lm"])
def test_texts_in_another_language_are_noticed_with_the_flag_that_helps(ours, tmp_path, capsys, command):
    texts = [f"화면이 정말 밝고 좋아요 {i}" if i % 2 else f"배송이 너무 늦고 별로예요 {i}" for i in range(40)]
    pd.DataFrame({"text": texts, "label": ["neg", "pos"] * 20}).to_csv(tmp_path / "ko.csv", index=False)
    assert run(command, tmp_path / "ko.csv", "--seed", 0, "--out", tmp_path / "m") == 0
    told = capsys.readouterr().err
    assert told.count("the texts seem to be in Korean, but are read as English: pass --lang ko") == 1
    assert " different words in your texts (" in told and " are unknown to this model: is it English?" in told
    assert run(command, tmp_path / "ko.csv", "--seed", 0, "--lang", "ko", "--out", tmp_path / "n") == 0
    assert "seem to be in" not in capsys.readouterr().err


@pytest.mark.slow
def test_lm_then_train_on_it_in_both_directions(reviews, tmp_path, capsys):
    one, two = tmp_path / "x" / "lm", tmp_path / "back"
    assert run("lm", reviews, "--seed", 0, "--out", one) == 0
    assert f"--pretrained {one}" in capsys.readouterr().out
    assert run("lm", reviews, "--seed", 0, "--out", two, "--backwards") == 0
    assert run("lm", reviews, "--seed", 0, "--out", tmp_path / "more", "--pretrained", one) == 0
    assert "different words in your texts" in capsys.readouterr().out
    assert run("lm", reviews, "--out", one, "--pretrained", one) == 2 and "E412" in capsys.readouterr().err
    assert run("train", reviews, "--seed", 0, "--quiet", "--pretrained", one, "--out", tmp_path / "m") == 0
    assert run("train", reviews, "--seed", 0, "--quiet", "--bidir", "--pretrained", one, "--pretrained", two, "--out",
               tmp_path / "pair") == 0
    assert len(ULMFiT.load(tmp_path / "pair").learners_) == 2


def test_every_file_of_unlabelled_texts_is_read(reviews, tmp_path, capsys):
    for name, n in (("a", 20), ("b", 10)):
        pd.DataFrame({"text": [f"text {i} of {name}" for i in range(n)]}).to_csv(tmp_path / f"{name}.csv", index=False)
    assert run("train", reviews, "--seed", 0, "--unlabelled", tmp_path / "a.csv", "--unlabelled", tmp_path / "b.csv",
               "--out", tmp_path / "m") == 0
    out = capsys.readouterr().out
    assert "30 unlabelled texts." in out.splitlines()[0]
    assert "120 labelled texts: 108 to train on, 12 kept aside to measure the classifier. The language model " in out
    assert "reads the 108 and 30 unlabelled ones: it trains on 125 and validates with 13. " in out


@pytest.fixture
def holes(tmp_path):
    """A table in which rows 1, 3 and 4 are without text, and row 5 is row 2 with the other label."""
    rows = DF[:40].to_dict("records")
    rows[1]["text"], rows[3]["text"], rows[4] = None, " \n", {"text": "", "label": None}
    rows[5] = {**rows[2], "label": {"neg": "pos", "pos": "neg"}[rows[2]["label"]]}
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "r.jsonl"


def test_rows_without_text_are_named_and_neither_learned_nor_scored(holes, tmp_path, capsys):
    assert run("train", holes, "--unlabelled", holes, "--seed", 0, "--out", tmp_path / "m") == 0
    out, err = capsys.readouterr()
    assert out.startswith("40 rows, 2 classes (")
    assert ", 3 without text (rows 1, 3, 4, counted from 0), left out, 40 unlabelled" in out.splitlines()[0]
    assert out.count(" without text") == 1 and "in cross-validation on the 36 different ones." in out
    assert "1 text has another label than an equal text before it (row 5): no model" in err
    assert err.count("(rows count from 0)") == 1 and "training text" not in err
    record = json.loads((tmp_path / "m" / "training.json").read_text())
    data, lm = record["data"], record["language model"]["training texts"]
    assert data["training texts"] + data["validation texts"] == 37
    assert f"37 labelled texts: {data['training texts']} to train on, " in out
    assert f" unlabelled ones, but for 41 copies or empty texts: it trains on {lm} and validates " in out  # and row 5
    assert run("predict", tmp_path / "m", holes, "--out", tmp_path / "p.jsonl") == 0
    assert capsys.readouterr().out.endswith("p.jsonl, 3 without text (rows 1, 3, 4, counted from 0)\n")
    assert read_table(tmp_path / "p.jsonl")["text"][1] is None and len(read_table(tmp_path / "p.jsonl")) == 40


def test_a_language_model_leaves_rows_without_text_out_too(holes, tmp_path, capsys):
    assert run("lm", holes, "--seed", 0, "--out", tmp_path / "lm") == 0
    assert capsys.readouterr().out.startswith("40 rows, 3 without text (rows 1, 3, 4, counted from 0), left out.\n")
    data = json.loads((tmp_path / "lm" / "training.json").read_text())["data"]
    assert data["training texts"] + data["validation texts"] == 37
    assert run("lm", table(tmp_path, "text,label\n,a\n"), "--out", tmp_path / "n") == 2
    assert "[E104] Received a table of 1 row, none of them with a text" in capsys.readouterr().err


def table(tmp_path, text):
    path = tmp_path / "bad.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(("content", "code"), [
    ("text,lable\na,b\n", "E102.*Fix: name the column, e.g. --label lable"),
    ("id,a comment,kind\n1,good film,a\n2,bad film,a\n", "E102.*the columns 'text', 'label', which are not .*"
     "Fix: name the columns, e.g. --text 'a comment' --label kind"),
    ("so long a text that it can be no name " * 5 + ",a\nanother text,b\n", "E102.*e.g. --text COL"),  # no header
    ("id,text,kind\n1,good film,a\n2,bad film,a\n", "E102.*Fix: name the column, e.g. --label kind"),
    ("text,label\ncaf\xe9,b\n".encode("latin-1"), "E403.*byte 14.*cp1252"),
    ("text,label\n" + "some words,same\n" * 30, "E201"),
    ("text,label\n" + "some words,a\n" * 10 + "more,\n", "E202.*row 10"),
    ("text,label,text\na,b,c\n", "E407"),
    ("", "E407.*is empty"),
    ("text,label\n", "E104"),
])
def test_a_bad_table_is_one_coded_line(tmp_path, capsys, content, code):
    complains(capsys, code, "train", table(tmp_path, content), "--out", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def complains(capsys, code, *args):
    assert run(*args) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1 and told.err.startswith("ulmfit: [E")
    assert re.search(code, told.err), told.err


@pytest.mark.parametrize("command", ["train", "lm", "predict"])
def test_out_never_replaces_a_folder_of_something_else(command, reviews, model, tmp_path, capsys):
    (tmp_path / "photo.jpg").write_text("precious")
    code = "E602" if command == "predict" else "E412"
    complains(capsys, code, command, *([model] if command == "predict" else []), reviews, "--out", tmp_path)
    assert (tmp_path / "photo.jpg").read_text() == "precious"


@pytest.mark.parametrize("command", ["train", "lm", "predict"])
def test_a_place_that_cannot_be_written_to_is_found_before_anything_else(command, model, reviews, tmp_path, capsys):
    (tmp_path / "file").touch()
    files = [*([model] if command == "predict" else []), tmp_path / "unread.csv"]
    complains(capsys, "E411.*nothing can be written", command, *files, "--out", tmp_path / "file/out")


def test_files_beside_the_folders_of_the_classes_are_no_class_of_their_own(tmp_path, capsys):
    (tmp_path / "urls.txt").write_text("http://example.com")
    complains(capsys, "E207.*urls.txt in .*folder of its class", "train", tmp_path, "--out", tmp_path / "m")
    for part in ("train", "test"):
        as_folder(tmp_path / part)
    complains(capsys, "E207.*train, test, which are parts.*folder for each class.*/train", "train", tmp_path,
              "--out", tmp_path / "m")
    table = read_any(tmp_path / "train", ["text", "label"], SimpleNamespace(encoding="utf-8"))
    assert set(table["label"]) == {"r"}


def test_of_prodigys_lines_the_accepted_ones_are_learned_and_all_are_predicted(model, tmp_path, capsys, monkeypatch):
    path, taken = tmp_path / "r.jsonl", []
    DF.assign(answer=["accept", "reject", "ignore"] * 40).to_json(path, orient="records", lines=True)
    monkeypatch.setattr(ULMFiT, "fit", lambda self, texts, *_, **__: taken.extend(texts))
    monkeypatch.setattr(ULMFiT, "save", lambda *_: None)
    assert run("train", path, "--out", tmp_path / "m") == 0
    assert taken == list(DF["text"][::3])
    assert "80 of 120 rows were left out: their answer" in capsys.readouterr().err
    assert run("predict", model, path) == 0
    assert "120 rows" in capsys.readouterr().err


def test_quotes_may_be_ordinary_characters(model, tmp_path, capsys):
    path = tmp_path / "r.tsv"
    path.write_text('text\tid\n"an open quote\t1\nand no more\t2\nbut a "closed" one"\t3\n')
    assert run("predict", model, path) == 0
    assert "in row 0: if \" is an ordinary character here" in capsys.readouterr().err
    assert run("predict", model, path, "--no-quotes") == 0
    out, said = capsys.readouterr()
    assert pd.read_csv(io.StringIO(out))["id"].tolist() == [1, 2, 3] and said == "3 rows written\n"


def test_whole_numbers_that_are_passed_on_stay_whole(model, tmp_path, capsys):
    path = tmp_path / "r.jsonl"
    path.write_text('{"text": "good", "id": 9007199254740993}\n{"text": "half \\ud800"}\n')
    assert run("predict", model, path, "--out", tmp_path / "p.csv") == 0
    assert "9007199254740993," in (tmp_path / "p.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("out", ["-", "/dev/stdout"])
def test_standard_output_can_be_named(model, reviews, capsys, out):
    assert run("predict", model, reviews) == 0
    expected = capsys.readouterr().out
    assert run("predict", model, reviews, "--out", out) == 0 and capsys.readouterr().out == expected


def test_output_is_utf_8_whatever_the_terminal_says(model, tmp_path, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert run("predict", model, table(tmp_path, "text\nна здоровье\n".encode())) == 0
    assert "на здоровье" in terminal.buffer.getvalue().decode("utf-8")


def test_another_encoding_can_be_named(model, tmp_path, capsys):
    path = table(tmp_path, "text\ncaf\xe9\n".encode("latin-1"))
    assert run("predict", model, path, "--encoding", "latin-1") == 0
    assert "café" in capsys.readouterr().out


def test_a_full_disk_is_one_line_without_a_traceback(model, reviews, tmp_path, capsys, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    assert run("predict", model, reviews, "--out", tmp_path / "p.csv") == 2
    told = capsys.readouterr().err
    assert told.startswith("ulmfit: [E409] ") and told.count("\n") == 1 and "[Errno 28] No space left" in told
    assert not (tmp_path / "p.csv").exists()


def test_warnings_about_the_data_are_one_line_each_and_name_the_flag_that_helps(tmp_path, capsys):
    pos, neg = (DF[DF["label"] == label] for label in ("pos", "neg"))
    pd.concat([pos[:63], neg[:4], pos[:1].assign(label="neg")]).to_csv(tmp_path / "d.csv", index=False)
    assert run("train", tmp_path / "d.csv", "--seed", 0, "--out", tmp_path / "m") == 0
    out, err = capsys.readouterr()
    assert err.count("1 text has another label than an equal text before it (row 67)") == 1
    assert err.count("the classes are unequal: the largest has ") == err.count("With --class-weight balanced ") == 1
    assert all(line.startswith("ulmfit: warning: ") for line in err.splitlines())
    assert out.count(", macro-F1 ") == 2 and " cross-validation on the 67 different ones." in out  # not accuracy alone
    assert run("train", tmp_path / "d.csv", "--seed", 0, "--quiet", "--out", tmp_path / "n") == 0
    assert capsys.readouterr().err == ""


def test_a_model_has_a_card_and_a_record_of_the_same_facts(model):
    for folder in (model, model / "forwards"):  # by ULMFiT.save and by learn.export
        card, record = (folder / "README.md").read_text(), json.loads((folder / "training.json").read_text())
        assert record["data"]["training texts"] == 108 and "* training texts: 108\n" in card
        assert list(record["data"]["texts of each class"]) == ["neg", "pos"]
        phase, = record["training"]["phase"]
        assert phase["epochs"] == 1 and phase["highest learning rate"] == pytest.approx(2e-2, rel=0.02)
        assert "epochs 1, steps " in card and "highest learning rate 0.0" in card
        assert record["training"]["date"] in card and f"ulmfit_easy {ulmfit_easy.__version__}" in card
        assert record["scores"]["accuracy"] >= 0 and "* accuracy: " in card and "* measured on: " in card
    scores = json.loads((model / "training.json").read_text())["scores"]
    assert scores["baseline accuracy"] > 0.5 and scores["baseline"] == "TF-IDF with logistic regression"
    assert scores["difference"].endswith("To tell which is better, test both on more texts that neither has read.")
    assert set(scores["95% interval of the accuracy"]) == {"from", "to"}


def test_ctrl_c_stops_with_130_and_no_traceback(reviews, tmp_path, capsys, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(ULMFiT, "fit", stop)
    assert run("train", reviews, "--out", tmp_path / "m") == 130
    assert capsys.readouterr().err == "ulmfit: stopped\n" and not (tmp_path / "m").exists()


@pytest.mark.parametrize("world", [1, 2])
def test_of_several_processes_none_is_interrupted_twice(world, reviews, tmp_path, monkeypatch):
    """The launcher's signal may come after another process has stopped this one."""
    said, late = [], []

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    def complain(message):
        signal.raise_signal(signal.SIGINT)
        said.append(message)

    monkeypatch.setattr(ULMFiT, "fit", stop)
    monkeypatch.setattr(cli, "world", lambda: world)
    monkeypatch.setattr(cli, "complain", complain)
    before = signal.signal(signal.SIGINT, lambda *_: late.append(True))
    try:
        assert run("train", reviews, "--out", tmp_path / "m") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert said == ["stopped"] and len(late) == (world == 1)


@pytest.mark.parametrize("command", [[sys.executable, "-m", "ulmfit_easy"],
                                     [str(Path(sys.executable).parent / "ulmfit")]])
def test_help_works_from_a_shell(command):
    found = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    assert found.startswith("usage: ulmfit") and all(name in found for name in ("train", "predict", "lm", "demo"))


def test_flags_are_named_as_the_estimators_parameters():
    (commands,) = (a for a in cli.parser()._actions if a.choices)
    flags = {a.dest for a in commands.choices["train"]._actions}
    own = {"help", "file", "text", "label", "unlabelled", "out", "quiet", "encoding", "quoting", "delimiter",
           "overwrite", "valid", "task", "label_delim", "resume", "chunksize", "processes"}
    assert flags - own <= set(ULMFiT().get_params())


def test_a_reader_that_has_seen_enough_is_no_error():
    code = ("import sys; from ulmfit_easy.apps import cli; from ulmfit_easy.data import toy; "
            "toy.toy_reviews = lambda *_: print('x' * 10**6); sys.exit(cli.main(['toy', '--out', 'x.csv']))")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 1


@pytest.mark.parametrize("end", ["csv", "csv.gz", "tsv", "tsv.gz", "jsonl", "jsonl.gz", "parquet"])
def test_the_ending_of_out_decides_what_is_written(model, tmp_path, end, capsys):
    if end == "parquet":
        pytest.importorskip("pyarrow")
    source, out = table(tmp_path, "text,id\n\"a\tb\nc\",007\n=1+1,\n"), tmp_path / f"p.{end}"
    assert run("predict", model, source, "--out", out) == 0
    found = read_table(out)
    assert found["text"].tolist() == ["a\tb\nc", "=1+1"] and found["id"].tolist() == ["007", ""]
    assert set(found["prediction"]) <= {"neg", "pos"} and found.columns.tolist()[-1] == "probability"


def test_predictions_are_names_of_classes_and_safe_cells_are_an_option(reviews, tmp_path, capsys):
    signed = DF.assign(label=DF["label"].map({"pos": "+ve", "neg": "-ve"}))
    signed.to_csv(tmp_path / "r.csv", index=False)
    assert run("train", tmp_path / "r.csv", "--seed", 0, "--quiet", "--out", tmp_path / "m") == 0
    found = {}
    for flags in ([], ["--safe-cells"]):
        assert run("predict", tmp_path / "m", tmp_path / "r.csv", "--out", tmp_path / "p.csv", *flags) == 0
        found[len(flags)] = set(pd.read_csv(tmp_path / "p.csv")["prediction"])
    assert found[0] <= {"+ve", "-ve"} and found[1] == {f"'{name}" for name in found[0]}


def test_the_line_for_what_comes_next_can_be_typed_and_the_column_is_remembered(tmp_path, capsys):
    source = tmp_path / "r.csv"
    DF.rename(columns={"text": "review", "label": "stars"}).to_csv(source, index=False, sep="|")
    assert run("train", source, "--delimiter", "|", "--text", "review", "--label", "stars", "--seed", 0,
               "--out", tmp_path / "my model") == 0
    line = capsys.readouterr().out.split("Next: ulmfit ")[1]
    for folder in (tmp_path / "my model", tmp_path / "my model" / "forwards"):
        assert "* text column: review\n* label column: stars\n" in (folder / "README.md").read_text()
        assert json.loads((folder / "training.json").read_text())["data"]["label column"] == "stars"
    assert run(*shlex.split(line.replace("FILE", str(source)))) == 0
    assert capsys.readouterr().err == "120 rows written\n"


def test_files_of_a_folder_that_are_no_texts_are_counted(model, tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.txt").write_text("good")
    (tmp_path / "a" / "2.md").write_text("good")
    assert run("predict", model, tmp_path / "a", "--out", tmp_path / "p.csv") == 0
    told = capsys.readouterr()
    assert told.err.startswith("ulmfit: warning: 1 file in") and "2.md" in told.err
    assert told.out.startswith("1 row written")


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as e:
        run("--version")
    assert e.value.code == 0 and capsys.readouterr().out == f"ulmfit {ulmfit_easy.__version__}\n"


def test_no_control_code_reaches_the_terminal(model, tmp_path, capsys, monkeypatch):
    evil = "x\x1b[2J\x07\x9b2J\u202ey"
    pd.DataFrame({"text": [evil], evil: [evil]}).to_csv(tmp_path / "r.csv", index=False)
    run("train", tmp_path / "r.csv", "--out", tmp_path / "m")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run("predict", model, tmp_path / "r.csv") == 0
    told = "".join(capsys.readouterr())
    assert told.count("x\ufffd") >= 3 and not set("\x1b\x07\x9b\u202e") & set(told)


def test_streams_that_are_closed_are_no_failed_job(model, reviews, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert run("predict", model, reviews, "--out", tmp_path / "p.csv") == 0 and (tmp_path / "p.csv").exists()
    assert run("predict", model, tmp_path / "none.csv") == 2
    sys.stdout.close()
    sys.stderr.close()


@pytest.mark.slow
def test_ctrl_c_in_the_first_seconds_stops_too(reviews, tmp_path):
    command = [sys.executable, "-m", "ulmfit_easy", "train", str(reviews), "--out", str(tmp_path / "m")]
    for wait in (0.4, 1.0, 1.8):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
            time.sleep(wait)
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60)[1] == "ulmfit: stopped\n"
        # Python 3.11 ends by the signal itself if it came in the midst of code that is a string; shells say 130 too
        assert process.returncode in (130, -signal.SIGINT)


def test_a_model_is_kept_if_its_place_is_taken_while_it_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spare"))
    (tmp_path / "spare").mkdir()

    def save(path):
        with atomic_folder(path) as tmp:
            (tmp / "model").write_text("trained")

    keep(save, tmp_path / "out")
    with pytest.raises(FileError, match="E411.*something is: model, when.*move the model from .*spare"):
        keep(save, tmp_path / "out")
    assert [p.read_text() for p in (tmp_path / "spare").rglob("model") if p.is_file()] == ["trained"]


@pytest.mark.slow
def test_predict_imports_nothing_that_trains(model, reviews, tmp_path):
    asks = "import sys; from ulmfit_easy.apps.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", asks, "predict", model, reviews, "--out", tmp_path / "p.csv"]
    modules = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True).stdout.split()
    trains = [f"ulmfit_easy.learner.{name}" for name in ("optim", "callbacks", "events", "learner")]
    assert "ulmfit_easy.learner.predictor" in modules
    assert [name for name in modules if name.startswith(tuple(trains))] == []
    assert "prediction" in (tmp_path / "p.csv").read_text()


def test_the_column_of_texts_is_told_by_its_cells_unless_its_name_is_near(tmp_path, capsys):
    table = pd.DataFrame({"no": range(30), "message": ["a rather long text of words"] * 30, "team": list("abc") * 10})
    table.to_csv(tmp_path / "tickets.csv", index=False)
    complains(capsys, "E102.*--text message --label team", "train", tmp_path / "tickets.csv")


@pytest.mark.parametrize(("told", "waited", "lines"), [(False, [], 1), (True, [], 0), (None, [cli.OWN], 1)])
def test_an_error_of_several_processes_is_told_by_one_of_them(told, waited, lines, monkeypatch, capsys):
    def ended(*_):
        error = TrainingError("E508", received="no answer", expected="one", fix="start again")
        vars(error)["told"] = told
        raise error

    slept = []
    monkeypatch.setattr(cli.time, "sleep", slept.append)
    monkeypatch.setattr(cli, "in_processes", ended)
    assert cli.main(["train", "r.csv", "--processes", "2"]) == 2
    assert slept == waited and capsys.readouterr().err.count("E508") == lines
