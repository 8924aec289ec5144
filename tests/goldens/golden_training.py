"""Goldens of training: schedules, what real runs set at each step, slices, Adam, the finder of rates."""

import math
import tempfile

import torch
from fastai.callback.core import Callback
from fastai.callback.schedule import combined_cos, minimum, slide, steep, valley
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.optimizer import SGD, Adam, Lamb, Larc, Lookahead, Optimizer, QHAdam, RAdam, RMSProp, ranger
from torch import nn

POSITIONS = sorted({i / 40 for i in range(41)} | {.001, .249, .251, .299, .301, .749, .751, .999})


def slanted(t: int, steps: int, lr_max: float, cut_frac: float = .1, ratio: int = 32) -> float:
    """The slanted triangle of ULMFiT (eq. 3), divided by `steps - cut`: never below lr_max / ratio."""
    cut = max(1, math.floor(steps * cut_frac))
    p = t / cut if t < cut else 1 - (t - cut) / (steps - cut)
    return lr_max * (1 + p * (ratio - 1)) / ratio


def schedules() -> dict:
    """Values along a phase: one-cycle rates and momenta, flat-cosine, and the slanted triangle above."""
    curves = []
    for pct, start, middle, end in [(.25, .01 / 25, .01, .01 / 1e5), (.3, .01 / 25, .01, .01 / 1e5),
                                    (.25, .95, .85, .95), (.25, .8, .7, .8), (.3, .8, .7, .8),
                                    (.99, .002 / 25, .002, .002 / 1e5), (.75, .01, .01, .01 / 1e5)]:
        values = combined_cos(pct, start, middle, end)
        curves.append({"pct": pct, "start": start, "middle": middle, "end": end,
                       "values": [values(pos) for pos in POSITIONS]})
    triangles = [{"T": steps, "lr_max": .004, "values": [slanted(t, steps, .004) for t in range(steps)]}
                 for steps in (2, 5, 10, 19, 29, 60, 109)]
    return {"positions": POSITIONS, "combined_cos": curves, "slanted": triangles}


class Watch(Callback):
    """Writes down the rate and the momentum of each group at each step."""
    order = 61

    def before_fit(self):
        self.seen = []
    def before_step(self):
        self.seen.append([(h["lr"], h["mom"]) for h in self.opt.hypers])


def tiny_learner(folder: str, n_batches: int, **options) -> Learner:
    """A learner of three layer groups over batches of nothing in particular."""
    rows = [(torch.ones(2), torch.zeros(1))] * (4 * n_batches)
    loaders = DataLoaders(DataLoader(rows, bs=4), DataLoader(rows[:4], bs=4), path=folder)
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    options["splitter"] = lambda model: [list(layer.parameters()) for layer in model]
    return Learner(loaders, model, nn.MSELoss(), **options)


def steps() -> dict:
    """(lr, mom) of each group at each step of real runs of 7 batches an epoch."""
    runs = [("fit", [1], {"lr": .01}, {}),
            ("fit_one_cycle", [2, .01], {}, {}),
            ("fit_one_cycle", [2, .01], {}, {"moms": [.8, .7, .8]}),
            ("fit_one_cycle", [1, slice(1e-4, 1e-2)], {"pct_start": .3, "div": 5.}, {}),
            ("fit_one_cycle", [3, slice(.01)], {"start_epoch": 1}, {}),
            ("fit_flat_cos", [2, .01], {}, {}),
            ("fit_sgdr", [2, 1, .01], {}, {}),
            ("fine_tune", [2], {}, {}),
            ("lr_find", [], {"num_it": 20, "stop_div": False, "show_plot": False, "suggest_funcs": None}, {})]
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        for method, args, options, settings in runs:
            watch, phases = Watch(), []
            learn = tiny_learner(folder, 7, cbs=watch, **settings)
            watch.after_fit = lambda watch=watch, phases=phases: phases.append(watch.seen)
            with learn.no_bar(), learn.no_logging():
                getattr(learn, method)(*args, **options)
            cases.append({"method": method, "args": [named(a) for a in args], "options": options,
                          "settings": settings, "phases": [compact(seen) for seen in phases]})
    return {"batches_per_epoch": 7, "groups": 3, "runs": cases}


def compact(seen: list) -> dict:
    """Rates as (steps, groups), or (steps,) where all groups agree; momenta as (steps,)."""
    lrs = [[lr for lr, _ in row] for row in seen]
    if all(len(set(row)) == 1 for row in lrs):
        lrs = [row[0] for row in lrs]
    return {"lr": lrs, "mom": [row[0][1] for row in seen]}


def named(value):
    """A slice as JSON: {"slice": [start, stop]}."""
    return {"slice": [value.start, value.stop]} if isinstance(value, slice) else value


def slices() -> dict:
    """The rate of each group for a number, a slice and a list."""
    values = [.01, slice(.01), slice(1e-4, 1e-2), slice(1e-2 / 2.6**4, 1e-2), slice(1e-3, 1e-3),
              slice(1e-2, 1e-4)]
    cases = []
    for n in (1, 2, 3, 4, 5):
        for value in [*values, [10.**-i for i in range(n)]]:
            if n == 1 and isinstance(value, slice) and value.start:
                continue    # fastai divides by zero
            opt = Optimizer([[nn.Parameter(torch.zeros(1))] for _ in range(n)], [], lr=0.)
            opt.set_hyper("lr", value)
            cases.append({"n_groups": n, "value": named(value), "lrs": [h["lr"] for h in opt.hypers]})
    return {"cases": cases}


START = [torch.tensor(p) for p in ([.496, .768, -.912], [-.368, .307])]
MOVING = {"lr": [.001 * i for i in range(1, 15)], "mom": [.95 - .01 * i for i in range(14)]}


def trajectory(make, changes: dict, start: list, grads: list) -> list:
    """Groups of one parameter each after each step of an optimizer with given gradients."""
    params, path = [[nn.Parameter(p.clone())] for p in start], []
    opt = make(params)
    for i, row in enumerate(grads):
        for name, values in changes.items():
            opt.set_hyper(name, values[i])
        for (p,), grad in zip(params, row, strict=True):
            p.grad = grad.clone()
        opt.step()
        path.append([p.detach().clone() for (p,) in params])
    return path


def adam() -> dict:
    """Two groups of parameters after each of ten steps with given gradients, under several settings."""
    gen = torch.Generator().manual_seed(0)
    start = [((torch.rand(n, generator=gen) - .5) * 1000).round() / 1000 for n in (3, 2)]
    grads = [[(torch.randn(n, generator=gen) * 1000).round() / 1000 for n in (3, 2)] for _ in range(10)]
    moving = {"lr": [.001 * i for i in range(1, 11)], "mom": [.95 - .01 * i for i in range(10)]}
    odd = {"lr": .01, "mom": .7, "sqr_mom": .95, "eps": 1e-3}
    runs, cases = [], [({"lr": .01}, {}), ({"lr": .01, "wd": 0.}, {}), ({"lr": .01, "wd": .1}, {}), (odd, {}),
                       ({"lr": slice(.001, .01)}, {}), ({"lr": .01}, moving), ({"lr": .01, "wd": 0.}, moving)]
    for settings, changes in cases:
        path = trajectory(lambda params: Adam(params, **settings), changes, start, grads)  # noqa: B023
        settings = {name: named(value) for name, value in settings.items()}
        runs.append({"settings": settings, "per_step": changes, "path": path})
    defaults = dict(Adam([nn.Parameter(torch.zeros(1))], .1).hypers[0])
    return {"start": start, "grads": grads, "runs": runs, "hypers": defaults}


def optimizers() -> dict:
    """The same for the other optimizers, fourteen steps each: RAdam begins to divide in the sixth."""
    gen, runs = torch.Generator().manual_seed(1), []
    grads = [[(torch.randn(n, generator=gen) * 1000).round() / 1000 for n in (3, 2)] for _ in range(14)]
    l2, rates = {"lr": .01, "wd": .1, "decouple_wd": False}, {"lr": slice(.001, .01)}
    cases = {SGD: [{"mom": .9}, {"mom": .9, "wd": .1}], RMSProp: [{"mom": .9}, {"sqr_mom": .9}],
             RAdam: [{"beta": 5.}, {"eps": 1e-3, "sqr_mom": .95}], QHAdam: [{"nu_1": .5, "nu_2": .8}],
             Larc: [{"mom": 0.}, {"clip": False, "wd": .1}, {"trust_coeff": 1.}],
             Lamb: [{"mom": .7, "eps": 1e-3}], ranger: [{"k": 4, "alpha": .3}]}
    for make, extra in cases.items():
        settings = [{"lr": .01}, {"lr": .01, "wd": .1}, *({"lr": .01, **e} for e in extra), rates]
        settings += [] if make is ranger else [l2]
        for values, changes in [*((v, {}) for v in settings), ({"lr": .01}, MOVING)]:
            path = trajectory(lambda params: make(params, **values), changes, START, grads)  # noqa: B023
            runs.append({"name": make.__name__, "settings": {name: named(v) for name, v in values.items()},
                         "per_step": list(changes), "path": [path[i] for i in (0, 1, 5, 6, 13)]})
    for k, alpha in ((6, .5), (5, .8)):
        path = trajectory(lambda params: Lookahead(SGD(params, .1, mom=.9), k, alpha), {}, START, grads)  # noqa: B023
        runs.append({"name": "Lookahead", "settings": {"k": k, "alpha": alpha}, "per_step": [],
                     "path": [path[i] for i in (0, 1, 5, 6, 13)]})
    hypers = {make.__name__: dict(make([nn.Parameter(torch.zeros(1))], .1).hypers[0]) for make in cases}
    return {"start": START, "grads": grads, "moving": MOVING, "steps": [0, 1, 5, 6, 13], "runs": runs, "hypers": hypers}


def lr_find() -> dict:
    """The suggestions for given rates and losses, cut as the finder cuts them."""
    n, gen, cases = 100, torch.Generator().manual_seed(9), []
    lrs = [1e-7 * 1e8 ** (i / n) for i in range(n)]
    noise = torch.randn(n, generator=gen).tolist()
    bowl = [3 - 2 / (1 + math.exp(-(math.log10(lr) + 3) * 3)) + 20 * lr**2 for lr in lrs]
    curves = {"bowl": bowl, "noisy_bowl": [b + .05 * e for b, e in zip(bowl, noise, strict=True)],
              "falling": [3 - .0002 * i * i for i in range(n)],
              "rising": [1 + .0005 * i * i for i in range(n)],
              "flat": [2.] * n, "late_bowl": [2 + (i - 80) ** 2 / 900 for i in range(n)],
              "diverging_early": [2 - .0003 * i * i if i < 40 else 2 + .3 * (i - 40) for i in range(n)]}
    for name, losses in curves.items():
        xs, ys = torch.tensor(lrs[10:-5]), torch.tensor(losses[10:-5])
        found = {f.__name__: f(xs, ys, n)[0] for f in (valley, minimum, steep, slide)}
        cases.append({"name": name, "losses": ys, "suggestions": found})
    return {"lrs": torch.tensor(lrs[10:-5]), "cases": cases}
