"""The learning-rate finder: what it finds, and that it leaves nothing changed."""

import copy
import inspect
import math
import operator
import random
from contextlib import nullcontext
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_toys import At, classifier, lm, raises, regression, same, state, text_dls

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.fastai.loggers import CSVLogger
from ulmfit_easy.fastai.rates import SuggestionMethod, slide, steep
from ulmfit_easy.learner.callbacks.finite import TerminateOnNaNCallback
from ulmfit_easy.learner.callbacks.tracking import EarlyStoppingCallback, SaveModelCallback
from ulmfit_easy.learner.events import CancelBatchException
from ulmfit_easy.learner.lr_find import minimum, valley
from ulmfit_easy.recipes import base

ALL = valley, slide, minimum, steep


def everything(learn) -> dict:
    """All that a look for a rate must not change."""
    loader = learn.dls.train
    opt = None if learn.opt is None else copy.deepcopy(learn.opt.state_dict())
    return {"opt": opt, "frozen": [p.requires_grad for p in learn.model.parameters()],
            "torch groups": None if opt is None else [
                {k: v for k, v in g.items() if k != "params"} for g in learn.opt.opt.param_groups],
            "loader": loader.state_dict() if hasattr(loader, "state_dict") else None,
            "python": random.getstate(), "numpy": np.random.get_state()[1].tolist(),
            "torch": torch.get_rng_state().tolist(), "cbs": list(learn.cbs), "mode": learn.model.training}


def equal(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    return a == b


MAKE = {"plain": lambda: regression(shuffle=True), "lm": lambda: lm(text_dls(is_lm=True, n=20)),
        "classifier": lambda: classifier(text_dls(n=40))}
ENDINGS = {
    "runs to its end": ({}, None),
    "diverges": ({"start_lr": 1e-2, "end_lr": 1e9}, None),
    "an error at the very first step": ({}, (OSError, 0)),
    "an error later": ({}, (ValueError, 4)),
    "Ctrl-C": ({}, (KeyboardInterrupt, 4)),
}


@cache
def fitted(kind, ending=None, before=False):
    """The losses, values and weights of a fit: after another one, and after a look that ends so, if asked for."""
    learn = MAKE[kind]()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    if before:
        learn.freeze_to(-2)
        learn.fit_one_cycle(1, 1e-2)
    if ending:
        was, weights, (options, error) = everything(learn), state(learn.model), ENDINGS[ending]
        cbs = [At("after_backward", raises(error[0]()), at=error[1])] if error else []
        with learn.added_cbs(cbs), pytest.raises(error[0]) if error else nullcontext():
            learn.lr_find(**{"num_it": 20, **options}, show_plot=False)
        assert equal(everything(learn), was) and same(state(learn.model), weights)
    learn.fit_one_cycle(1, 1e-2)
    return learn.recorder.losses, learn.recorder.values, state(learn.model)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("kind", MAKE)
def test_lr_find_leaves_everything_as_it_was_to_the_bit(kind, before, ending):
    (losses, values, weights), (losses2, values2, weights2) = (fitted(kind, each, before) for each in (ending, None))
    assert losses == losses2 and values == values2 and same(weights, weights2)


def test_a_fit_after_a_fit_and_lr_find_uses_the_rate_it_is_given():
    learn = regression()
    learn.fit(1, 1e-3)
    learn.lr_find(num_it=5, show_plot=False)
    before = state(learn.model)
    learn.fit(1, 0.0)
    assert same(before, state(learn.model))


def test_a_few_steps_are_all_looked_at_and_told():
    learn = regression()
    with pytest.warns(UserWarning, match="E504"):
        found = learn.lr_find(num_it=7, stop_div=False, show_plot=False, suggest_funcs=lambda lrs, losses: len(losses))
    assert found == (7,)


def test_the_rates_rise_exponentially_from_start_to_end():
    learn = regression()
    learn.lr_find(1e-6, 1e-2, num_it=21, stop_div=False, show_plot=False)
    assert learn.recorder.lrs == pytest.approx(np.geomspace(1e-6, 1e-2, 21, endpoint=False))


def test_it_stops_when_the_loss_diverges_and_cuts_what_is_not_finite():
    learn = regression()
    learn.lr_find(1e-3, 1e12, num_it=60, show_plot=False)
    assert 5 < len(learn.recorder.lrs) < 60 and np.isfinite(learn.recorder.losses).all()


def test_suggestions_come_under_the_names_of_their_functions():
    found = regression().lr_find(show_plot=False, suggest_funcs=ALL)
    assert type(found).__name__ == "SuggestedLRs" and found._fields == ("valley", "slide", "minimum", "steep")
    assert all(1e-7 < lr < 10 for lr in found)
    assert found == regression().lr_find(show_plot=False, suggest_funcs=(
        SuggestionMethod.Valley, SuggestionMethod.Slide, SuggestionMethod.Minimum, SuggestionMethod.Steep))
    assert regression().lr_find(num_it=8, show_plot=False, suggest_funcs=None) == ()


def test_suggestions_on_curves_that_we_know():
    lrs = np.geomspace(1e-6, 1, 61)
    losses = np.concatenate([np.full(20, 5.0), np.linspace(5, 1, 30), np.linspace(2, 9, 11)])
    assert minimum(lrs, losses) == pytest.approx(lrs[49] / 10)
    assert lrs[19] < steep(lrs, losses) < lrs[49]
    assert lrs[25] < valley(lrs, losses) < lrs[40]
    assert slide(lrs, losses) == lrs[34]  # one step to the left both ends of the window lie on the same fall
    assert slide(lrs, losses, lr_diff=10, adjust_value=0.5) == lrs[39] / 2


@given(st.lists(st.floats(0, 100), min_size=2, max_size=40))
@settings(deadline=None, max_examples=60)
def test_any_curve_of_two_points_or_more_gives_rates_within_it(losses):
    lrs = np.geomspace(1e-7, 10, len(losses))
    for suggest in (valley, slide, steep):
        assert lrs[0] <= suggest(lrs, losses) <= lrs[-1]
    assert lrs[0] <= minimum(lrs, losses) * 10 <= lrs[-1] * (1 + 1e-9)


@pytest.mark.parametrize("num_it", [2, 4, 6])
def test_few_points_give_a_warning_and_still_a_rate(num_it):
    with pytest.warns(UserWarning, match="E504"):
        found = regression().lr_find(num_it=num_it, show_plot=False, suggest_funcs=ALL)
    assert all(0 < lr <= 10 for lr in found)


@pytest.mark.parametrize("at", [0, 1, 2, 3, 9])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_becomes_no_number_ends_the_search_with_a_rate(at, value):
    pytest.importorskip("matplotlib").use("Agg")
    learn = regression(n=16, bs=4)
    spoil = At("after_loss", lambda: setattr(learn, "loss", torch.tensor(value)), at)
    with learn.added_cbs(spoil), pytest.warns(UserWarning, match="E504"):
        found = learn.lr_find(suggest_funcs=ALL)
    assert all(1e-8 <= lr <= 10 for lr in found) and len(learn.recorder.losses) == at
    assert at or set(found) == {1e-7}


def test_cancelled_batches_and_functions_without_a_name_do_not_break_it():
    learn = regression(n=80)
    with learn.added_cbs(At("before_batch", raises(CancelBatchException()), at=0)):
        found = learn.lr_find(num_it=20, show_plot=False, suggest_funcs=[lambda lrs, losses: lrs[0], valley])
    assert found._fields == ("_0", "valley") and all(lr > 0 for lr in found) and len(learn.recorder.losses) == 19


def test_a_corpus_of_one_short_batch_is_enough():
    learn = lm(text_dls(is_lm=True, n=6, bs=1, seq_len=300))
    assert len(learn.dls.train) == 1
    with pytest.warns(UserWarning, match="E504"):
        assert all(lr > 0 for lr in learn.lr_find(num_it=5, show_plot=False, suggest_funcs=ALL))


def test_one_batch_an_epoch_is_enough():
    learn = regression(n=8)
    assert learn.lr_find(num_it=30, show_plot=False).valley > 0 and len(learn.recorder.lrs) <= 30


@pytest.mark.parametrize("wrong", [{"start_lr": 0}, {"start_lr": 1, "end_lr": 0.1}, {"num_it": 1}])
def test_arguments_that_cannot_work_are_refused(wrong):
    with pytest.raises(ArgumentError, match="E60"):
        regression().lr_find(**wrong, show_plot=False)


def test_callbacks_made_for_real_fits_stay_out_of_it(tmp_path):
    learn = regression(path=tmp_path, cbs=[
        CSVLogger(), TerminateOnNaNCallback(), EarlyStoppingCallback(), SaveModelCallback(comp=operator.lt)])
    learn.fit(2, 1e-2)
    log, best = learn.csv_logger.read_log(), (tmp_path / "models/model.safetensors").read_bytes()
    learn.lr_find(1e-3, 1e12, num_it=60, show_plot=False)
    assert learn.csv_logger.read_log().equals(log)
    assert (tmp_path / "models/model.safetensors").read_bytes() == best


def test_the_estimator_takes_seeds_and_random_state_from_where_they_are_defined():
    for function in (base.no_random, base.turn_to_fit):
        assert f"from {function.__module__} import" in inspect.getsource(base)
    assert "learner.lr_find" not in inspect.getsource(base)
