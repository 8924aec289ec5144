"""The shapes of the schedules, and the fits that use them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_toys import At, lm, regression

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.fastai.rates import SchedLin, SchedNo, SchedPoly
from ulmfit_easy.learner.optim.optimizer import discriminative, expand_lr
from ulmfit_easy.learner.optim.schedule import (
    ParamScheduler,
    SchedCos,
    SchedExp,
    combine_scheds,
    combined_cos,
    slanted_triangular,
)


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


def rates_of(learn, method, *args, more=(), **kwargs):
    """What torch's groups had at each step."""
    seen = []
    note = At("after_step", lambda: seen.append([g["lr"] for g in learn.opt.opt.param_groups[::2]]))
    getattr(learn, method)(*args, cbs=[note, *more], **kwargs)
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


@pytest.mark.parametrize(("sched", "at_quarter"), [
    (SchedNo(2, 8), 2), (SchedLin(2, 8), 3.5), (SchedCos(2, 8), 2 + 6 * (1 - np.cos(np.pi / 4)) / 2),
    (SchedExp(2, 8), 2 * 4**0.25), (SchedPoly(2, 8, 2), 2 + 6 / 16)])
def test_curves_begin_and_end_where_they_say(sched, at_quarter):
    end = 2 if sched(1) == 2 else 8
    assert [sched(p) for p in (0, 0.25, 1)] == pytest.approx([2, at_quarter, end])


def test_curves_take_a_value_for_each_group():
    start, end = np.array([1.0, 2.0]), np.array([4.0, 8.0])
    for make in (SchedLin, SchedCos, SchedExp):
        assert make(start, end)(0.3) == pytest.approx([make(a, b)(0.3) for a, b in zip(start, end, strict=True)])


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.data())
@settings(deadline=None, max_examples=100)
def test_combined_curves_each_see_their_share_from_0_to_1(parts, data):
    seen = []
    curves = [lambda pos, i=i: seen.append((i, pos)) for i in range(len(parts))]
    combined, total = combine_scheds([n / sum(parts) for n in parts], curves), sum(parts)
    step = data.draw(st.integers(0, total - 1))
    combined(step / total)
    i, pos = seen[0]
    begin = sum(parts[:i])
    assert begin <= step < begin + parts[i] and pos == pytest.approx((step - begin) / parts[i])
    combined(1.0)
    assert seen[1] == (len(parts) - 1, pytest.approx(1))


@pytest.mark.parametrize(("pcts", "n"), [([0.5, 0.4], 2), ([0.5, 0.5], 3), ([1.5, -0.5], 2), ([], 0)])
def test_shares_that_are_not_shares_are_refused(pcts, n):
    with pytest.raises(ArgumentError, match="E60"):
        combine_scheds(pcts, [SchedNo(1, 1)] * n)


def test_a_scheduler_takes_any_curves():
    learn = lm()
    curve = combine_scheds([0.5, 0.5], [SchedLin(0.0, 1e-2), SchedPoly(1e-2, 0.0, 3)])
    rates = rates_of(learn, "fit", 2, more=[ParamScheduler({"lr": curve, "mom": SchedExp(0.9, 0.8)})])
    assert rates == pytest.approx(np.array([[curve(t / len(rates))] * rates.shape[1] for t in range(len(rates))]))
    assert learn.recorder.hps["mom"][0] == 0.9 and learn.recorder.hps["mom"][-1] > 0.8


@pytest.mark.parametrize(("n_cycles", "cycle_len", "cycle_mult", "lengths"), [
    (3, 1, 2, [1, 2, 4]), (2, 2, 1, [2, 2]), (1, 1, 2, [1]), (2, 1, 3, [1, 3])])
def test_sgdr_restarts_at_the_top_of_each_longer_cycle(n_cycles, cycle_len, cycle_mult, lengths):
    learn = regression()
    rates = rates_of(learn, "fit_sgdr", n_cycles, cycle_len, 0.1, cycle_mult)[:, 0]
    begins = np.cumsum([0, *lengths])[:-1] * 4  # 4 batches an epoch
    assert len(rates) == 4 * sum(lengths) and rates[begins] == pytest.approx([0.1] * n_cycles)
    assert (np.diff(rates) > 0).sum() == n_cycles - 1 and rates.min() > 0
    for begin, n in zip(begins, lengths, strict=True):
        assert rates[begin:begin + 4 * n] == pytest.approx([0.05 * (1 + np.cos(np.pi * t / (4 * n)))
                                                            for t in range(4 * n)])


@pytest.mark.parametrize("wrong", [(0, 1), (1, 0), (2, 0.5), (2, 1, None, 0)])
def test_cycles_that_cannot_be_are_refused(wrong):
    with pytest.raises(ArgumentError, match="E60"):
        regression().fit_sgdr(*wrong)


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
