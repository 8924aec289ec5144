"""Goldens of losses and metrics: what they say of given logits and targets."""

import warnings
from functools import partial
from types import SimpleNamespace

import fastai.losses as fl
import fastai.metrics as fm
import torch

GEN = torch.Generator().manual_seed(2)


def numbers(*shape, by=1.):
    """Random numbers with three digits."""
    return (torch.randn(*shape, generator=GEN) * by * 1000).round() / 1000


def classes(n, *shape):
    """Random classes from 0 to n - 1."""
    return torch.randint(n, shape, generator=GEN)


def losses() -> dict:
    """Loss, activation and decision for classes, several labels, numbers."""
    logits, target, weight = numbers(6, 3, by=2), classes(3, 6), torch.tensor([.5, 1., 2.])
    ignored = torch.where(torch.arange(6) == 2, -100, target)
    several, floats = classes(2, 6, 3).float(), (numbers(6, 1), numbers(6))
    cases = [
        ("CrossEntropyLossFlat", {}, logits, target), ("CrossEntropyLossFlat", {"weight": weight}, logits, target),
        ("CrossEntropyLossFlat", {}, logits, ignored), ("CrossEntropyLossFlat", {"ignore_index": 1}, logits, target),
        ("CrossEntropyLossFlat", {"axis": 1}, logits.view(2, 3, 3).transpose(1, 2).contiguous(), target.view(2, 3)),
        ("LabelSmoothingCrossEntropy", {}, logits, target), ("LabelSmoothingCrossEntropy", {"eps": .3}, logits, target),
        ("LabelSmoothingCrossEntropyFlat", {}, logits, target),
        ("LabelSmoothingCrossEntropyFlat", {"eps": .3}, logits.view(2, 3, 3), target.view(2, 3)),
        ("FocalLoss", {}, logits, target), ("FocalLoss", {"gamma": .5}, logits, target),
        ("FocalLossFlat", {}, logits, target),
        ("FocalLossFlat", {"gamma": 1.}, logits.view(2, 3, 3), target.view(2, 3)),
        ("BCEWithLogitsLossFlat", {}, logits, several), ("BCEWithLogitsLossFlat", {"thresh": .3}, logits, several),
        ("BCELossFlat", {}, logits.sigmoid(), several), ("MSELossFlat", {}, *floats), ("L1LossFlat", {}, *floats),
    ]
    found = []
    for name, settings, pred, targ in cases:
        for reduction in ("mean", "sum"):
            loss = getattr(fl, name)(**settings, reduction=reduction)
            said = {}
            if hasattr(loss, "decodes") and reduction == "mean":
                probs = loss.activation(pred)
                said = {"activation": probs, "decodes": loss.decodes(probs)}
            found.append({"name": name, "settings": {**settings, "reduction": reduction}, "pred": pred, "target": targ,
                          "loss": loss(pred, targ), **said})
    return {"cases": found}


def asked(metric, pred, targ):
    """What a metric says after one batch."""
    metric.reset()
    metric.accumulate(SimpleNamespace(training=False, pred=pred, y=targ, yb=(targ,), to_detach=lambda x: x))
    return metric.value


def metrics() -> dict:
    """Metrics of two classes, three, several labels, numbers, and of texts."""
    two, y2, three, y3 = numbers(40, 2), classes(2, 40), numbers(40, 3), classes(3, 40)
    several, ys = numbers(30, 4), classes(2, 30, 4).float()
    got, wanted = numbers(25, 1).abs(), numbers(25).abs()
    macro, data = {"average": "macro"}, {"two": (two, y2), "three": (three, y3), "several": (several, ys),
                                         "numbers": (got, wanted)}
    cases = {
        "two": [("accuracy", {}), ("error_rate", {}), ("F1Score", {}), ("FBeta", {"beta": 2}), ("Precision", {}),
                ("Recall", {}), ("RocAucBinary", {}), ("MatthewsCorrCoef", {}), ("CohenKappa", {}),
                ("BalancedAccuracy", {}), ("HammingLoss", {}), ("Jaccard", {}), ("APScoreBinary", {}),
                ("F1Score", {"pos_label": 0}), ("BalancedAccuracy", {"adjusted": True})],
        "three": [("accuracy", {}), ("top_k_accuracy", {"k": 2}), ("F1Score", macro), ("FBeta", {"beta": .5, **macro}),
                  ("Precision", macro), ("Recall", {"average": "micro"}), ("RocAuc", {}),
                  ("RocAuc", {"multi_class": "ovo"}),
                  ("MatthewsCorrCoef", {}), ("CohenKappa", {"weights": "linear"}), ("HammingLoss", {}),
                  ("Jaccard", {"average": "weighted"})],
        "several": [("accuracy_multi", {}), ("accuracy_multi", {"thresh": .3, "sigmoid": False}), ("F1ScoreMulti", {}),
                    ("F1ScoreMulti", {"thresh": .2, "sigmoid": False}), ("FBetaMulti", {"beta": 2}),
                    ("PrecisionMulti", {"average": "micro"}), ("RecallMulti", {"thresh": .7}), ("JaccardMulti", {}),
                    ("RocAucMulti", {}), ("APScoreMulti", {})],
        "numbers": [("mse", {}), ("rmse", {}), ("mae", {}), ("msle", {}), ("exp_rmspe", {}), ("R2Score", {}),
                    ("ExplainedVariance", {}), ("PearsonCorrCoef", {}), ("SpearmanCorrCoef", {})],
    }
    functions, found = {"accuracy", "error_rate", "top_k_accuracy", "accuracy_multi", "mse", "mae", "msle"}, []
    for kind, of_kind in cases.items():
        for name, settings in of_kind:
            metric = getattr(fm, name)
            if name in functions:
                metric = partial(metric, **settings)
            elif name not in ("rmse", "exp_rmspe"):
                metric = metric(**settings)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pred, targ = (t.clone() for t in data[kind])
                value = asked(metric, pred, targ) if isinstance(metric, fm.Metric) else metric(pred, targ)
                found.append({"kind": kind, "name": name, "settings": settings, "value": value,
                              "column": getattr(metric, "name", name)})
    return {"data": data, "cases": found, "bleu": bleu(), "best": best(two, y2)}


def bleu() -> list:
    """The BLEU score of guesses, as ids, for texts that are near them, far, or have another length."""
    cases, made = [([[5, 6, 7, 8, 9, 10]], [[5, 6, 7, 8, 9, 10]]), ([[5, 6, 7, 8, 9, 10]], [[5, 6, 7, 11, 9, 10]]),
                   ([[5, 6, 7, 8, 9], [5, 5, 5, 5, 5]], [[5, 6, 7, 8, 4], [5, 5, 4, 5, 5]]),
                   ([[1, 2, 3, 4]], [[4, 3, 2, 1]]), ([[1, 2, 3, 4, 5]], [[1, 2, 3, 4, 5, 6, 7]]),
                   ([[1, 2, 3, 4, 5, 6, 7]], [[1, 2, 3, 4, 5]])], []
    for guesses, targets in cases:
        metric = fm.CorpusBLEUMetric(vocab_sz=12)
        pred, y = torch.nn.functional.one_hot(torch.tensor(guesses), 12).float(), torch.tensor(targets)
        made.append({"guesses": guesses, "targets": targets, "value": asked(metric, pred, y), "column": metric.name})
    return made


def best(pred, targ) -> dict:
    """The best F-score over thresholds, and the threshold."""
    def share(pred, targ, thresh):
        said = pred.softmax(-1)[:, 1] > thresh
        return (said == targ.bool()).float().mean()

    value, thresh = fm.optim_metric(share, "thresh", (.2, .8), get_x=True)(pred, targ)
    return {"value": value, "thresh": thresh}
