"""What `get_preds` and its callbacks gather: every flag, in order, and never more than memory holds."""

import math
import warnings
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_toys import At, classifier, lm, raises, regression, same, state, text_dls, three_classes

from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import ArgumentError, TrainingError
from ulmfit_easy.fastai.callbacks import ShortEpochCallback
from ulmfit_easy.learner.callbacks.preds import GatherPredsCallback, MCDropoutCallback, Parts
from ulmfit_easy.learner.uncertainty import UncertainPrediction, predict_with_uncertainty
from ulmfit_easy.models import softmax
from ulmfit_easy.models.softmax import LMOutput


@pytest.fixture(scope="module")
def clas():
    learn = classifier()
    learn.fit_one_cycle(2, 2e-2)
    return learn


@pytest.fixture(scope="module")
def language():
    learn = lm(text_dls(is_lm=True, n=40))
    learn.fit_one_cycle(1, 2e-2)
    return learn


@pytest.mark.parametrize("text", ["", "qwxz", "...!", None])
@pytest.mark.parametrize("ask", ["predict", "predict_with_uncertainty"])
def test_a_text_without_a_known_word_is_told_with_its_prediction(clas, text, ask):
    known = "the film was good" if text is None else text
    predict = clas.predict if ask == "predict" else partial(predict_with_uncertainty, clas, n=2, seed=0)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert predict(known).label in clas.dls.classes
    assert [str(w.message)[:45] for w in told] == ["a text without a known word (row 0): the pred"] * (text is not None)


# --- each flag --------------------------------------------------------------------------------------------------


def test_what_is_not_wanted_is_none_and_the_rest_keeps_its_place(clas):
    inputs, preds, targets, decided, losses = clas.get_preds(with_input=True, with_decoded=True, with_loss=True)
    found = clas.get_preds(with_preds=False, with_loss=True)
    assert found[0] is None and torch.equal(found[1], targets) and torch.equal(found[2], losses)
    found = clas.get_preds(with_targs=False, with_input=True, with_decoded=True)
    assert len(found) == 4 and found[2] is None and torch.equal(found[1], preds) and torch.equal(found[3], decided)
    assert all(torch.equal(a, b) for a, b in zip(found[0][0], inputs[0], strict=True))
    assert torch.equal(clas.get_preds(inner=True)[0], preds)


def test_predictions_and_targets_go_into_files_in_the_order_of_the_data(clas, tmp_path):
    preds, targets = clas.get_preds()
    files = tmp_path / "new" / "preds.npy", tmp_path / "targs.npy"
    found = clas.get_preds(save_preds=files[0], save_targs=str(files[1]), with_preds=False)
    for expected, read, file in zip((preds, targets), found, files, strict=True):
        assert torch.equal(read, expected) and np.array_equal(np.load(file), expected.numpy())
        assert [p.name for p in file.parent.iterdir() if p.suffix != ".npy" and p.is_file()] == []
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["preds.npy", "targs.npy"]
    as_computed = clas.get_preds(save_preds=files[0], reorder=False)[0]
    assert torch.equal(as_computed, clas.get_preds(reorder=False)[0]) and not torch.equal(as_computed, preds)


def test_a_failed_question_leaves_an_older_file_and_no_litter(clas, tmp_path):
    file = tmp_path / "preds.npy"
    clas.get_preds(save_preds=file)
    before = file.read_bytes()
    with pytest.raises(MemoryError):
        clas.get_preds(save_preds=file, cbs=At("after_batch", raises(MemoryError()), at=1))
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(0, 1), st.booleans(), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_parts_in_a_file_are_those_in_memory(tmp_path_factory, sizes, dim, sort, seed):
    g = np.random.default_rng(seed)
    parts = [torch.from_numpy(g.normal(size=(n, 3) if dim == 0 else (3, n))) for n in sizes]
    order = g.permutation(sum(sizes)) if sort and dim == 0 else None
    here, there = Parts(), Parts(tmp_path_factory.mktemp("parts") / "all.npy")
    for part in parts:
        here.add(part), there.add(part)
    expected = torch.cat(parts, dim)
    if order is not None:
        expected = expected[np.argsort(order)]
    assert torch.equal(here.joined(dim, order), expected) and torch.equal(there.joined(dim, order), expected)


def test_a_validation_that_was_cut_short_gives_its_rows_in_order(clas):
    dl = clas.dls.test_dl(toy_reviews(n=30, seed=2)["text"].tolist())
    whole, _ = clas.get_preds(dl=dl)
    found, _ = clas.get_preds(dl=dl, cbs=ShortEpochCallback(0.5))
    assert torch.equal(found, whole[np.sort(dl.order[:16])]) and len(whole) == 30


def test_batches_may_follow_each_other_in_another_dimension():
    learn = three_classes(n=48, bs=16)
    preds, targets = learn.get_preds()
    wide, _ = learn.get_preds(concat_dim=1, with_targs=False)
    assert wide.shape == (16, 9) and torch.equal(torch.cat(wide.split(3, 1)), preds) and len(targets) == 48


def test_gathered_predictions_stay_with_the_callback():
    learn, gather = three_classes(), GatherPredsCallback(with_loss=True, with_input=True)
    learn.fit(1, 0.1, cbs=gather)
    preds, targets, losses = learn.get_preds(with_loss=True)
    assert torch.equal(gather.preds, preds) and torch.equal(gather.targets, targets)
    assert torch.equal(gather.losses, losses) and len(gather.inputs) == 48


# --- language models --------------------------------------------------------------------------------------------


def all_logits(learn) -> torch.Tensor:
    """The plain way, one reading with all logits at once, (B, T, V)."""
    memory, parts = None, []
    learn.model.eval()
    with torch.no_grad():
        for xb, _ in learn.dls.valid:
            output = learn.model(xb, memory)
            memory = output.memory
            parts.append(output.logits())
    return torch.cat(parts, 1)


def test_a_language_model_gives_numbers_for_each_token(language):
    inputs, logp, targets, decided, losses = language.get_preds(with_input=True, with_decoded=True, with_loss=True)
    logits = all_logits(language)
    xs, ys = (torch.cat(side, 1) for side in zip(*language.dls.valid, strict=True))
    assert torch.equal(inputs, xs) and torch.equal(targets, ys)
    expected = logits.log_softmax(-1).gather(-1, ys.unsqueeze(-1)).squeeze(-1)
    assert torch.allclose(logp, expected, atol=1e-5) and torch.allclose(losses, -logp)
    assert torch.equal(decided, logits.argmax(-1))
    assert losses.mean().item() == pytest.approx(language.validate()[0], abs=1e-5)
    top, _ = language.get_preds(act=lambda x: x.topk(3).indices)
    assert torch.equal(top, logits.topk(3).indices)


def test_tokens_by_vocabulary_are_never_held(language, monkeypatch):
    monkeypatch.setattr(LMOutput, "logits", lambda self: pytest.fail("all logits at once"))
    expected = language.get_preds(with_decoded=True, with_loss=True)
    V, widest = len(language.dls.vocab), []
    for module in (softmax, __import__("ulmfit_easy.learner.callbacks.preds", fromlist=["preds"])):
        monkeypatch.setattr(module, "CHUNK_FLOATS", 7 * V)
    hook = language.model[1].decoder.register_forward_hook(lambda m, i, o: widest.append(len(o)))
    found = language.get_preds(with_decoded=True, with_loss=True)
    hook.remove()
    assert max(widest) == 7 and all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, expected, strict=True))


def test_what_memory_cannot_hold_is_refused_or_goes_into_a_file(language, tmp_path):
    with pytest.raises(TrainingError, match="E505.*topk.*save_preds"):
        language.get_preds(act=lambda x: x.softmax(-1))
    found, _ = language.get_preds(act=lambda x: x, save_preds=tmp_path / "logits.npy")
    assert torch.allclose(found, all_logits(language), atol=1e-5)


def test_asking_a_language_model_in_a_fit_changes_nothing(language):
    def run(*cbs):
        torch.manual_seed(3)
        learn = lm(text_dls(is_lm=True, n=40), drop_mult=0.0)
        learn.fit(1, 0.01, cbs=cbs)
        return learn.recorder.losses, state(learn.model)

    asking = At("after_batch", lambda: asking.learn.get_preds(inner=True))
    asking.run_valid = False
    (losses, weights), (asked_losses, asked_weights) = run(), run(asking)
    assert losses == asked_losses and same(weights, asked_weights)


# --- dropout that stays on --------------------------------------------------------------------------------------


def test_dropout_stays_on_in_validation_and_off_after_it(clas):
    plain, _ = clas.get_preds()
    (one, _), (two, _) = (clas.get_preds(cbs=[MCDropoutCallback()]) for _ in range(2))
    assert not torch.equal(one, two) and not torch.equal(one, plain) and torch.equal(clas.get_preds()[0], plain)
    learn = regression(model=torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(3, 1)))
    learn.fit(1, cbs=MCDropoutCallback())
    assert not any(m.training for m in learn.model.modules())


def test_batch_norm_stays_in_evaluation_while_dropout_is_on(clas):
    dropouts, before, modes = {"Dropout", "RNNDropout", "EmbeddingDropout", "WeightDropout"}, state(clas.model), []
    watch = At("after_pred", lambda: modes.append({type(m).__name__ for m in clas.model.modules() if m.training}))
    clas.get_preds(cbs=[MCDropoutCallback(), watch])
    assert modes[0] == dropouts and same(before, state(clas.model))


def test_uncertainty_is_the_spread_over_passes(clas):
    texts = toy_reviews(n=6, seed=4)["text"].tolist()
    found = predict_with_uncertainty(clas, texts, n=12, seed=1)
    again = predict_with_uncertainty(clas, texts, n=12, seed=1)
    assert all(torch.equal(a.std, b.std) and torch.equal(a.probs, b.probs) for a, b in zip(found, again, strict=True))
    for p in found:
        assert isinstance(p, UncertainPrediction) and p.label == clas.dls.classes[int(p.probs.argmax())]
        assert p.probs.sum().item() == pytest.approx(1) and (p.std > 0).all()
    alone = predict_with_uncertainty(clas, texts[0], n=80, seed=2)
    assert not isinstance(alone, list)
    other = predict_with_uncertainty(clas, texts[0], n=80, seed=3)
    assert torch.allclose(alone.probs, other.probs, atol=6 * float(alone.std.max()) / math.sqrt(80) + 1e-3)


def test_without_dropout_nothing_spreads_and_the_mean_is_the_prediction():
    learn = classifier(drop_mult=0.0, ps=[0.0])
    found, plain = predict_with_uncertainty(learn, "good film"), learn.predict("good film")
    assert torch.allclose(found.std, torch.zeros(2), atol=1e-6) and torch.allclose(found.probs, plain.probs, atol=1e-6)
    assert found[:2] == plain[:2]


def test_uncertainty_with_a_seed_leaves_all_other_random_numbers_alone(clas):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    predict_with_uncertainty(clas, "good film", n=2, seed=0)
    assert torch.equal(torch.rand(3), expected)
    with pytest.raises(ArgumentError, match="E602.*n=1"):
        predict_with_uncertainty(clas, "good film", n=1)


@pytest.mark.parametrize("mode", [True, False])
def test_asking_for_uncertainty_puts_the_mode_back(clas, mode):
    clas.model.train(mode)
    predict_with_uncertainty(clas, ["good"], n=2)
    assert all(m.training is mode for m in clas.model.modules())


def test_a_regression_spreads_too():
    learn = regression(model=torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(3, 1)))
    (one, _), (two, _) = (learn.get_preds(cbs=MCDropoutCallback) for _ in range(2))
    assert F.mse_loss(one, two) > 0
