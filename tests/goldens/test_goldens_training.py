"""What fastai 2.8.12 gives for small inputs of our own, against what we give: schedules, Adam, real runs."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from golden_reading import assert_close, golden, unnamed
from torch import nn


def test_cosine_schedules_are_fastais():
    from ulmfit_easy.learner.optim.schedule import combined_cos

    positions = golden("schedules")["positions"]
    for case in golden("schedules")["combined_cos"]:
        schedule = combined_cos(case["pct"], case["start"], case["middle"], case["end"])
        assert_close([schedule(pos) for pos in positions], case["values"], 1e-8)


def test_slanted_triangles_follow_the_plain_reference():
    from ulmfit_easy.learner.optim.schedule import slanted_triangular

    for case in golden("schedules")["slanted"]:
        values = [slanted_triangular(t, case["T"], case["lr_max"]) for t in range(case["T"])]
        assert_close(values, case["values"], 1e-9)
        assert min(values) > 0 and max(values) <= case["lr_max"]


def test_slices_spread_over_groups_as_in_fastai():
    from ulmfit_easy.learner.optim.optimizer import expand_lr

    for case in golden("slices")["cases"]:
        assert_close(expand_lr(unnamed(case["value"]), case["n_groups"]), case["lrs"], 1e-9)


class Batches(list):
    """The same batch many times; what a learner asks of a loader."""

    def __init__(self, n: int):
        super().__init__([(torch.ones(4, 2), torch.zeros(4, 1))] * n)
    n_rows, n_inp, bs = 4, 1, 4


def learner_of_three_groups(folder: Path, n_batches: int, **options):
    """A learner over batches of nothing in particular."""
    from ulmfit_easy.learner.learner import Learner

    dls = SimpleNamespace(train=Batches(n_batches), valid=Batches(1), device=torch.device("cpu"), path=folder, n_inp=1)
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    return Learner(dls, model, nn.MSELoss(), splitter=lambda m: [list(c.parameters()) for c in m], **options)


@pytest.mark.parametrize("run", golden("steps")["runs"], ids=lambda run: f"{run['method']}-{run['options']}")
def test_real_runs_set_fastais_rates_and_momenta(run, tmp_path):
    from ulmfit_easy.learner.events import Callback

    phases = []

    class Watch(Callback):
        order = 61

        def before_fit(self):
            phases.append([])
        def before_step(self):
            phases[-1].append([(h["lr"], h["mom"]) for h in self.learn.opt.hypers])

    n_batches = golden("steps")["batches_per_epoch"]
    learn = learner_of_three_groups(tmp_path, n_batches, cbs=Watch(), **run["settings"])
    with learn.no_logging():
        getattr(learn, run["method"])(*map(unnamed, run["args"]), **run["options"])
    assert len(phases) == len(run["phases"])
    for seen, theirs in zip(phases, run["phases"], strict=True):
        per_group = np.ndim(theirs["lr"]) == 2
        assert_close([[lr for lr, _ in row] if per_group else row[0][0] for row in seen], theirs["lr"], 1e-8)
        assert_close([row[0][1] for row in seen], theirs["mom"], 1e-8)


def test_adam_moves_parameters_as_fastai():
    from ulmfit_easy.learner.optim.optimizer import Adam

    case = golden("adam")
    assert Adam([[nn.Parameter(torch.zeros(1))]], 0.1).hypers[0] == case["hypers"]
    for run in case["runs"]:
        params = [[nn.Parameter(torch.tensor(p))] for p in case["start"]]
        opt = Adam(params, **{name: unnamed(value) for name, value in run["settings"].items()})
        for i, (grads, theirs) in enumerate(zip(case["grads"], run["path"], strict=True)):
            for name, values in run["per_step"].items():
                opt.set_hyper(name, values[i])
            for (p,), grad in zip(params, grads, strict=True):
                p.grad = torch.tensor(grad)
            opt.step()
            for (p,), p_theirs in zip(params, theirs, strict=True):
                assert_close(p.detach(), p_theirs)


@pytest.mark.parametrize("method", ["valley", "minimum", "steep", "slide"])
def test_the_finder_suggests_fastais_rates(method):
    import ulmfit_easy.all as door

    suggest, lrs = getattr(door, method), golden("lr_find")["lrs"]
    for case in golden("lr_find")["cases"]:
        theirs = case["suggestions"][method]
        assert suggest(lrs, case["losses"]) == pytest.approx(theirs, rel=1e-5), case["name"]
