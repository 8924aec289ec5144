"""Losses: the numbers of their papers, what they make of a prediction, and how they go with a classifier."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_toys import classifier, lm, three_classes

import ulmfit_easy.all as ls
from ulmfit_easy.data.targets import RegressionBlock
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.losses import activation_of, decodes_of
from ulmfit_easy.learner.text import load_learner
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.text.words import BaseTokenizer

WEIGHT = torch.tensor([0.5, 1.0, 2.0])
OF_CLASSES = [
    ls.CrossEntropyLossFlat(), ls.CrossEntropyLossFlat(WEIGHT), ls.CrossEntropyLossFlat(label_smoothing=0.1),
    ls.LabelSmoothingCrossEntropy(), ls.LabelSmoothingCrossEntropyFlat(eps=0.2), ls.FocalLoss(), ls.FocalLossFlat(),
    ls.FocalLossFlat(gamma=1.0, weight=WEIGHT),
]  # fmt: skip
OF_LABELS = [ls.BCEWithLogitsLossFlat(), ls.BCEWithLogitsLossFlat(pos_weight=WEIGHT, weight=WEIGHT)]
OF_NUMBERS = [ls.MSELossFlat(), ls.L1LossFlat()]


def named(losses):
    return pytest.mark.parametrize("loss", losses, ids=[f"{type(x).__name__}-{i}" for i, x in enumerate(losses)])


def rows(n=7, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, generator=g), torch.randint(3, (n,), generator=g)  # (N, C), (N,)


@given(st.floats(0, 5), st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_focal_loss_is_cross_entropy_times_a_power_of_the_doubt(gamma, seed):
    logits, target = rows(seed=seed)
    p = logits.softmax(1)[range(7), target]
    torch.testing.assert_close(ls.FocalLossFlat(gamma)(logits, target), ((1 - p) ** gamma * -p.log()).mean())
    torch.testing.assert_close(ls.FocalLossFlat(0.0)(logits, target), F.cross_entropy(logits, target))
    weighted = (WEIGHT[target] * (1 - p) ** gamma * -p.log()).mean()
    torch.testing.assert_close(ls.FocalLoss(gamma, WEIGHT)(logits, target), weighted)


@given(st.floats(0, 0.9), st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_smoothed_labels_are_targets_that_are_spread(eps, seed):
    logits, target = rows(seed=seed)
    spread = (1 - eps) * F.one_hot(target, 3) + eps / 3
    torch.testing.assert_close(ls.LabelSmoothingCrossEntropy(eps)(logits, target),
                               -(spread * logits.log_softmax(1)).sum(1).mean())


@named(OF_CLASSES + OF_LABELS + OF_NUMBERS)
def test_reductions_agree(loss):
    pred, target = rows()
    target = target if loss in OF_CLASSES else (pred + 0.5 > 0).float()
    values = {}
    for reduction in ("mean", "sum", "none"):
        loss.reduction = reduction
        values[reduction] = loss(pred, target)
    loss.reduction = "mean"
    torch.testing.assert_close(values["none"].sum(), values["sum"])
    if getattr(loss, "weight", None) is None or isinstance(loss, ls.FocalLossFlat) or loss in OF_LABELS:
        torch.testing.assert_close(values["none"].mean(), values["mean"])


@named(OF_CLASSES)
def test_classes_may_stand_on_another_axis(loss):
    pred, target = rows(12)
    flat = type(loss).__name__.endswith("Flat")
    expected = loss(pred, target)
    shaped = pred.view(4, 3, 3) if flat else pred.view(4, 3, 3).movedim(-1, 1)  # (B, T, C) or (B, C, T)
    torch.testing.assert_close(loss(shaped, target.view(4, 3)), expected)
    assert torch.equal(loss.decodes(shaped), shaped.argmax(-1 if flat else 1))
    assert torch.allclose(loss.activation(shaped).sum(-1 if flat else 1), torch.tensor(1.0))


def test_an_ignored_class_counts_nowhere():
    logits, target = rows()
    kept = target != 1
    torch.testing.assert_close(ls.CrossEntropyLossFlat(ignore_index=1)(logits, target),
                               F.cross_entropy(logits[kept], target[kept]))


@given(st.sampled_from([0.0, 0.5, 2.0]), st.booleans(), st.sets(st.integers(0, 6), min_size=1, max_size=6))
@settings(deadline=None, max_examples=20)
def test_labels_that_were_never_seen_count_nowhere_in_focal_loss(gamma, weighted, unseen):
    logits, target = rows()
    kept, logits = torch.tensor([i not in unseen for i in range(7)]), logits.requires_grad_()
    loss = ls.FocalLossFlat(gamma, WEIGHT if weighted else None)
    expected = loss(logits[kept], target[kept])
    target = target.masked_fill(~kept, -100)
    torch.testing.assert_close(loss(logits, target), expected)
    ours, theirs = (torch.autograd.grad(value, logits)[0] for value in (loss(logits, target), expected))
    torch.testing.assert_close(ours, theirs)
    loss.reduction = "none"
    each = loss(logits, target)
    assert each.shape == (7,) and not each[~kept].any()
    torch.testing.assert_close(each[kept].mean(), expected)


def test_decisions_of_several_labels_follow_the_threshold():
    logits = torch.tensor([[-1.0, 0.1, 2.0]])
    assert ls.BCEWithLogitsLossFlat(thresh=0.6).decodes(logits).tolist() == [[False, False, True]]
    assert ls.BCELossFlat(thresh=0.6).decodes(logits.sigmoid()).tolist() == [[False, False, True]]


def test_binary_cross_entropy_of_probabilities_is_that_of_their_logits():
    logits, _ = rows()
    target = (logits > 0.2).float()
    torch.testing.assert_close(ls.BCELossFlat()(logits.sigmoid(), target), ls.BCEWithLogitsLossFlat()(logits, target))


@named(OF_CLASSES)
def test_a_learner_trains_with_it_and_knows_what_it_says(loss):
    learn = three_classes(loss_func=loss)
    before = learn.validate()[0]
    learn.fit(5, 0.05)
    probs, targets, decided, each = learn.get_preds(with_decoded=True, with_loss=True)
    assert learn.validate()[0] < before and each.shape == targets.shape
    assert torch.allclose(probs.sum(1), torch.tensor(1.0)) and torch.equal(decided, probs.argmax(1))


def two_weights(loss):
    return ls.FocalLossFlat(weight=WEIGHT[:2]) if getattr(loss, "weight", None) is not None else loss


@named(OF_CLASSES)
def test_a_classifier_that_is_exported_says_the_same(loss, clas_dls, tmp_path):
    learn = classifier(clas_dls, path=tmp_path, loss_func=two_weights(loss))
    learn.fit(1, 1e-2)
    texts = toy_reviews(n=3, seed=5)["text"].tolist()
    there = load_learner(learn.export())
    for ours, theirs in zip(learn.predict(texts), there.predict(texts), strict=True):
        assert ours.label == theirs.label and torch.allclose(ours.probs, theirs.probs, atol=1e-6)


def test_a_regression_of_texts_learns_from_absolute_errors_and_survives_export(tmp_path):
    frame = toy_reviews(n=40, seed=0).assign(label=lambda f: f["text"].str.len() / 100)
    dls = TextDataLoaders.from_df(frame, text_col="text", label_col="label", y_block=RegressionBlock(), min_freq=1,
                                  tok_tfm=BaseTokenizer(), bs=8, seed=0)
    learn = classifier(dls, path=tmp_path, loss_func=ls.L1LossFlat())
    learn.fit(1, 1e-2)
    text = frame["text"][0]
    assert load_learner(learn.export()).predict(text).label == pytest.approx(learn.predict(text).label, abs=1e-5)


@pytest.mark.parametrize("loss", [ls.FocalLossFlat(), ls.LabelSmoothingCrossEntropyFlat(), ls.CrossEntropyLossFlat(
    torch.ones(280)), ls.CrossEntropyLossFlat(ignore_index=1)])
def test_a_language_model_takes_plain_cross_entropy_only(loss, lm_dls):
    with pytest.raises(ArgumentError, match="E603.*perplexity"):
        lm(lm_dls, loss_func=loss).validate()


def test_labels_that_are_smoothed_by_nothing_are_those_of_a_language_model(lm_dls):
    plain, smooth = (lm(lm_dls, loss_func=f) for f in (ls.CrossEntropyLossFlat(), ls.LabelSmoothingCrossEntropy(0.0)))
    assert plain.validate() == smooth.validate()


def test_several_labels_are_learned_from_probabilities_too():
    learn = three_classes(targets=torch.randint(2, (48, 3), generator=torch.Generator().manual_seed(1)).float(),
                          loss_func=ls.BCELossFlat())
    learn.model = torch.nn.Sequential(learn.model, torch.nn.Sigmoid())
    before = learn.validate()[0]
    learn.fit(5, 0.05)
    probs, _, decided = learn.get_preds(with_decoded=True)
    assert learn.validate()[0] < before and torch.equal(decided, probs > 0.5)


@pytest.mark.parametrize("loss_func", [torch.nn.CrossEntropyLoss(), F.cross_entropy])
def test_torchs_own_loss_gives_probabilities_and_classes_too(loss_func):
    ours, learn = classifier(), classifier(loss_func=loss_func)
    assert learn.predict("a good film").label == ours.predict("a good film").label
    assert torch.equal(learn.get_preds()[0], ours.get_preds()[0])


def test_torchs_own_loss_of_several_labels_gives_probabilities_too():
    logits = torch.tensor([[-1.0, 2.0]])
    for loss_func in (torch.nn.BCEWithLogitsLoss(), F.binary_cross_entropy_with_logits):
        assert torch.equal(activation_of(loss_func)(logits), logits.sigmoid())
        assert decodes_of(loss_func)(logits).tolist() == [[False, True]]
