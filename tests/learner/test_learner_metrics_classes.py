"""Classes of metrics: averages, parts of a loss, what keeps all predictions, what finds the best threshold."""

import numpy as np
import pytest
import torch
from learner_toys import asked, regression, three_classes
from scipy import stats
from sklearn import metrics as sk
from torch import nn

import ulmfit_easy.all as m
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.losses import MSELossFlat
from ulmfit_easy.learner.metrics.metric import as_metric

GEN = torch.Generator().manual_seed(0)
TWO, Y2 = torch.randn(60, 2, generator=GEN), torch.randint(2, (60,), generator=GEN)
THREE, Y3 = torch.randn(60, 3, generator=GEN), torch.randint(3, (60,), generator=GEN)


class TwoParts:
    """A loss that leaves its parts behind."""

    def __call__(self, pred, target):
        self.first, self.second = (pred - target).pow(2).mean(), pred.abs().mean()
        return self.first + self.second


def test_parts_of_a_loss_are_averaged_by_rows():
    learn = regression(n=11, bs=4, metrics=[*m.LossMetrics("first,second", "square,size"), m.mse])
    learn.loss_func = TwoParts()
    loss, square, size, mse = learn.validate()
    assert square == pytest.approx(mse) and loss == pytest.approx(square + size)
    assert learn.recorder.metric_names[3:-1] == ["square", "size", "mse"]
    assert [x.name for x in m.LossMetrics(["a", "b"])] == ["a", "b"] and m.LossMetric("c", "d").name == "d"


def test_a_value_metric_says_what_its_function_says():
    def best_so_far():
        return 7

    learn = regression(metrics=[m.ValueMetric(best_so_far), m.ValueMetric(lambda: 3, "three")])
    assert learn.validate()[1:] == [7, 3] and learn.recorder.metric_names[3:-1] == ["best_so_far", "three"]


def test_a_metric_of_ones_own_is_named_after_its_class():
    class WordsPerTextMetric(m.Metric):
        def reset(self):
            self.value = 0

        def accumulate(self, learn):
            self.value += len(learn.yb[0])

    class Metric(m.Metric): ...

    learn = regression(metrics=[WordsPerTextMetric(), nn.L1Loss()])
    learn.fit(2, 0.1)
    assert learn.recorder.metric_names[3:-1] == ["words_per_text", "L1Loss"] and learn.recorder.values[1][2] == 32
    assert Metric().name == "metric"


@pytest.mark.parametrize(("options", "expected"), [
    ({"dim_argmax": -1}, (THREE.argmax(1) == 1).float().mean()),
    ({"activation": "sigmoid", "thresh": 0.6, "flatten": False}, (THREE.sigmoid() >= 0.6).float().mean()),
    ({"activation": "softmax", "flatten": False, "to_np": True}, 1 / 3),
    ({"activation": "binarysoftmax"}, THREE.softmax(1)[:, 2].mean()),
    ({"activation": "decoded"}, THREE.argmax(1).float().mean()),
])
def test_predictions_are_turned_as_asked(options, expected):
    def mean(preds, targs):
        if options.get("to_np"):
            return preds.mean()
        return (preds == 1 if "dim_argmax" in options else preds).float().mean()

    assert asked(m.AccumMetric(mean, **options), THREE, Y3) == pytest.approx(float(expected))


def test_the_order_of_targets_and_further_arguments_reach_the_function():
    def first_mean(a, b, times=1):
        return a.float().mean() * times

    assert m.AccumMetric(first_mean, invert_arg=True, times=2)(TWO[:, 0], Y2) == pytest.approx(2 * Y2.float().mean())
    with pytest.raises(ArgumentError, match="E60"):
        m.AccumMetric(first_mean, activation="tanh")


def test_what_cannot_be_computed_is_nan_and_does_not_end_a_fit():
    metrics = [m.RocAuc(), m.RocAuc(multi_class="ovo"), m.RocAucBinary(), m.accuracy]
    learn = three_classes(targets=torch.arange(48) % 2, metrics=metrics)  # no row has the third class
    with pytest.warns(UserWarning, match="roc_auc_score cannot be computed here and is nan: Number of classes"):
        learn.fit(1, 0.1)
    *scores, acc = learn.recorder.values[0][2:]
    assert np.isnan(scores).all() and 0 < acc < 1
    brier = m.BrierScore()(THREE.softmax(1), Y3 % 2)
    assert brier == pytest.approx((THREE.softmax(1) - torch.eye(3)[Y3 % 2]).pow(2).sum(1).mean())


def test_two_classes_of_three_are_not_a_binary_task():
    with pytest.raises(ArgumentError, match='E603.*average="macro"'):
        m.F1Score()(torch.tensor([0, 2]), torch.tensor([2, 2]))


@pytest.mark.parametrize("logits", [TWO, THREE])
def test_a_label_that_was_never_seen_is_wrong_and_no_class_of_its_own(logits):
    n, said = logits.shape[1], logits.argmax(1)
    target = (Y2 if n == 2 else Y3).clone()
    target[::7] = -100
    seen, known = target != -100, list(range(n))
    right = torch.stack([((said == c) & (target == c)).sum() for c in known])
    precision, recall = (right / torch.stack([(x == c).sum() for c in known]) for x in (said, target))
    for metric, each in [(m.Precision, precision), (m.Recall, recall), (m.F1Score, 2 / (1 / precision + 1 / recall))]:
        assert asked(metric(average="macro"), logits, target) == pytest.approx(each.mean().item())
        if n == 2:
            assert asked(metric(), logits, target) == pytest.approx(each[1].item())
            assert asked(metric(pos_label=0), logits, target) == pytest.approx(each[0].item())
    assert asked(m.BalancedAccuracy(), logits, target) == pytest.approx(recall.mean().item())
    assert asked(m.HammingLoss(), logits, target) == pytest.approx(m.error_rate(logits, target))
    for metric in (m.RocAuc(), m.BrierScore()):
        assert asked(metric, logits, target) == pytest.approx(metric(logits[seen].softmax(1), target[seen]))


def test_a_metric_that_is_there_for_all_is_a_copy_in_each_learner():
    for shared in (m.rmse, m.exp_rmspe, m.perplexity):
        shared.reset()  # whatever other tests asked of it
        one, other, own = regression(metrics=shared), regression(metrics=shared), m.Perplexity()
        one.metrics[0].name = "mine"
        assert other.metrics[0].name == shared.name != "mine" and as_metric(own) is own
        kept = one.metrics[0]
        one.fit(1, 0.1)
        assert one.metrics == [kept] and not getattr(shared, "count", getattr(shared, "preds", None))


def test_a_metric_that_is_asked_directly_keeps_what_it_has_gathered():
    metric = m.F1Score()
    value = asked(metric, TWO, Y2)
    metric(Y2, Y2)
    assert metric.value == value != 1


def test_regressions_need_no_decision():
    learn = three_classes(n=60, n_out=1, targets=torch.randn(60, generator=GEN), loss_func=MSELossFlat(),
                          metrics=[m.R2Score(), m.PearsonCorrCoef()])
    preds, targets = learn.get_preds()
    assert learn.validate()[1:] == pytest.approx([sk.r2_score(targets, preds), stats.pearsonr(preds[:, 0], targets)[0]])


def test_the_best_threshold_is_found():
    def f1(pred, target, thresh):
        return sk.f1_score(target, pred.softmax(1)[:, 1] > thresh)

    best = max(f1(TWO, Y2, t) for t in np.linspace(0.05, 0.95, 50))
    value, thresh = m.optim_metric(f1, "thresh", (0.05, 0.95), get_x=True)(TWO, Y2)
    assert f1(TWO, Y2, thresh) == value == pytest.approx(best, abs=0.05)
    lowest = m.optim_metric(lambda pred, target, at: (at - 0.3) ** 2, "at", (0, 1), tol=1e-5, do_neg=False)
    assert lowest(TWO, Y2) == pytest.approx(0, abs=1e-8)
    metric = m.AccumMetric(m.optim_metric(f1, "thresh", (0.05, 0.95)), flatten=False)
    assert metric(TWO, Y2) == value and metric.name == "f1"
