"""`ulmfit pretrain` and `ulmfit evaluate-lm`, from the arguments to the last line, killed and resumed."""

import gzip
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import fields

import pytest
import torch
import zstandard

from ulmfit_easy.apps import cli
from ulmfit_easy.bundle import shipped
from ulmfit_easy.bundle.artefact import load_bundle
from ulmfit_easy.data.toy import toy_reviews, toy_texts
from ulmfit_easy.recipes.corpus.monitor import RunProgress
from ulmfit_easy.recipes.corpus.plan import Plan
from ulmfit_easy.recipes.saved import PARAMS
from ulmfit_easy.text.store import TokenStore

SIZES = "--emb 8 --hid 12 --layers 2 --bs 8 --seq-len 10 --min-freq 1 --lr 0.02 --precision fp32".split()
FIGURES = r"perplexity [\d.]+, bits per character [\d.]+, (unknown [\d.]+ %, )?tokens \d+"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    texts = ["\n\n".join(toy_texts(80, seed)).encode() for seed in (0, 1)]
    (folder / "a.txt.gz").write_bytes(gzip.compress(texts[0]))
    (folder / "b.txt.zst").write_bytes(zstandard.ZstdCompressor().compress(texts[1]))
    return sorted(folder.iterdir())


def run(*args):
    return cli.main([str(a) for a in args])


def complains(capsys, code, *args):
    assert run(*args) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1 and re.match(f"ulmfit: .*{code}", told.err), told.err


def test_pretrain_then_evaluate_then_fine_tune(files, tmp_path, capsys):
    out = tmp_path / "deep" / "lm"
    assert run("pretrain", "--corpus", files[0], "--out", out, "--valid", files[1], "--backwards", *SIZES) == 0
    *told, figures, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(FIGURES, figures)
    assert any(line.endswith(" in the vocabulary; 0.2% unknown in validation") for line in told)
    assert last == f"Saved to {out}. Next: ulmfit train FILE --pretrained {out} --backwards"
    assert run("evaluate-lm", files[1], "--model", out) == 0
    assert capsys.readouterr() == (figures + "\n", "")
    toy_reviews(120).to_csv(tmp_path / "reviews.csv", index=False)
    assert run("lm", tmp_path / "reviews.csv", "--pretrained", out, "--backwards", "--out", tmp_path / "tuned") == 0
    assert load_bundle(tmp_path / "tuned").config["encoder"]["config"]["n_hid"] == 12


def test_the_librarys_own_model_is_evaluated_by_default(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    complains(capsys, "E404.*the language 'en'", "evaluate-lm", files[1])
    for name, way in (("awd_lstm-fwd", []), ("awd_lstm-bwd", ["--backwards"])):
        assert run("pretrain", "--corpus", files[0], "--out", tmp_path / name, *way, "--epochs", 0.2, *SIZES) == 0
        capsys.readouterr()
        assert run("evaluate-lm", files[1], *way) == 0
        figures = capsys.readouterr().out
        for model in (tmp_path / name, name):
            assert run("evaluate-lm", files[1], "--model", model) == 0
            assert capsys.readouterr().out == figures
    complains(capsys, "E603.*--model awd_lstm-fwd and --backwards", "evaluate-lm", files[1], "--model", "awd_lstm-fwd",
              "--backwards")


def test_a_subword_model_tunes_with_its_own_pieces(files, tmp_path, capsys):
    given = ["--corpus", files[0], "--subword", 104, "--epochs", 0.2, *SIZES]
    assert run("pretrain", *given, "--out", tmp_path / "lm") == 0
    toy_reviews(60).to_csv(tmp_path / "reviews.csv", index=False)
    assert run("lm", tmp_path / "reviews.csv", "--pretrained", tmp_path / "lm", "--out", tmp_path / "tuned") == 0
    assert re.search(r"lm. It knows (\d+) of the \1 different pieces of words", capsys.readouterr().out)
    assert load_bundle(tmp_path / "tuned").vocab == load_bundle(tmp_path / "lm").vocab


def test_headings_are_read_where_they_are_asked_for(files, tmp_path, capsys):
    (tmp_path / "t.txt").write_text("= A title =\nthe soup was good")
    assert run("pretrain", "--corpus", files[0], "--out", tmp_path / "lm", "--epochs", 0.1, *SIZES) == 0
    capsys.readouterr()
    counts = []
    for more in ([], ["--headings"]):
        assert run("evaluate-lm", tmp_path / "t.txt", "--model", tmp_path / "lm", *more) == 0
        counts.append(int(capsys.readouterr().out.split()[-1]))
    assert counts[0] == 4 < counts[1]


def test_mistakes_are_one_coded_line(files, tmp_path, capsys):
    complains(capsys, "E603.*--corpus", "pretrain", "--out", tmp_path / "lm")
    complains(capsys, "E404", "pretrain", "--corpus", tmp_path / "no.txt", "--out", tmp_path / "lm")
    complains(capsys, "E404.*plan", "pretrain", "--resume", "--out", tmp_path / "lm")
    for flag in ("--lr", "--epochs", "--hours"):
        for number in ("inf", "nan", -1):
            complains(capsys, f"E602.*{flag} {number}.*leave out {flag}", "pretrain", "--corpus", files[0],
                      flag, number, "--out", tmp_path / "lm")
    complains(capsys, "E404", "evaluate-lm", files[0], "--model", tmp_path / "no")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("whole", [True, False])
def test_a_classifier_is_not_evaluated(whole, tmp_path, capsys, files):
    from ulmfit_easy.learner.text import text_classifier_learner
    from ulmfit_easy.learner.text_data import TextDataLoaders

    dls = TextDataLoaders.from_df(toy_reviews(60), text_col="text", label_col="label", min_freq=1, path=tmp_path)
    config = {"emb_sz": 8, "n_hid": 12, "n_layers": 2}
    text_classifier_learner(dls, "AWD_LSTM", config=config, pretrained=False).export("clas/forwards")
    if whole:
        (tmp_path / "clas" / PARAMS).write_text("{}")  # what tells a folder that `ulmfit train` wrote
    model = tmp_path / "clas" / ("" if whole else "forwards")
    told = f"E402.*{re.escape(str(model))}, a classifier.*Fix: name the folder"
    complains(capsys, told, "evaluate-lm", files[0], "--model", model)


@pytest.mark.parametrize(("place", "told"), [
    ((RunProgress, "after_batch"), "To go on: ulmfit pretrain --resume --out {}"),
    ((TokenStore, "build"), "Training has not begun, so nothing can be resumed. Run the same command again.")])
def test_ctrl_c_tells_how_to_go_on(files, tmp_path, capsys, monkeypatch, place, told):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(*place, stop)
    assert run("pretrain", "--corpus", *files, "--out", tmp_path / "lm", *SIZES) == 130
    assert capsys.readouterr().err == f"{told.format(tmp_path / 'lm')}\nulmfit: stopped\n"


def test_every_setting_of_a_plan_has_a_flag_of_its_name():
    (commands,) = (a for a in cli.parser()._actions if a.choices)
    flags = {a.dest for a in commands.choices["pretrain"]._actions} - {
        "help", "out", "resume", "minutes", "quiet", "scheduler", "workers", "processes"}
    assert flags == {f.name for f in fields(Plan)} - {"n_epoch", "n_batches", "tokenizer", "data"}


@pytest.mark.slow
def test_a_run_killed_at_20_random_moments_ends_as_one_that_was_not(files, tmp_path):
    def command(out, *more):
        return [sys.executable, "-m", "ulmfit_easy", "pretrain", "--out", tmp_path / out, "--minutes", "0.002", *more]

    def written():
        with suppress(FileNotFoundError):  # replaced meanwhile by the next one
            return {file.stat().st_mtime_ns for file in (tmp_path / "killed.run").glob("checkpoint-*")}
        return set()

    given, rng, checkpoints = ["--corpus", *files, "--epochs", "40", *SIZES], random.Random(0), set()
    started, more = "steps of", given
    with subprocess.Popen(command("whole", *given), stdout=subprocess.PIPE, text=True) as whole:
        next(line for line in whole.stdout if started in line)
        begun = time.monotonic()
        whole.stdout.read()  # until it ends
    assert whole.returncode == 0
    life = (time.monotonic() - begun) / 30  # so short that no run comes to its end, however fast the machine
    for kills in range(20):
        with subprocess.Popen(command("killed", *more), stdout=subprocess.PIPE, text=True) as victim:
            next(line for line in victim.stdout if started in line)
            while kills % 2 and written() <= checkpoints and victim.poll() is None:  # each second run writes one
                time.sleep(0.005)
            time.sleep(rng.uniform(0, life))
            victim.kill()
        assert victim.returncode == -signal.SIGKILL and not (tmp_path / "killed").exists()
        checkpoints |= written()
        started, more = "in the vocabulary", ["--resume"]
    subprocess.run(command("killed", *more), check=True, stdout=subprocess.DEVNULL)
    one, two = (load_bundle(tmp_path / name) for name in ("whole", "killed"))
    print(f"20 kills, {len(checkpoints)} different checkpoints found after them")
    assert len(checkpoints) > 5 and one.config == two.config and one.vocab == two.vocab
    assert all(torch.equal(one.weights[k], two.weights[k]) for k in one.weights)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["killed", "whole"]
