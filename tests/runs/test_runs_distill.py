"""A stub teaches a tiny language model; a run that was stopped ends as one that was not."""

import importlib.util
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from ulmfit_easy.bundle.artefact import load_bundle
from ulmfit_easy.data.toy import toy_texts
from ulmfit_easy.learner.callbacks.checkpoint import CheckpointCallback
from ulmfit_easy.recipes.corpus.plan import Plan
from ulmfit_easy.recipes.corpus.run import pretrain_corpus

FILE = Path(__file__).parents[2] / "runs/distill.py"
STEPS, N = 3, 128  # two batches of sentences a pass, so that a second pass begins


@pytest.fixture(scope="module")
def distill():
    spec = importlib.util.spec_from_file_location("distill", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distill")
    texts = [" ".join(text.split()[:9]) + f" number {i} ." for i, text in enumerate(toy_texts(300, 0))]
    (folder / "a.txt").write_text("\n\n".join(texts))
    (folder / "valid.txt").write_text("\n\n".join(toy_texts(20, 1)))
    files = {"corpus": [folder / "a.txt"], "valid": [folder / "valid.txt"]}
    pretrain_corpus(**files, out=folder / "start", emb=8, hid=12, layers=2, bs=8, seq_len=10, min_freq=1, epochs=0.1)
    return Plan(**files, pretrained=folder / "start", bs=8, seq_len=10, lr=1e-2)


def counted(distill, calls):
    """A teacher whose vectors tell the number of characters, and which keeps what it was asked."""

    def embed(sentences):
        calls.extend(sentences)
        lengths = np.array([len(s) for s in sentences], np.float32)
        return lengths[:, None] * np.linspace(-1, 1, distill.WIDTH, dtype=np.float32)

    return embed


class Crash(Exception):
    pass


def weights(folder):
    return load_bundle(folder / "lm").weights


@pytest.fixture(scope="module")
def unbroken(distill, plan, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    distill.teach(folder, plan.corpus, N, counted(distill, []))
    distill.train(folder, plan, STEPS, N, weight=10.0)
    return folder


def test_a_teacher_that_was_stopped_is_asked_the_rest_only(distill, plan, unbroken, tmp_path, monkeypatch):
    monkeypatch.setattr(distill, "BLOCK", 100)
    calls, whole = [], (unbroken / "teacher.bin").read_bytes()
    (tmp_path / "teacher.bin").write_bytes(whole[: 100 * 2 * distill.WIDTH + 7])  # in the middle of a row
    distill.teach(tmp_path, plan.corpus, N, counted(distill, calls))
    assert (tmp_path / "teacher.bin").read_bytes() == whole
    assert len(calls) == N - 100


def test_a_run_that_was_stopped_ends_bit_equal(distill, plan, unbroken, tmp_path, monkeypatch):
    for name in ("sentences.json", "teacher.bin"):
        (tmp_path / name).write_bytes((unbroken / name).read_bytes())
    after_loss = distill.Distil.after_loss

    def crash(self):
        if self.train_iter == 2:
            raise Crash
        after_loss(self)

    monkeypatch.setattr(distill, "CheckpointCallback", partial(CheckpointCallback, every=1))
    monkeypatch.setattr(distill.Distil, "after_loss", crash)
    with pytest.raises(Crash):
        distill.train(tmp_path, plan, STEPS, N, weight=10.0)
    monkeypatch.setattr(distill.Distil, "after_loss", after_loss)
    distill.train(tmp_path, plan, STEPS, N, weight=10.0)
    ours, theirs = weights(tmp_path), weights(unbroken)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (tmp_path / "map.safetensors").read_bytes() == (unbroken / "map.safetensors").read_bytes()


def test_the_teacher_changes_the_model_and_the_map_stays_out_of_it(distill, plan, unbroken, tmp_path):
    for name in ("sentences.json", "teacher.bin"):
        (tmp_path / name).write_bytes((unbroken / name).read_bytes())
    distill.train(tmp_path, plan, STEPS, N, weight=0.0)
    start, alone, taught = load_bundle(plan.pretrained).weights, weights(tmp_path), weights(unbroken)
    assert alone.keys() == taught.keys() == start.keys()
    assert not torch.equal(alone["0.encoder.weight"], taught["0.encoder.weight"])
    distill.train(tmp_path, plan, STEPS, N, weight=0.0, share=0.5)  # the fit is over
    torch.testing.assert_close(weights(tmp_path), {k: (start[k] + alone[k]) / 2 for k in start})


@pytest.mark.parametrize("bs", [32, 128])
def test_a_pass_reads_each_sentence_once(distill, plan, unbroken, tmp_path, monkeypatch, bs):
    for name in ("sentences.json", "teacher.bin"):
        (tmp_path / name).write_bytes((unbroken / name).read_bytes())
    rows, read = [], distill.Distil.rows
    monkeypatch.setattr(distill.Distil, "rows", lambda self, step: rows.append(read(self, step)) or rows[-1])
    distill.train(tmp_path, plan, STEPS, N, weight=10.0, sentence_bs=bs)
    fitted = rows[: N // bs]  # to fit the first map
    assert {len(each) for each in rows} == {bs} and sorted(np.concatenate(fitted).tolist()) == [*range(N)]
