"""Layer groups: their rates, their decay, and what freezing does to them."""

import hashlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_toys import classifier, lm, regression
from torch import nn

from ulmfit_easy.errors import ArgumentError, TrainingError
from ulmfit_easy.learner.optim.optimizer import SGD, Adam, discriminative, expand_lr

RATES = st.floats(1e-6, 10)


def two_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def by_layer(model):
    return [list(layer.parameters()) for layer in model]


@given(RATES, st.integers(1, 9))
@settings(deadline=None)
def test_discriminative_rates_fall_by_26_from_the_last_group_down(lr, n):
    rates = expand_lr(discriminative(lr), n)
    assert rates == [lr / 2.6**k for k in range(n - 1, -1, -1)]


def test_the_classifiers_rates_are_those_of_the_paper():
    rates = expand_lr(slice(1e-2 / 2.6**4, 1e-2), 5)
    assert rates == pytest.approx([2.19e-4, 5.69e-4, 1.48e-3, 3.85e-3, 1e-2], rel=2e-3)
    assert rates == pytest.approx(expand_lr(discriminative(1e-2), 5), rel=1e-12)


def test_a_list_gives_each_group_its_rate():
    assert expand_lr([1, 2, 3], 3) == [1, 2, 3] and expand_lr(0.5, 3) == [0.5] * 3


@pytest.mark.parametrize("lr", [[1e-2, 1e-3], slice(0, 1e-2), slice(1e-2, -1), slice(None, None), "1e-2",
                                slice("a", "b"), discriminative("a"), discriminative(0.1, 0), slice([1], 2)])
def test_rates_that_do_not_fit_are_e503(lr):
    with pytest.raises(TrainingError, match="E503"):
        expand_lr(lr, 3)


@pytest.mark.parametrize("lr", [float("nan"), -1e-2, float("inf")])
def test_a_fit_refuses_rates_that_are_no_rates(lr):
    with pytest.raises(TrainingError, match="E503"):
        regression().fit_one_cycle(1, lr)


def test_the_rates_reach_torch():
    model = two_layers()
    opt = Adam(by_layer(model), lr=slice(1e-4, 1e-2), mom=[0.5, 0.6, 0.7])
    rate_of = {id(p): g for g in opt.opt.param_groups for p in g["params"]}
    for group, lr, mom in zip(by_layer(model), expand_lr(slice(1e-4, 1e-2), 3), (0.5, 0.6, 0.7), strict=True):
        assert all(rate_of[id(p)]["lr"] == lr and rate_of[id(p)]["betas"] == (mom, 0.99) for p in group)


def test_the_rates_still_reach_torch_after_a_state_was_loaded():
    opt = Adam(by_layer(two_layers()), lr=1e-3)
    opt.load_state_dict(opt.state_dict())
    opt.set_hyper("lr", 0.5)
    assert {g["lr"] for g in opt.opt.param_groups} == {0.5}


@pytest.mark.parametrize("lr", [[1, 2], torch.ones(4)])
def test_wrong_hypers_are_refused(lr):
    opt = Adam(by_layer(two_layers()), lr=1e-3)
    with pytest.raises(TrainingError, match="E503"):
        opt.set_hyper("lr", lr)
    with pytest.raises(ArgumentError, match="E604"):
        opt.set_hyper("momentum", 0.9)


def test_fit_sets_the_decay_where_it_belongs():
    learn = regression(model=two_layers(), wd=0.2)
    learn.fit(1)
    assert sorted({g["weight_decay"] for g in learn.opt.opt.param_groups if g["params"]}) == [0, 0.2]
    learn.fit(1, wd=0.3)
    assert learn.opt.hypers[0]["wd"] == 0.3


@pytest.mark.parametrize(("make", "reference"), [
    (lambda p: Adam(p, lr=0.05, wd=0.1),
     lambda p: torch.optim.AdamW(p, 0.05, (0.9, 0.99), eps=1e-5, weight_decay=0.1)),
    (lambda p: SGD(p, lr=0.05, mom=0.9, wd=0.1, decouple_wd=False),
     lambda p: torch.optim.SGD(p, 0.05, 0.9, weight_decay=0.1)),
])
def test_the_optimizers_equal_torchs(make, reference):
    ours, theirs = two_layers().double(), two_layers().double()
    a, b = make(by_layer(ours)), reference(theirs.parameters())
    x = torch.randn(20, 8, 3, dtype=torch.float64)
    for batch in x:
        for model, opt in ((ours, a), (theirs, b)):
            model(batch).pow(2).mean().backward()
            opt.step()
            opt.zero_grad()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)  # torch's fused step rounds elsewhere


def hashes(groups):
    """One hash of the weights of each group."""
    return [hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in g)).hexdigest() for g in groups]


@pytest.mark.parametrize("make", [lm, classifier])
def test_after_each_phase_of_gradual_unfreezing_exactly_the_top_groups_changed(make):
    learn = make()
    n = len(learn.splitter(learn.model))
    for top in range(1, n + 1):
        learn.freeze_to(-top)
        before = hashes(learn.opt.param_groups)
        learn.fit_one_cycle(1, discriminative(1e-2))
        changed = [a != b for a, b in zip(before, hashes(learn.opt.param_groups), strict=True)]
        assert changed == [False] * (n - top) + [True] * top
        for i, group in enumerate(learn.opt.param_groups):
            assert all((p in learn.opt.opt.state) == (i >= n - top) for p in group)
    learn.freeze()
    learn.model.train()
    batch = learn.dls.one_batch()
    output = learn.model(*batch[: learn.dls.n_inp])
    learn.loss_func(getattr(output, "logits", output) if make is classifier else output, batch[-1]).backward()
    for i, group in enumerate(learn.opt.param_groups):
        assert all((p.grad is not None) == (i == n - 1) for p in group)


def test_freezing_every_group_is_warned_of():
    learn = regression(model=two_layers(), splitter=by_layer)
    with pytest.warns(UserWarning, match=r"freeze_to\(99\) freezes all \d layer groups"):
        learn.freeze_to(99)


def test_a_new_optimizer_keeps_what_is_frozen():
    learn = regression(model=two_layers(), splitter=by_layer)
    learn.freeze_to(2)
    learn.fit(1, reset_opt=True)
    assert learn.opt.frozen_idx == 2 and not learn.model[0].weight.requires_grad


def test_what_was_frozen_by_hand_stays_frozen_when_a_state_is_loaded():
    learn = regression(model=two_layers(), splitter=by_layer)
    learn.model[0].weight.requires_grad_(False)
    learn.fit(1)
    learn.lr_find(num_it=3, show_plot=False)
    assert not learn.model[0].weight.requires_grad
