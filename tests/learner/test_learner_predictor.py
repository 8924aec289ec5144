"""A predictor answers as its learner does, in any number of threads, and without what trains."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
import torch
from faults import AtLine
from learner_toys import classifier, lm, raises, text_dls

import ulmfit_easy
from ulmfit_easy.all import BaseTokenizer, TextDataLoaders, load_predictor
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import ArgumentError, TrainingError

TEXTS = [*toy_reviews(n=20, seed=3)["text"], "so so", "the film " * 40]


@pytest.fixture(scope="module")
def learn():
    learn = classifier(text_dls(n=60))
    learn.fit(1, 1e-2)
    return learn


@pytest.fixture(scope="module")
def predictor(learn):
    return learn.predictor


@pytest.mark.parametrize("n", [4, pytest.param(200, marks=pytest.mark.slow)])
def test_sixteen_threads_get_the_answers_of_one(predictor, often, n):
    want = [predictor.predict(text).probs for text in TEXTS]

    def asked(thread):
        picked = [(thread + i) % len(TEXTS) for i in range(n)]
        return [torch.equal(predictor.predict(TEXTS[i]).probs, want[i]) for i in picked]

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(asked, range(16)))
    assert [len(answers) for answers in found] == [n] * 16
    assert all(map(all, found))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_sixteen_threads_compute_no_more_than_one(predictor, often, precision):
    """The passes through each module are counted. Time would depend on the machine."""
    asked, passes = replace(predictor, precision=precision), []
    handles = [module.register_forward_hook(lambda *_: passes.append(1)) for module in asked.model.modules()]
    alone = [asked.predict(text).probs for text in TEXTS]
    n = len(passes)
    with ThreadPoolExecutor(16) as pool:
        found = [each.probs for each in pool.map(asked.predict, TEXTS)]
    for handle in handles:
        handle.remove()
    assert len(passes) == 2 * n > 0
    assert all(map(torch.equal, alone, found))


@pytest.mark.parametrize(("each", "at_once"), [(4, 1), (8, 1), (2, 2), (1, 4)])
def test_as_many_threads_compute_at_once_as_four_processors_allow(predictor, monkeypatch, each, at_once):
    monkeypatch.setattr("ulmfit_easy.learner.predictor.processors", lambda: 4)
    monkeypatch.setattr("ulmfit_easy.learner.predictor._LOCKS", {})
    monkeypatch.setattr(torch, "get_num_threads", lambda: each)
    inside, most, meet = [], [], threading.Barrier(at_once)

    def model(*inputs):
        inside.append(1)
        most.append(len(inside))
        meet.wait(20)  # it fails if fewer are let in
        output = predictor.model(*inputs)
        inside.pop()
        return output

    asked = replace(predictor, model=model)
    threads = [threading.Thread(target=asked.predict, args=[text]) for text in TEXTS[:16]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == at_once and len(most) == 16 and not meet.broken


def test_a_model_may_ask_a_predictor(predictor):
    def model(*inputs):
        predictor.predict(TEXTS[0])
        return predictor.model(*inputs)

    found, asked = [], replace(predictor, model=model)
    thread = threading.Thread(target=lambda: found.append(asked.predict(TEXTS[1])), daemon=True)
    thread.start()
    thread.join(20)
    assert [each.label for each in found] == [predictor.predict(TEXTS[1]).label]


def test_a_predictor_gives_the_learners_answers(learn, predictor):
    for mine, theirs in zip(predictor.predict(TEXTS), learn.predict(TEXTS), strict=True):
        assert mine.label == theirs.label
        assert torch.equal(mine.probs, theirs.probs)


@pytest.mark.parametrize(("labels", "kind"), [(["a", "b", "c"], {}), (["a;b", "b"], {"label_delim": ";"}),
                                              ([0.1, 2.0, 0.7], {"y_block": "regression"})], ids=str)
def test_an_exported_model_is_loaded_for_answers_alone(labels, kind, tmp_path):
    df = toy_reviews(n=30, seed=0).assign(label=(labels * 30)[:30])
    learn = classifier(TextDataLoaders.from_df(df, tok_tfm=BaseTokenizer(), min_freq=1, seed=0, **kind))
    loaded = load_predictor(learn.export(tmp_path / "model"))
    for mine, theirs in zip(loaded.predict(TEXTS), learn.predict(TEXTS), strict=True):
        assert mine.label == theirs.label
        assert torch.equal(mine.probs, theirs.probs)
    assert loaded.classes == learn.dls.classes
    assert not any(module.training for module in loaded.model.modules())


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_predictor_in_fewer_bits_gives_nearly_the_same_answers(precision, learn, predictor, tmp_path):
    folder = learn.export(tmp_path / "model")
    fewer = load_predictor(folder, precision=precision)
    assert load_predictor(folder).precision == "fp32" and load_predictor(folder, precision="auto").precision in (
        "fp32", "bf16")
    for mine, theirs in zip(fewer.predict(TEXTS), predictor.predict(TEXTS), strict=True):
        assert not torch.equal(mine.probs, theirs.probs) and torch.allclose(mine.probs, theirs.probs, atol=0.01)
        assert mine.probs.dtype == torch.float32
    assert torch.equal(deepcopy(fewer).predict(TEXTS[0]).probs, fewer.predict(TEXTS[0]).probs)
    with pytest.raises(ArgumentError, match="E602"):
        load_predictor(folder, precision="int4")


def test_no_batch_changes_an_answer_in_8_bits(predictor):
    asked = replace(predictor, precision="int8")
    for text, found in zip(TEXTS, asked.predict(TEXTS), strict=True):
        torch.testing.assert_close(found.probs, asked.predict(text).probs)


def test_8_bits_are_for_lstm_layers(predictor):
    with pytest.raises(ArgumentError, match=r"E602.*bf16"):
        replace(predictor, model=torch.nn.Linear(2, 2), precision="int8").predict(TEXTS)


def test_a_predictor_follows_the_weights_of_its_learner_and_asks_no_callback(learn, monkeypatch):
    predictor, before = learn.predictor, learn.predict(TEXTS[0]).probs
    monkeypatch.setattr(learn, "cbs", raises(RuntimeError()))
    with torch.no_grad():
        bias = next(p for name, p in learn.model.named_parameters() if name.endswith("bias"))
        bias += 1
        after = predictor.predict(TEXTS[0]).probs
        bias -= 1
    assert not torch.equal(before, after)
    assert torch.allclose(predictor.predict(TEXTS[0]).probs, before, atol=1e-5)


def test_a_predictor_is_frozen_and_another_one_has_a_temperature(predictor):
    with pytest.raises(FrozenInstanceError):
        predictor.temperature = 2.0
    hot, plain = replace(predictor, temperature=2.0).predict(TEXTS), predictor.predict(TEXTS)
    for a, b in zip(hot, plain, strict=True):
        torch.testing.assert_close(a.probs, (b.probs.log() / 2).softmax(0))


@pytest.mark.parametrize("limits", [{"bs": 1}, {"bs": 3}, {"bs": 64}, {"max_tokens": 1}, {"max_tokens": 50}], ids=str)
def test_no_batch_changes_an_answer_or_the_order(predictor, limits):
    sizes, want = [], predictor.predict(TEXTS)
    model = torch.nn.Module()
    model.forward = lambda ids, lengths: (sizes.append(ids.shape), predictor.model(ids, lengths))[1]
    for found, expected in zip(replace(predictor, model=model, **limits).predict(TEXTS), want, strict=True):
        torch.testing.assert_close(found.probs, expected.probs)
    rows, longest = zip(*sizes, strict=True)
    assert sum(rows) == len(TEXTS)
    assert longest == tuple(sorted(longest, reverse=True))
    assert max(rows) <= limits.get("bs", 64)
    assert all(n == 1 or n * t <= limits.get("max_tokens", 10**6) for n, t in sizes)


@pytest.mark.parametrize("text", ["A film to see twice!", "It was GREAT and not boring. " * 20], ids=["short", "long"])
def test_one_text_passes_twelve_files_of_the_package(text):
    learn = classifier(text_dls(n=12, tok_tfm=None))
    predictor, files, package = learn.predictor, set(), str(Path(ulmfit_easy.__file__).parent)
    predictor.predict(text)

    def note(frame, event, arg):
        files.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        predictor.predict(text)
    finally:
        sys.setprofile(None)
    passed = sorted(file.removeprefix(package) for file in files if file.startswith(package))
    assert len(passed) <= 12, passed


def test_answers_are_tensors_that_gradients_can_use(predictor):
    factor = torch.ones(2, requires_grad=True)
    (predictor.predict(TEXTS[0]).probs * factor).sum().backward()
    assert factor.grad is not None


def test_ctrl_c_leaves_gradients_on_though_its_error_is_kept(predictor):
    with AtLine() as moments:
        predictor.predict("a b")
    for k in [k for k in moments.first_and_last() if " in logits" in moments.places[k]]:
        with pytest.raises(KeyboardInterrupt) as kept, AtLine(k):
            predictor.predict("a b")
        assert torch.is_grad_enabled(), (moments.places[k], kept)


def test_a_language_model_has_no_predictor(tmp_path):
    learn = lm()
    for ask in (lambda: learn.predictor, lambda: load_predictor(learn.export(tmp_path / "lm"))):
        with pytest.raises(TrainingError, match=r"E506.*learn\.validate"):
            ask()


def test_a_predictor_says_what_it_is(predictor):
    assert repr(predictor).startswith("Predictor(single, 2 classes, ")
    assert ", temperature=2.0)" in repr(replace(predictor, temperature=2.0))
