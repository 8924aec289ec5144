"""NT-ASGD: when averaging begins, what is averaged, and who sees which weights."""

from contextlib import nullcontext
from functools import partial

import pytest
import torch
from checkpoint_toys import fresh, outcome
from learner_toys import At, raises, regression, same, state

from ulmfit_easy.fastai.optimizers import Lookahead
from ulmfit_easy.learner.callbacks.averaging import NTASGD
from ulmfit_easy.learner.callbacks.checkpoint import CheckpointCallback
from ulmfit_easy.learner.callbacks.tracking import EarlyStoppingCallback, SaveModelCallback
from ulmfit_easy.learner.events import Callback
from ulmfit_easy.learner.optim.optimizer import SGD


class Losses(Callback):
    """Puts the validation losses of a script in the place of the real ones, and keeps the weights of every step."""

    order = 51

    def __init__(self, losses):
        self.script, self.steps, self.validated, self.trained = losses, [], [], []

    def after_epoch(self):
        self.recorder.log[2] = self.script[self.epoch]

    def before_train(self):
        self.trained.append(state(self.model))

    def after_step(self):
        self.steps.append(state(self.model))

    def after_validate(self):
        self.validated.append(state(self.model))


def fit(losses, n=2, cbs=(), path="."):
    watch, averaging = Losses(losses), NTASGD(n)
    learn = regression(opt_func=SGD, cbs=[averaging, watch, *cbs], path=path)
    learn.fit(len(losses), 0.1)
    return learn, watch, averaging


def mean(states):
    return {name: torch.stack([s[name] for s in states]).mean(0) for name in states[0]}


def begin(losses, n):
    """The epoch in which averaging begins, by the paper's words, or None."""
    return next((t + 1 for t, v in enumerate(losses) if t > n and v > min(losses[: t - n])), None)


@pytest.mark.parametrize(("losses", "n"), [
    ([5, 4, 3, 2, 1, 0], 2), ([5, 4, 3, 6, 2, 1], 2), ([1, 2, 3, 4, 5, 6], 2), ([3, 2, 2.5, 2.6, 2.7, 3], 2),
    ([1, 2, 3, 4], 1), ([3, 2, 3, 3, 3, 3, 3, 3], 5), ([1, 2, 1], 0)])
def test_the_averages_are_those_of_all_steps_since_the_trigger(losses, n):
    learn, watch, _ = fit(losses, n)
    first = begin(losses, n)
    per_epoch = len(watch.steps) // len(losses)
    end = watch.steps[-1:] if first in (None, len(losses)) else watch.steps[first * per_epoch :]
    for name, p in learn.model.state_dict().items():
        torch.testing.assert_close(p, mean(end)[name])


def test_validation_has_the_averages_and_training_its_own_weights():
    _, watch, _ = fit([1, 2, 3, 4, 5])
    for epoch in range(4):
        assert same(watch.trained[epoch + 1], watch.steps[4 * epoch + 3])
    assert same(watch.validated[3], watch.steps[15]) and not same(watch.validated[4], watch.steps[19])


def test_the_epochs_that_are_saved_have_the_averages(tmp_path):
    learn, watch, _ = fit([1, 2, 3, 4, 5], cbs=[SaveModelCallback(every_epoch=True)], path=tmp_path)
    for epoch in range(5):
        learn.load(f"model_{epoch}", with_opt=False)
        assert same(state(learn.model), watch.validated[epoch])


@pytest.mark.parametrize("event", ["after_epoch", "after_pred"])
def test_a_question_while_the_averages_are_in_the_model_leaves_them_there(tmp_path, event):
    def ask():
        with asking.learn.removed_cbs([Losses, At]):
            asking.learn.validate()

    asking, plain = At(event, ask), fit([1, 2, 3, 4, 5])[1]
    asking.order, asking.run_train = 58, False
    learn, watch, _ = fit([1, 2, 3, 4, 5], cbs=[asking, SaveModelCallback(every_epoch=True)], path=tmp_path)
    for epoch in range(5):
        assert same(watch.validated[epoch], plain.validated[epoch])
        learn.load(f"model_{epoch}", with_opt=False)
        assert same(state(learn.model), plain.validated[epoch])


def test_lookahead_begins_a_new_round_from_the_averages():
    learn = regression(opt_func=partial(Lookahead, opt_func=SGD, k=100), cbs=[NTASGD(2), Losses([1, 2, 3, 4, 5])])
    learn.fit(3, 0.1)
    assert learn.opt.count == 12  # no averages yet: the round goes on
    learn.fit(5, 0.1)
    assert learn.opt.count == 0 and not learn.opt.slow


def test_a_validation_in_mid_training_changes_nothing():
    look = At("after_batch", lambda: None)
    plain = fit([1, 2, 3, 4, 5], cbs=[look])[0]
    learn = regression(opt_func=SGD, cbs=[NTASGD(2), Losses([1, 2, 3, 4, 5])])
    learn.add_cb(At("after_batch", learn.validate, at=34))  # of training and validation: in the last epoch
    learn.fit(5, 0.1)
    assert same(state(plain.model), state(learn.model))


def test_a_fit_that_stops_early_ends_with_the_averages():
    learn, watch, _ = fit([1, 2, 3, 4, 5, 6], cbs=[EarlyStoppingCallback(patience=4)])
    assert len(watch.validated) == 5
    assert same(state(learn.model), watch.validated[-1])


def test_each_fit_begins_anew_and_an_interrupted_one_leaves_no_averages():
    learn, _, averaging = fit([1, 2, 3, 4, 5])
    assert averaging.averages is None and not averaging.losses
    learn.add_cb(At("before_epoch", raises(KeyboardInterrupt()), at=4))
    with pytest.raises(KeyboardInterrupt):
        learn.fit(5, 0.1)
    assert averaging.averages is None and not averaging.count


@pytest.mark.parametrize("at", range(16))
def test_ctrl_c_while_weights_and_averages_change_places_mixes_neither(monkeypatch, at):
    """At each tensor that a change of places reads or writes, in the 16 steps of a fit that ends with averages."""
    steps, weights, swap = [], NTASGD._weights, NTASGD._swap

    def one_by_one(self):
        for pair in weights(self):
            steps.append(pair)
            if len(steps) == at + 1:
                raise KeyboardInterrupt
            yield pair

    def swapping(self, averaged):
        monkeypatch.setattr(NTASGD, "_weights", one_by_one)
        try:
            swap(self, averaged)
        finally:
            monkeypatch.setattr(NTASGD, "_weights", weights)

    monkeypatch.setattr(NTASGD, "_swap", swapping)
    watch, averaging = Losses([1, 2, 3]), NTASGD(0)
    learn = regression(opt_func=SGD, cbs=[averaging, watch])
    with pytest.raises(KeyboardInterrupt):
        learn.fit(3, 0.1)
    assert same(state(learn.model), watch.steps[-1]) and averaging.own is None


def test_a_fit_that_is_stopped_while_it_averages_goes_on(tmp_path):
    def run(path, seed=0, at=None):
        learn = fresh("plain", path, seed, opt_func=SGD)
        cbs = [NTASGD(1), CheckpointCallback("run", every=1, resume=True)]
        learn.add_cb(At("after_epoch", lambda: learn.recorder.log.__setitem__(2, 1.0 + learn.epoch)))
        learn.cbs[-1].order = 51
        stop = [] if at is None else [At("after_backward", raises(InterruptedError()), at)]
        with pytest.raises(InterruptedError) if stop else nullcontext():
            learn.fit(5, 0.1, cbs=[*cbs, *stop])
        return outcome(learn)

    n = len(fresh("plain", tmp_path).dls.train)
    unbroken = run(tmp_path / "whole")
    run(tmp_path / "stopped", at=3 * n + 1)
    run(tmp_path / "stopped", seed=1, at=n)
    assert run(tmp_path / "stopped", seed=2) == unbroken
    assert run(tmp_path / "stopped", seed=3) == unbroken  # over: it gives back its end
