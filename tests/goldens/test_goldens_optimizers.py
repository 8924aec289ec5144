"""What fastai 2.8.12 does to parameters with given gradients, against what our optimizers do."""

import pytest
import torch
from golden_reading import assert_close, golden, unnamed
from torch import nn

from ulmfit_easy.fastai.optimizers import Lamb, Larc, Lookahead, QHAdam, RAdam, RMSProp, ranger
from ulmfit_easy.learner.optim.optimizer import SGD

MAKE = {make.__name__: make for make in (SGD, RMSProp, RAdam, QHAdam, Larc, Lamb, ranger)}
MAKE["Lookahead"] = lambda params, **settings: Lookahead(SGD(params, 0.1, mom=0.9), **settings)


@pytest.mark.parametrize("run", golden("optimizers")["runs"], ids=lambda run: f"{run['name']}-{run['settings']}")
def test_optimizers_move_parameters_as_fastais(run):
    case, path = golden("optimizers"), []
    params = [[nn.Parameter(torch.tensor(p))] for p in case["start"]]
    opt = MAKE[run["name"]](params, **{name: unnamed(value) for name, value in run["settings"].items()})
    for i, grads in enumerate(case["grads"]):
        for name in run["per_step"]:
            opt.set_hyper(name, case["moving"][name][i])
        for (p,), grad in zip(params, grads, strict=True):
            p.grad = torch.tensor(grad)
        opt.step()
        path.append([p.tolist() for (p,) in params])
    for i, theirs in zip(case["steps"], run["path"], strict=True):
        for ours, p in zip(path[i], theirs, strict=True):
            assert_close(ours, p)


def test_optimizers_have_fastais_hypers_and_defaults():
    for name, hypers in golden("optimizers")["hypers"].items():
        ours = MAKE[name]([[nn.Parameter(torch.zeros(1))]], lr=0.1).hypers[0]
        assert {k: ours[k] for k in hypers} == pytest.approx(hypers), name
