"""Every optimizer: hyper-parameters for each group, freezing, states that are saved; and what is special about each."""

import copy
from contextlib import nullcontext, suppress
from functools import partial

import pytest
import torch
from checkpoint_toys import fresh, outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_toys import At, lm, raises, regression, text_dls
from torch import nn

from ulmfit_easy.errors import ArgumentError, TrainingError
from ulmfit_easy.fastai.optim_wrapper import OptimWrapper
from ulmfit_easy.fastai.optimizers import Lamb, Larc, Lookahead, QHAdam, RAdam, RMSProp, ranger
from ulmfit_easy.learner.callbacks.checkpoint import CheckpointCallback
from ulmfit_easy.learner.callbacks.finite import TerminateOnNaNCallback
from ulmfit_easy.learner.optim.optimizer import SGD, Adam, norm_and_bias_params

OURS = {
    "SGD": SGD, "SGD with momentum": partial(SGD, mom=0.9), "RMSProp": RMSProp, "RAdam": partial(RAdam, wd=0.01),
    "RMSProp with momentum": partial(RMSProp, mom=0.9), "QHAdam": QHAdam, "Larc": Larc, "Lamb": Lamb,
    "Lookahead": Lookahead, "Lookahead of SGD": partial(Lookahead, opt_func=SGD, k=4), "ranger": ranger,
    "NAdam": partial(OptimWrapper, opt=torch.optim.NAdam, weight_decay=0.1),
    "Adagrad": partial(OptimWrapper, opt=torch.optim.Adagrad),
    "RMSprop": partial(OptimWrapper, opt=torch.optim.RMSprop),
    "Lookahead of ASGD": partial(Lookahead, opt_func=partial(OptimWrapper, opt=torch.optim.ASGD)),
}  # fmt: skip
EACH = pytest.mark.parametrize("opt_func", OURS.values(), ids=OURS)
DIFFERENT = "SGD", "Lamb", "ranger", "RMSprop", "Lookahead of ASGD"
SOME = pytest.mark.parametrize("opt_func", [OURS[name] for name in DIFFERENT], ids=DIFFERENT)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def groups(model):
    return [list(layer.parameters()) for layer in (model[0], model[2])]


def train(model, opt, n=10, seed=0):
    x = torch.randn(n, 8, 3, generator=torch.Generator().manual_seed(seed))
    for batch in x:
        (model(batch) - batch.sum(1, keepdim=True)).pow(2).mean().backward()
        opt.step()
        opt.zero_grad()


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# --- what all have in common -----------------------------------------------------------------------------------------


@EACH
def test_each_group_has_its_rate_and_what_is_frozen_stays(opt_func):
    model = net()
    opt = opt_func(groups(model), lr=slice(1e-3, 1e-1))
    assert [h["lr"] for h in opt.hypers] == pytest.approx([1e-3, 1e-1])
    opt.set_hyper("lr", [0, 0.01])
    opt.set_hyper("wd", 0)
    before = weights(model)
    train(model, opt)
    assert [torch.equal(a, b) for a, b in zip(before, weights(model), strict=True)] == [True] * 2 + [False] * 2
    opt.set_hyper("lr", 0.01)
    opt.freeze_to(-1)
    assert opt.frozen_idx == 1
    before = weights(model)
    train(model, opt)
    assert [torch.equal(a, b) for a, b in zip(before, weights(model), strict=True)] == [True] * 2 + [False] * 2


@EACH
@pytest.mark.parametrize("n", [1, 7])
def test_a_state_that_was_saved_goes_on_as_if_nothing_had_happened(opt_func, n):
    one, other = net(), net()
    opt, again = (opt_func(groups(model), lr=0.01) for model in (one, other))
    opt.set_hyper("mom", 0.8)
    train(one, opt, n)
    other.load_state_dict(one.state_dict())
    again.load_state_dict(copy.deepcopy(opt.state_dict()))
    assert again.hypers == opt.hypers
    train(one, opt, 7, seed=1)
    train(other, again, 7, seed=1)
    assert equal(weights(one), weights(other))


@EACH
def test_cleared_states_count_for_nothing(opt_func):
    one, other = net(), net()
    opt = opt_func(groups(one), lr=0.01)
    train(one, opt, 3)
    opt.clear_state()
    other.load_state_dict(one.state_dict())
    train(one, opt, 8, seed=1)
    train(other, opt_func(groups(other), lr=0.01), 8, seed=1)
    assert equal(weights(one), weights(other))


@EACH
def test_a_fit_that_is_stopped_and_resumed_ends_as_one_never_stopped(opt_func, tmp_path):
    def fit(path, seed=0, at=None, **checkpoint):
        learn = fresh("plain", path, seed, model=net(), splitter=groups, opt_func=opt_func)
        cbs = [CheckpointCallback("run", **checkpoint)] if checkpoint else []
        with pytest.raises(InterruptedError) if at else nullcontext():
            learn.fine_tune(1, 1e-2, cbs=[*cbs, At("after_backward", raises(InterruptedError()), at or 99)])
        return outcome(learn)

    unbroken = fit(tmp_path)
    fit(tmp_path, at=7, every=3)  # of 8 batches, in the second phase
    assert fit(tmp_path, seed=1, every=100, resume=True) == unbroken


def spike(learn, at):
    """One gradient that is finite and far too large."""
    return At("after_loss", lambda: setattr(learn, "loss_grad", learn.loss_grad * (1e17 if learn.training else 1)), at)


@EACH
@pytest.mark.parametrize("at", [0, 2])
def test_a_leap_leaves_nothing_behind_that_the_next_fit_could_leap_from(opt_func, at):
    learn = regression(model=net(), splitter=groups, opt_func=opt_func)
    for cbs in ([spike(learn, at)], []):
        with suppress(TrainingError) if cbs else nullcontext():  # Adam divides by the gradient's size: no leap
            learn.fit(1, 1e-2, cbs=[*cbs, TerminateOnNaNCallback()])
        assert max(p.abs().max() for p in weights(learn.model)) < 10


@SOME
def test_a_step_undone_leaves_the_optimizer_as_it_was_before(opt_func):
    learn, kept = regression(model=net(), splitter=groups, opt_func=opt_func), []
    learn.fit(1, 1e-2)
    keep = At("before_step", lambda: kept.append(copy.deepcopy((weights(learn.model), learn.opt.state_dict()))))
    with pytest.raises(TrainingError, match=r"E501.*a step that made weights"):
        learn.fit(1, 1e-2, cbs=[At("before_batch", lambda: learn.opt.set_hyper("lr", 1e30), at=2), keep,
                                TerminateOnNaNCallback()])
    (before, state), after = kept[-1], learn.opt.state_dict()
    assert equal(weights(learn.model), before) and after["state"].keys() == state["state"].keys()
    assert all(torch.equal(v, after["state"][i][k]) for i, m in state["state"].items() for k, v in m.items()
               if isinstance(v, torch.Tensor))


@SOME
def test_the_rate_finder_leaves_it_as_it_was(opt_func, tmp_path):
    def fit(find):
        learn = fresh("plain", tmp_path, model=net(), splitter=groups, opt_func=opt_func)
        learn.fit(1, 1e-2)
        if find:
            learn.lr_find(num_it=8, show_plot=False)
        learn.fit_one_cycle(1, 1e-2)
        return outcome(learn)

    assert fit(find=True) == fit(find=False)


@SOME
def test_a_language_model_learns_and_its_biases_do_not_decay(opt_func, tmp_path):
    learn = lm(text_dls(is_lm=True, n=20), path=tmp_path, opt_func=opt_func)
    loss = learn.validate()[0]
    learn.fit_one_cycle(1, 5e-3)
    assert learn.validate()[0] < loss
    learn.opt.set_hyper("wd", 0.5)
    key = learn.opt.names["wd"]
    if key is not None:
        plain = {id(p) for g in learn.opt.opt.param_groups if not g[key] for p in g["params"]}
        assert plain == {id(p) for p in norm_and_bias_params(learn.model)}
        assert len(plain) == 5  # two of each LSTM, the decoder's


def test_decay_is_a_share_of_the_weights_or_a_gradient():
    for make in (SGD, RMSProp, RAdam, QHAdam, Larc, Lamb):
        for decoupled in (True, False):
            p = nn.Parameter(torch.tensor([2.0, -4.0]))
            opt = make([p], lr=0.1, wd=0.5, decouple_wd=decoupled)
            p.grad = torch.zeros(2)
            opt.step()
            shrunk = torch.allclose(p, torch.tensor([2.0, -4.0]) * 0.95)
            assert shrunk == (decoupled or make in (SGD, RAdam)), make  # whose first steps are that of a gradient
            assert p.norm() < 20**0.5


# --- momentum, layer-wise rates --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [SGD, RMSProp, Larc, lambda p, lr, mom: OptimWrapper(p, torch.optim.SGD, lr=lr)])
def test_an_optimizer_made_without_momentum_has_none_whatever_a_schedule_says(make):
    one, other = net(), net()
    opt, plain = make(groups(one), lr=0.01, mom=0), make(groups(other), lr=0.01, mom=0)
    opt.set_hyper("mom", 0.95)
    assert opt.hypers[0]["mom"] == 0.95
    train(one, opt)
    train(other, plain)
    assert equal(weights(one), weights(other))


@pytest.mark.parametrize("make", [Larc, Lamb])
def test_layer_wise_rates_start_from_zeros_and_follow_the_size_of_the_weights(make):
    zeros, small, large = (nn.Parameter(torch.full((3,), v)) for v in (0.0, 0.01, 0.03))
    opt = make([[zeros], [small], [large]], lr=0.1, mom=0.0)
    before = weights(nn.ParameterList([zeros, small, large]))
    for p in (zeros, small, large):
        p.grad = torch.tensor([1.0, -2.0, 3.0])
    opt.step()
    moved = [(p - b).norm().item() for p, b in zip((zeros, small, large), before, strict=True)]
    assert moved[0] > 0 and moved[2] == pytest.approx(3 * moved[1], rel=1e-3)


def test_no_tensor_moves_more_than_ten_steps_of_adam_with_lamb():
    p = nn.Parameter(torch.full((4,), 1000.0))
    p.grad = torch.ones(4)
    Lamb([p], lr=0.1).step()
    torch.testing.assert_close(p.detach(), torch.full((4,), 999.0))


# --- lookahead -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 5), st.floats(0, 1), st.integers(1, 12))
@settings(deadline=None, max_examples=25)
def test_lookahead_goes_part_of_the_way_that_k_steps_of_sgd_go(k, alpha, n):
    fast, slow = torch.tensor([1.0, -2.0]), torch.tensor([1.0, -2.0])
    p = nn.Parameter(fast.clone())
    opt = Lookahead(SGD([p], lr=0.1), k, alpha)
    for i in range(n):
        p.grad = p.detach() * 2
        opt.step()
        fast = fast - 0.1 * 2 * fast
        if (i + 1) % k == 0:
            fast = slow = slow + alpha * (fast - slow)
    torch.testing.assert_close(p.detach(), fast)


def test_lookahead_never_goes_back_to_weights_of_before_a_load(tmp_path):
    learn = regression(path=tmp_path, opt_func=partial(Lookahead, opt_func=SGD, k=3))
    learn.fit(1, 0.1)  # four batches: every fit ends in the middle of a round
    with torch.no_grad():
        for p in learn.model.parameters():
            p.fill_(100.0)
    learn.save("far", with_opt=False)
    learn.fit(1, 0.0)
    learn.load("far", with_opt=False)
    learn.fit(1, 0.0)
    assert all(torch.equal(p, torch.full_like(p, 100.0)) for p in learn.model.parameters())


def test_ranger_is_rectified_adam_with_lookahead():
    one, other = net(), net()
    train(one, ranger(groups(one), lr=0.01, k=3))
    train(other, Lookahead(RAdam(groups(other), lr=0.01, mom=0.95, wd=0.01, eps=1e-6), k=3))
    assert equal(weights(one), weights(other))


# --- any torch optimizer ---------------------------------------------------------------------------------------------

TORCHS = ["Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD"]


@pytest.mark.parametrize("name", TORCHS)
def test_a_wrapped_optimizer_makes_torchs_steps(name):
    one, other, third = net(), net(), net()
    cls = getattr(torch.optim, name)
    torchs = cls(third.parameters(), lr=0.01)
    train(one, OptimWrapper(groups(one), cls, lr=0.01))
    train(other, cls(other.parameters(), lr=0.01))
    train(third, OptimWrapper(opt=torchs))
    assert equal(weights(one), weights(other)) and equal(weights(third), weights(other))


def test_a_wrapped_optimizers_hypers_have_our_names():
    opt = OptimWrapper(groups(net()), torch.optim.Adam, lr=slice(1e-3, 1e-2), betas=(0.8, 0.95), weight_decay=0.1)
    assert [h | {"lr": 0} for h in opt.hypers] == [{"lr": 0, "mom": 0.8, "sqr_mom": 0.95, "eps": 1e-8, "wd": 0.1}] * 2
    opt.set_hyper("mom", [0.5, 0.6])
    opt.set_hyper("wd", 0.2)
    assert [g["betas"] for g in opt.opt.param_groups[::2]] == [(0.5, 0.95), (0.6, 0.95)]
    assert {g["weight_decay"] for g in opt.opt.param_groups if g["params"]} == {0.2}
    sgd = OptimWrapper(groups(net()), torch.optim.SGD, lr=0.1, momentum=0.9)
    assert sgd.hypers[0] == {"lr": 0.1, "mom": 0.9, "wd": 0}
    rms = OptimWrapper(groups(net()), torch.optim.RMSprop)
    assert rms.hypers[0]["sqr_mom"] == 0.99 and rms.hypers[0]["lr"] == 0.01


def test_names_of_hypers_can_be_given():
    opt = OptimWrapper(groups(net()), torch.optim.SGD, {"momentum": "speed"}, lr=0.1)
    opt.set_hyper("speed", 0.3)
    assert {g["momentum"] for g in opt.opt.param_groups} == {0.3} and "weight_decay" in opt.hypers[0]


def test_an_optimizer_that_is_there_keeps_its_groups_and_rates():
    model = net()
    first, last = groups(model)
    torchs = torch.optim.SGD([{"params": first, "lr": 0.1}, {"params": last, "lr": 0.2, "momentum": 0.5}], lr=1.0)
    opt = OptimWrapper(opt=torchs)
    assert opt.opt is torchs and [(h["lr"], h["mom"]) for h in opt.hypers] == [(0.1, 0), (0.2, 0.5)]
    assert [len(g) for g in opt.param_groups] == [2, 2]


def test_one_parameter_of_several_numbers_is_a_layer_group():
    opt = OptimWrapper(nn.Parameter(torch.ones(3)), torch.optim.SGD, lr=0.1)
    assert [len(g) for g in opt.param_groups] == [1] and opt.hypers[0]["lr"] == 0.1


@pytest.mark.parametrize("wrong", [{"params": [[nn.Parameter(torch.ones(1))]]}, {}, {
    "params": [], "opt": torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.1)}])
def test_parameters_without_an_optimizer_or_with_two_are_refused(wrong):
    with pytest.raises(ArgumentError, match="E60"):
        OptimWrapper(**wrong)


def test_parameters_that_are_no_groups_are_one_group():
    for make in (Adam, SGD, ranger, partial(OptimWrapper, opt=torch.optim.SGD)):
        opt = make(net().parameters(), lr=0.1)
        assert len(opt.param_groups) == 1 and len(opt.param_groups[0]) == 4
