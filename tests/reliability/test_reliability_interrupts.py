"""Ctrl-C at every line of the library, one after the other: nothing of what was going on stays behind."""

import signal
import warnings
from contextlib import suppress

import pytest
import torch
from faults import AtLine, tally
from learner_toys import classifier, lm, same, state, text_dls

from ulmfit_easy.all import (
    SGD,
    CheckpointCallback,
    CSVLogger,
    GradientAccumulation,
    MixedPrecision,
    SaveModelCallback,
    TerminateOnNaNCallback,
    no_random,
)
from ulmfit_easy.data.random_state import random_state
from ulmfit_easy.learner.averaging import NTASGD
from ulmfit_easy.learner.turns import FITS


def fit(cbs):
    return lambda learn: learn.fit(1, 1e-2, cbs=[cb() for cb in cbs])


CHANGES = {  # what trains: the weights are its own
    "fit": fit([]),
    "fit with a checkpoint": fit([lambda: CheckpointCallback("run", every=1)]),
    "fit that keeps the best": fit([SaveModelCallback, CSVLogger]),
    "fit in parts": fit([lambda: GradientAccumulation(2), TerminateOnNaNCallback, NTASGD]),
    "fit in bfloat16": fit([MixedPrecision]),
    "fit_one_cycle": lambda learn: learn.fit_one_cycle(1, 1e-2),
}
QUESTIONS = {
    "validate": lambda learn: learn.validate(),
    "get_preds": lambda learn: learn.get_preds(with_loss=True),
    "predict": lambda learn: learn.predict("a b"),
    "lr_find": lambda learn: learn.lr_find(num_it=3, show_plot=False),
    "no_random": lambda learn: random_block(learn),
}


def random_block(learn):
    with no_random(1):
        learn.validate()


def surroundings(learn) -> dict:
    """What a call must leave as it was, in the learner and in the process."""
    return {"callbacks": [id(cb) for cb in learn.cbs], "its names": sorted(vars(learn)), "metrics": learn.metrics,
            "recorder": id(learn.recorder), "training": learn.training, "verbose": learn.verbose,
            "gradients": torch.is_grad_enabled(), "autocast": torch.is_autocast_enabled("cpu"),
            "blocks of autocast": blocks_of_autocast(), "hooks": sum(len(m._forward_hooks) for m in learn.model.modules()),
            "handlers": [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)],
            "turns": [FITS.held, learn.turn.held], "left": [p.grad for p in learn.model.parameters()],
            "forward": [name for m in learn.model.modules() for name in vars(m) if name == "forward"]}


def blocks_of_autocast():
    torch.autocast_increment_nesting()
    return torch.autocast_decrement_nesting()


def put_right(before):
    """So that the next line is not blamed for this one."""
    torch.set_grad_enabled(True)
    torch.set_autocast_enabled("cpu", False)
    while blocks_of_autocast():
        torch.autocast_decrement_nesting()
    FITS.held.clear()
    for s, handler in zip((signal.SIGINT, signal.SIGTERM), before["handlers"], strict=True):
        signal.signal(s, handler)


def interrupted(make, call, step, changes=False):
    """A call under a Ctrl-C at each `step`-th line: how many there were, and what stayed behind at which line."""
    learn = make()
    call(learn)
    with AtLine() as all_lines:
        call(learn)
    lost, last = [], range(all_lines.lines - 60, all_lines.lines)
    ks = sorted({*range(1, all_lines.lines, step), *(last if step == 1 else last[::7])})
    for k in ks:
        before, weights, rng = surroundings(learn), state(learn.model), random_state()
        mode = learn.model.training
        with suppress(KeyboardInterrupt), AtLine(k) as line:
            call(learn)
        after = surroundings(learn)
        wrong = [name for name in before if after[name] != before[name]]
        if not changes:
            wrong += [] if same(state(learn.model), weights) else ["weights"]
            wrong += [] if learn.model.training == mode else ["mode"]
            wrong += [] if torch.equal(random_state()["torch"], rng["torch"]) else ["random numbers"]
        if line.fired and wrong:
            lost.append((k, line.place, wrong))
            put_right(before)
            learn = make()
            call(learn)
    return len(ks), lost


@pytest.mark.parametrize("step", [397, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [*CHANGES, *QUESTIONS])
def test_ctrl_c_at_any_line_leaves_nothing_behind(name, step, tmp_path):
    call = CHANGES.get(name) or QUESTIONS[name]
    dls = text_dls(n=12, bs=16, seq_len=72)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tried, lost = interrupted(lambda: classifier(dls, path=tmp_path), call, step, changes=name in CHANGES)
    print(*lost, sep="\n")
    tally("R11", name, tried, len(lost), "lines", "left something")
