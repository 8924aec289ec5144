"""Metrics: each is what scikit-learn, scipy or a plain formula says of the whole validation set."""

import math
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_toys import asked, lm, regression, three_classes
from scipy import stats
from sklearn import metrics as sk
from torch import nn

import ulmfit_easy.all as m
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.fastai.losses import FocalLossFlat
from ulmfit_easy.learner.callbacks.tracking import TrackerCallback
from ulmfit_easy.learner.losses import BCEWithLogitsLossFlat, CrossEntropyLossFlat

GEN = torch.Generator().manual_seed(0)
TWO, Y2 = torch.randn(60, 2, generator=GEN), torch.randint(2, (60,), generator=GEN)
THREE, Y3 = torch.randn(60, 3, generator=GEN), torch.randint(3, (60,), generator=GEN)
SEVERAL, YS = torch.randn(60, 3, generator=GEN), torch.randint(2, (60, 3), generator=GEN).float()


def said(logits):
    return logits.argmax(1).numpy()


def prob(logits):
    return logits.softmax(1)[:, 1].numpy()


def yes(logits, thresh=0.5):
    return (logits.sigmoid() >= thresh).numpy()


BINARY = {
    "F1Score": (m.F1Score(), sk.f1_score, said), "Precision": (m.Precision(), sk.precision_score, said),
    "Recall": (m.Recall(), sk.recall_score, said), "FBeta": (m.FBeta(2), partial(sk.fbeta_score, beta=2), said),
    "Jaccard": (m.Jaccard(), sk.jaccard_score, said), "HammingLoss": (m.HammingLoss(), sk.hamming_loss, said),
    "CohenKappa": (m.CohenKappa(), sk.cohen_kappa_score, said),
    "MatthewsCorrCoef": (m.MatthewsCorrCoef(), sk.matthews_corrcoef, said),
    "BalancedAccuracy": (m.BalancedAccuracy(), sk.balanced_accuracy_score, said),
    "RocAucBinary": (m.RocAucBinary(), sk.roc_auc_score, prob), "RocAuc": (m.RocAuc(), sk.roc_auc_score, prob),
    "max_fpr": (m.RocAucBinary(max_fpr=0.2), partial(sk.roc_auc_score, max_fpr=0.2), prob),
    "APScoreBinary": (m.APScoreBinary(), sk.average_precision_score, prob),
    "BrierScore": (m.BrierScore(), sk.brier_score_loss, prob),
    "pos_label": (m.F1Score(pos_label=0), partial(sk.f1_score, pos_label=0), said),
}  # fmt: skip
MULTI = {
    "F1ScoreMulti": (m.F1ScoreMulti(), partial(sk.f1_score, average="macro")),
    "FBetaMulti": (m.FBetaMulti(0.5), partial(sk.fbeta_score, beta=0.5, average="macro")),
    "PrecisionMulti": (m.PrecisionMulti(average="micro"), partial(sk.precision_score, average="micro")),
    "RecallMulti": (m.RecallMulti(average="samples"), partial(sk.recall_score, average="samples", zero_division=0)),
    "JaccardMulti": (m.JaccardMulti(), partial(sk.jaccard_score, average="macro")),
    "HammingLossMulti": (m.HammingLossMulti(), sk.hamming_loss),
    "labels": (m.HammingLossMulti(labels=[0, 2]), lambda y, p: sk.hamming_loss(y[:, [0, 2]], p[:, [0, 2]])),
    "MatthewsCorrCoefMulti": (m.MatthewsCorrCoefMulti(), lambda y, p: sk.matthews_corrcoef(y.ravel(), p.ravel())),
    "F1Score by the loss": (m.F1Score(average="macro"), partial(sk.f1_score, average="macro")),
}


@pytest.mark.parametrize(("metric", "theirs", "turn"), BINARY.values(), ids=BINARY)
def test_metrics_of_two_classes_are_scikit_learns(metric, theirs, turn):
    for loss in (None, CrossEntropyLossFlat(), FocalLossFlat()):
        assert asked(metric, TWO, Y2, loss) == pytest.approx(theirs(Y2.numpy(), turn(TWO)))


@pytest.mark.parametrize(("metric", "theirs"), MULTI.values(), ids=MULTI)
def test_metrics_of_several_labels_are_scikit_learns(metric, theirs):
    learn = three_classes(n=60, targets=YS, loss_func=BCEWithLogitsLossFlat(), metrics=metric)
    logits, targets = learn.get_preds(act=lambda x: x)
    assert learn.validate()[1] == pytest.approx(theirs(targets.numpy(), yes(logits)))


def test_the_multi_forms_have_a_threshold_of_their_own():
    for thresh in (0.2, 0.7):
        expected = sk.f1_score(YS, yes(SEVERAL, thresh), average="macro")
        assert asked(m.F1ScoreMulti(thresh), SEVERAL, YS) == pytest.approx(expected)
        assert asked(m.F1ScoreMulti(thresh, sigmoid=False), SEVERAL.sigmoid(), YS) == pytest.approx(expected)


def test_scores_of_several_probabilities_are_scikit_learns():
    probs, targets = SEVERAL.sigmoid().numpy(), YS.numpy()
    for metric, expected in [
        (m.RocAucMulti(), sk.roc_auc_score(targets, probs)),
        (m.APScoreMulti(), sk.average_precision_score(targets, probs)),
        (m.BrierScoreMulti(), np.mean((probs - targets) ** 2)),
    ]:
        assert asked(metric, SEVERAL, YS) == pytest.approx(expected)
    assert asked(m.RocAucMulti(sigmoid=False), SEVERAL.sigmoid(), YS) == pytest.approx(sk.roc_auc_score(targets, probs))


def test_metrics_of_three_classes_are_scikit_learns():
    y, probs = Y3.numpy(), THREE.softmax(1).numpy()
    for metric, expected in [
        (m.F1Score(average="macro"), sk.f1_score(y, said(THREE), average="macro")),
        (m.CohenKappa(weights="linear"), sk.cohen_kappa_score(y, said(THREE), weights="linear")),
        (m.RocAuc(), sk.roc_auc_score(y, probs, multi_class="ovr")),
        (m.RocAuc(multi_class="ovo"), sk.roc_auc_score(y, probs, multi_class="ovo")),
        (m.F1Score(labels=[0, 2], average="micro"), sk.f1_score(y, said(THREE), labels=[0, 2], average="micro")),
    ]:
        assert asked(metric, THREE, Y3) == pytest.approx(expected)


def test_weights_of_rows_reach_scikit_learn():
    w = np.linspace(0.1, 2, 60)
    expected = sk.recall_score(Y2, said(TWO), sample_weight=w)
    assert asked(m.Recall(sample_weight=w), TWO, Y2) == pytest.approx(expected)
    assert m.Recall(sample_weight=w)(TWO.argmax(1), Y2) == pytest.approx(expected)  # a metric can be asked directly


def test_classes_on_another_axis_are_found():
    pairs = TWO.view(20, 3, 2).movedim(-1, 1)  # (N, C, 3)
    assert asked(m.F1Score(axis=1), pairs, Y2.view(20, 3)) == pytest.approx(sk.f1_score(Y2, said(TWO)))
    assert m.accuracy(TWO.T, Y2, axis=0) == pytest.approx(sk.accuracy_score(Y2, said(TWO)))


def test_any_function_of_scikit_learns_form_is_a_metric():
    ours = [m.skm_to_fastai(sk.zero_one_loss), m.sklearn_metric(sk.log_loss, is_class=False, activation="softmax",
                                                                flatten=False)]
    learn = three_classes(n=60, metrics=ours)
    probs, targets = (t.numpy() for t in learn.get_preds())
    expected = [sk.zero_one_loss(targets, probs.argmax(1)), sk.log_loss(targets, probs)]
    assert learn.validate()[1:] == pytest.approx(expected)
    assert learn.recorder.metric_names[3:-1] == ["zero_one_loss", "log_loss"]


@pytest.mark.parametrize("metric", [m.F1Score(), m.FBeta(2), m.Precision(), m.Recall(), m.Jaccard()])
def test_one_score_of_more_than_two_classes_wants_an_average(metric):
    for preds, targets in [(THREE.argmax(1), Y3), (YS[:, :3], YS[:, :3])]:
        with pytest.raises(ArgumentError, match='E603.*_score.*average="macro"'):
            metric(preds, targets)
    with pytest.raises(ArgumentError, match="E603"):
        three_classes(metrics=metric).fit(1, 0.1)


@given(st.integers(1, 9), st.integers(2, 6))
@settings(deadline=None, max_examples=30)
def test_top_k_accuracy_looks_for_the_target_among_the_k_likeliest(k, n_classes):
    g = torch.Generator().manual_seed(k * 10 + n_classes)
    logits, target = torch.randn(30, n_classes, generator=g), torch.randint(n_classes, (30,), generator=g)
    expected = np.mean([t in row.argsort()[::-1][:k] for row, t in zip(logits.numpy(), target.numpy(), strict=True)])
    assert m.top_k_accuracy(logits, target, k) == pytest.approx(expected)
    if k == 1:
        assert m.top_k_accuracy(logits, target, 1) == pytest.approx(m.accuracy(logits, target))


def test_targets_in_a_column_pair_up_with_their_rows():
    assert m.accuracy(THREE, Y3.unsqueeze(1)) == m.accuracy(THREE, Y3)
    with pytest.raises(ArgumentError, match="E603.*60, 3"):
        m.accuracy_multi(THREE, Y3)
    with pytest.raises(ArgumentError, match="E603.*F1ScoreMulti"):
        m.accuracy(SEVERAL, YS)


# --- numbers -------------------------------------------------------------------------------------------------------


def test_metrics_of_numbers_are_those_of_scikit_learn_and_scipy():
    pred, y = torch.rand(40, 1, generator=GEN) + 0.1, torch.rand(40, generator=GEN) + 0.1
    p, t = pred.numpy().ravel(), y.numpy()
    for metric, expected in [
        (m.mse, sk.mean_squared_error(t, p)), (m.rmse, sk.mean_squared_error(t, p) ** 0.5),
        (m.mae, sk.mean_absolute_error(t, p)), (m.msle, sk.mean_squared_log_error(t, p)),
        (m.exp_rmspe, np.sqrt(np.mean(((np.exp(t) - np.exp(p)) / np.exp(t)) ** 2))),
        (m.R2Score(), sk.r2_score(t, p)), (m.ExplainedVariance(), sk.explained_variance_score(t, p)),
        (m.PearsonCorrCoef(), stats.pearsonr(p, t)[0]), (m.SpearmanCorrCoef(), stats.spearmanr(p, t)[0]),
    ]:  # fmt: skip
        assert metric(pred, y) == pytest.approx(expected, rel=1e-4)


def test_a_root_is_that_of_all_rows_not_the_mean_of_the_batches():
    learn = regression(n=11, bs=4, metrics=[m.rmse, m.mse])
    _, rmse, mse = learn.validate()
    assert rmse == pytest.approx(mse**0.5) and learn.recorder.metric_names[3:-1] == ["rmse", "mse"]


def test_columns_can_be_named():
    named = m.F1Score()
    named.name = "f1 of spam"
    assert [m.PearsonCorrCoef().name, m.SpearmanCorrCoef(name="rho").name, named.name, m.BrierScore().name] == [
        "pearsonr", "rho", "f1 of spam", "brier_score_loss"]


# --- language models and texts -------------------------------------------------------------------------------------


def test_lower_is_better_for_what_trackers_know_as_errors(lm_dls):
    learn = lm(lm_dls, metrics=[m.Perplexity(), m.perplexity, m.accuracy, m.error_rate])
    for monitor, lower in [("valid_loss", True), ("perplexity", True), ("error_rate", True), ("accuracy", False)]:
        tracker = TrackerCallback(monitor)
        tracker.learn = learn
        tracker.before_fit()
        assert tracker.best == (math.inf if lower else -math.inf), monitor


def test_top_k_accuracy_of_a_language_model_is_that_of_its_logits(lm_dls):
    learn = lm(lm_dls)
    learn.model.eval()
    xb, yb = lm_dls.one_batch()
    with torch.no_grad():
        output = learn.model(xb)
        for k in (1, 3):
            expected = (output.logits().topk(k).indices == yb.unsqueeze(-1)).any(-1).float().mean()
            assert m.top_k_accuracy(output, yb, k) == pytest.approx(float(expected))


def score(*pairs):
    """The BLEU score of (guess, target) pairs of ids."""
    metric = m.CorpusBLEUMetric(axis=1)
    for guess, target in pairs:
        logits = nn.functional.one_hot(torch.tensor([guess]), 30).float().movedim(-1, 1)  # (1, V, T)
        metric.accumulate(SimpleNamespace(pred=logits, yb=(torch.tensor([target]),)))
    return metric.value


@given(st.lists(st.integers(0, 29), min_size=4, max_size=12), st.integers(0, 3))
@settings(deadline=None, max_examples=30)
def test_bleu_is_one_for_the_same_text_and_less_for_any_other(ids, at):
    assert score((ids, ids)) == pytest.approx(1)
    other = [(i + 1) % 30 if j == at else i for j, i in enumerate(ids)]
    assert score((other, ids)) < 1


def test_bleu_counts_runs_over_all_texts_and_punishes_short_ones():
    # runs shared of 1, 2, 3, 4 words: 3, 1, then 1/2 and 1/4, of 4, 3, 2, 1; and all of 5, 4, 3, 2
    a, b = ([1, 2, 3, 4], [1, 2, 9, 4]), ([5, 6, 7, 8, 9], [5, 6, 7, 8, 9])
    assert score(a, b) == pytest.approx((8 / 9 * 5 / 7 * 3.5 / 5 * 2.25 / 3) ** 0.25)
    assert score(([1, 2, 3, 4], [1, 2, 3, 4, 5, 6])) == pytest.approx(math.exp(1 - 6 / 4))
    assert score() is None and score(([1, 2], [1, 2])) is None


def test_bleu_of_a_language_model_is_that_of_its_likeliest_words(lm_dls):
    metric = m.CorpusBLEUMetric()
    learn = lm(lm_dls, metrics=metric)
    assert learn.metrics[0] is metric  # a learner copies the metrics only that a module offers ready made
    _, ours = learn.validate()
    assert 0 < ours < 1 and learn.recorder.metric_names[3] == "corpus_bleu"
