"""`--chunksize`: unlabelled texts that `ulmfit lm` and `ulmfit train` read in pieces."""

import re

import pytest

from ulmfit_easy.apps import sources
from ulmfit_easy.apps.cli import main
from ulmfit_easy.data.toy import toy_reviews


def run(*args):
    return main([str(a) for a in args])


@pytest.fixture
def files(tmp_path):
    for i, name in enumerate(("r", "more", "valid")):
        toy_reviews(40, seed=i).to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def test_lm_reads_its_texts_in_pieces(tiny, files, capsys, monkeypatch):
    read = []
    monkeypatch.setattr(sources, "_table", lambda path, *args, table=sources._table: read.append(path.name)
                        or table(path, *args))
    out = files / "lm"
    assert run("lm", files / "more.csv", "--chunksize", 7, "--valid", files / "valid.csv", "--out", out) == 0
    assert read == ["valid.csv"] and "in pieces" in capsys.readouterr().out
    assert "training texts: 40" in (card := (out / "README.md").read_text()) and "validation texts: 40" in card
    assert run("lm", files / "more.csv", "--chunksize", 0, "--out", files / "n") == 2
    assert "--chunksize 0" in capsys.readouterr().err


@pytest.mark.parametrize(("args", "error"), [
    (("train", "r.csv", "--chunksize", 9), "E603.*--chunksize alone"),
    (("train", "r.csv", "--chunksize", 0, "--unlabelled", "more.csv"), "E602.*--chunksize 0"),
    (("train", "r.csv", "--chunksize", 9, "--unlabelled", "plain.txt"), "E407.*plain.txt.*no table"),
    (("lm", "plain.txt", "--chunksize", 9), "E407.*plain.txt.*no table")], ids=["alone", "0", "train", "lm"])
def test_what_cannot_be_read_in_pieces_is_refused_before_any_training(args, error, files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    (files / "plain.txt").write_text("One line.\nAnother.\n")
    assert run(*args) == 2
    assert re.search(error, capsys.readouterr().err)


@pytest.mark.slow
def test_train_reads_unlabelled_texts_in_pieces(tiny, files, capsys):
    assert run("train", files / "r.csv", "--unlabelled", files / "more.csv", "--unlabelled", files / "valid.csv",
               "--chunksize", 7, "--out", files / "m", "--from-scratch") == 0
    assert "and 80 unlabelled ones" in capsys.readouterr().out
