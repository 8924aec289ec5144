"""Ctrl-C wherever Python lets it in, and threads that ask and train at once: nothing stays behind or is mixed up."""

import signal
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import torch
from faults import AtLine, tally
from learner_toys import classifier, same, state, text_dls

from ulmfit_easy.all import (
    CheckpointCallback,
    CSVLogger,
    GradientAccumulation,
    MixedPrecision,
    SaveModelCallback,
    TerminateOnNaNCallback,
    no_random,
)
from ulmfit_easy.data.random_state import random_state
from ulmfit_easy.learner.callbacks.averaging import NTASGD
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
    "show_results": lambda learn: learn.show_results(),
    "summary": lambda learn: learn.summary(),
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
            "blocks of autocast": blocks_of_autocast(),
            "hooks": [len(module._forward_hooks) for module in learn.model.modules()],
            "handlers": [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)],
            "turns": [dict(FITS.held), dict(learn.turn.held)], "left": [p.grad for p in learn.model.parameters()],
            "forward": [name for m in learn.model.modules() for name in vars(m) if name == "forward"]}


def blocks_of_autocast():
    torch.autocast_increment_nesting()
    return torch.autocast_decrement_nesting()


def put_right(before):
    """So that the next line is not blamed for this one."""
    FITS.held.clear()
    torch.set_grad_enabled(True)
    torch.set_autocast_enabled("cpu", False)
    while blocks_of_autocast() > 0:
        torch.autocast_decrement_nesting()
    FITS.held.clear()
    for s, handler in zip((signal.SIGINT, signal.SIGTERM), before["handlers"], strict=True):
        signal.signal(s, handler)


def interrupted(make, call, step, changes=False):
    """A call under a Ctrl-C at each `step`-th of its moments, see `AtLine`, the first and last time that each comes.

    Gives how many there were, and what stayed behind at which line.
    """
    learn = make()
    call(learn)
    with AtLine() as all_lines:
        call(learn)
    lost, ks = [], all_lines.first_and_last()[::step]
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
            lost.append((k, line.places[-1], wrong))
            put_right(before)
            learn = make()
            call(learn)
    return len(ks), lost


@pytest.mark.parametrize("step", [499, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [*CHANGES, *QUESTIONS])
def test_ctrl_c_at_any_moment_leaves_nothing_behind(name, step, tmp_path):
    call = CHANGES.get(name) or QUESTIONS[name]
    dls = text_dls(n=12, bs=16, seq_len=72)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tried, lost = interrupted(lambda: classifier(dls, path=tmp_path), call, step, changes=name in CHANGES)
    print(*lost, sep="\n")
    tally("R11", name, tried, len(lost), "moments", "left something")


@pytest.mark.parametrize("n", [24, pytest.param(400, marks=pytest.mark.slow)])
def test_threads_get_the_answers_of_one_thread(n, tmp_path):
    """Questions of several kinds from four threads, and fits of one seed from three."""
    dls, before = text_dls(n=24), sys.getswitchinterval()
    learn = classifier(dls, path=tmp_path)
    questions = [lambda: learn.predict(["a b", "the film"])[1].probs, lambda: learn.get_preds()[0],
                 lambda: torch.tensor(learn.validate())]
    want, wrong = [ask() for ask in questions], 0
    try:
        sys.setswitchinterval(2e-5)
        with ThreadPoolExecutor(4) as pool:
            learn.model.train()
            found = [(i % 3, pool.submit(questions[i % 3])) for i in range(n)]
            wrong += sum(not torch.equal(answer.result(), want[i]) for i, answer in found)
            weights = [fit.result() for fit in [pool.submit(seeded_fit, dls) for _ in range(max(3, n // 40))]]
    finally:
        sys.setswitchinterval(before)
    differ = sum(not same(w, weights[0]) for w in [*weights, seeded_fit(dls)])
    tally("R12", "questions of three kinds from four threads", n, wrong, "asked", "with another answer")
    tally("R12", "fits of one seed from four threads, to the bit", len(weights), differ, "fits", "different")


def seeded_fit(dls):
    with no_random(3):
        learn = classifier(dls)
        learn.dls.train.load_state_dict({"seed": 0, "epoch": 0})
        learn.fit(1, 1e-2)
        return state(learn.model)
