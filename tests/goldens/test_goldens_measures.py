"""What fastai 2.8.12's losses and metrics say of given predictions, against what ours say."""

from types import SimpleNamespace

import pytest
import torch
from golden_reading import assert_close, golden
from torch import nn

import ulmfit_easy.all as door


def name_of(case):
    return f"{case['name']}-{case['settings']}"


@pytest.mark.parametrize("case", golden("losses")["cases"], ids=name_of)
def test_losses_are_fastais(case):
    settings = {k: torch.tensor(v) if k == "weight" else v for k, v in case["settings"].items()}
    loss, pred = getattr(door, case["name"])(**settings), torch.tensor(case["pred"])
    assert_close(loss(pred, torch.tensor(case["target"])), case["loss"])
    if "activation" in case:
        assert_close(loss.activation(pred), case["activation"])
    if "decodes" in case and case["name"] != "BCELossFlat":  # fastai leaves its probabilities as they are
        assert_close(loss.decodes(pred), case["decodes"])


def asked(metric, pred, target):
    """What a metric says of one batch; the loss is a plain function."""
    metric.reset()
    metric.accumulate(SimpleNamespace(pred=pred, yb=(target,), loss_func=None))
    return metric.value


@pytest.mark.parametrize("case", golden("metrics")["cases"], ids=name_of)
def test_metrics_are_fastais(case):
    metric, data = getattr(door, case["name"]), golden("metrics")["data"][case["kind"]]
    pred, target = (torch.tensor(t) for t in data)
    if case["name"][0].isupper():
        metric = metric(**case["settings"])
        assert metric.name == case["column"]
    if isinstance(metric, door.Metric):
        assert_close(asked(metric, pred, target), case["value"])
    else:
        assert_close(metric(pred, target, **case["settings"]), case["value"])


def test_bleu_is_fastais():
    for case in golden("metrics")["bleu"]:
        pred = nn.functional.one_hot(torch.tensor(case["guesses"]), 12).float()  # (B, T, V)
        value = asked(door.CorpusBLEUMetric(vocab_sz=12), pred, torch.tensor(case["targets"]))
        assert value == pytest.approx(case["value"], rel=1e-6), case


def test_the_best_argument_is_fastais():
    def share(pred, target, thresh):
        return ((pred.softmax(-1)[:, 1] > thresh) == target.bool()).float().mean()

    pred, target = (torch.tensor(t) for t in golden("metrics")["data"]["two"])
    value, thresh = door.optim_metric(share, "thresh", (0.2, 0.8), get_x=True)(pred, target)
    assert_close([value, thresh], [golden("metrics")["best"][k] for k in ("value", "thresh")])
