"""The shapes of the schedules, and the fits that use them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_toys import At, lm, regression

from ulmfit_easy.learner.optim import discriminative, expand_lr
from ulmfit_easy.learner.schedule import combined_cos, slanted_triangular


def stlr(T, **kwargs):
    return np.array([slanted_triangular(t, T, 1.0, **kwargs) for t in range(T)])


def test_stlr_is_positive_and_rises_then_falls_for_every_length():
    for T in [*range(1, 400), *range(400, 5001, 23), 4999, 5000]:
        rates = stlr(T)
        peak = max(1, T // 10)
        assert rates.min() >= 1 / 32 - 1e-12 and rates[0] == pytest.approx(1 / 32)
        if T > 1:
            assert rates.argmax() == peak and rates[peak] == 1.0
        assert (np.diff(rates[: peak + 1]) > 0).all() and (np.diff(rates[peak:]) < 0).all()


@given(st.integers(1, 5000), st.floats(0.01, 1), st.floats(1, 100))
@settings(deadline=None, max_examples=60)
def test_stlr_stays_between_its_bounds(T, cut_frac, ratio):
    rates = stlr(T, cut_frac=cut_frac, ratio=ratio)
    assert rates.min() >= 1 / ratio - 1e-9 and rates.max() <= 1 + 1e-9


def test_stlr_is_the_papers_formula_where_that_is_safe():
    T, cut = 1000, 100
    t = np.arange(T)
    p = np.where(t < cut, t / cut, 1 - (t - cut) / (cut * (1 / 0.1 - 1)))
    assert stlr(T) == pytest.approx((1 + p * 31) / 32)


def rates_of(learn, method, *args, **kwargs):
    """What torch's groups had at each step."""
    seen = []
    note = At("after_step", lambda: seen.append([g["lr"] for g in learn.opt.opt.param_groups[::2]]))
    getattr(learn, method)(*args, cbs=note, **kwargs)
    return np.array(seen)  # (steps, groups)


def test_fit_stlr_scales_each_groups_rates():
    learn = lm()
    rates = rates_of(learn, "fit_stlr", 2, discriminative(1e-2))
    T = 2 * len(learn.dls.train)
    expected = np.outer(stlr(T), expand_lr(discriminative(1e-2), rates.shape[1]))
    assert rates == pytest.approx(expected)


def test_one_cycle_starts_peaks_and_ends_where_it_should():
    learn = regression(n=400, bs=4)
    rates = rates_of(learn, "fit_one_cycle", 1, 0.1)[:, 0]
    assert rates[0] == pytest.approx(0.1 / 25) and rates.max() == pytest.approx(0.1)
    assert rates.argmax() == 25 and rates[-1] < 1e-4
    moms = learn.recorder.hps["mom"]
    assert moms[0] == pytest.approx(0.95) and min(moms) == pytest.approx(0.85) and moms[-1] == pytest.approx(0.95, 1e-3)
    assert learn.recorder.hps["lr"] == pytest.approx(rates) and learn.recorder.lrs == pytest.approx(rates)


def test_flat_cos_is_flat_then_falls():
    rates = rates_of(regression(n=400, bs=4), "fit_flat_cos", 1, 0.1)[:, 0]
    assert (rates[:76] == 0.1).all() and (np.diff(rates[75:]) < 0).all() and rates[-1] < 1e-3


def test_combined_cosines_meet():
    curve = combined_cos(0.25, 0.0, 1.0, 0.5)
    assert [curve(p) for p in (0, 0.125, 0.25, 1)] == pytest.approx([0, 0.5, 1, 0.5])
    assert combined_cos(0, 0.0, 1.0, 0.5)(0) == 1 and combined_cos(1, 0.0, 1.0, 0.5)(1) == 1


@pytest.mark.parametrize("method", ["fit_one_cycle", "fit_flat_cos", "fit_stlr"])
def test_start_epoch_goes_on_where_the_schedule_was(method):
    whole, rest = (rates_of(regression(), method, 4, 0.1, start_epoch=e) for e in (0, 3))
    assert rest == pytest.approx(whole[-len(rest):]) and len(whole) == 4 * len(rest)


def test_fine_tune_trains_the_head_then_all_at_lower_rates():
    learn, calls = lm(), []
    learn.fit_one_cycle = lambda *args, **kwargs: calls.append((learn.opt.frozen_idx, args, kwargs))
    learn.fine_tune(3, 2e-3, freeze_epochs=2)
    last = len(learn.opt.param_groups) - 1
    assert calls == [(last, (2, slice(2e-3)), {"pct_start": 0.99}),
                     (0, (3, slice(1e-5, 1e-3)), {"pct_start": 0.3, "div": 5.0})]
