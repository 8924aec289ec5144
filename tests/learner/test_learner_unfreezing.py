"""Gradual unfreezing: which groups move in which epoch, at which rates, and that it can be resumed."""

import pytest
import torch
from checkpoint_toys import fresh, outcome
from learner_toys import At, classifier, raises, text_dls

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.callbacks.checkpoint import CheckpointCallback
from ulmfit_easy.learner.callbacks.unfreezing import GradualUnfreezing, chain_thaw, gradual_unfreeze
from ulmfit_easy.learner.optim.optimizer import discriminative, expand_lr


def moved(before, after) -> list[bool]:
    """Which groups have another weight than before."""
    return [any(not torch.equal(a, b) for a, b in zip(old, new, strict=True))
            for old, new in zip(before, after, strict=True)]


def weights(learn) -> list:
    return [[p.detach().clone() for p in group] for group in learn.opt.param_groups]


def epochs_of(learn, fit) -> tuple[list, list]:
    """For each epoch the groups that moved in it, and the highest rate of each group."""
    now, groups, rates = {}, [], []
    watch = [At("before_train", lambda: (now.update(w=weights(learn)), rates.append([0.0] * len(now["w"])))),
             At("after_train", lambda: groups.append(moved(now["w"], weights(learn)))),
             At("before_step", lambda: rates.append([max(a, h["lr"]) for a, h in
                                                     zip(rates.pop(), learn.opt.hypers, strict=True)]))]
    fit(watch)
    return groups, rates


def last(n, of):
    return [i >= of - n for i in range(of)]


@pytest.mark.parametrize(("each", "more"), [(1, 1), (2, 1), (1, 2)])
def test_the_callback_adds_a_few_groups_every_few_epochs_from_the_last_one_down(each, more):
    learn = classifier(text_dls(n=30), train_bn=False)
    groups, _ = epochs_of(learn, lambda cbs: learn.fit(
        each * 4 + 1, discriminative(1e-2), cbs=[GradualUnfreezing(each, groups=more), *cbs]))
    expected = [last(min(4, 1 + epoch // each * more), 4) for epoch in range(each * 4 + 1)]
    assert groups == expected and learn.opt.frozen_idx == 0


def test_a_second_fit_begins_with_the_last_group_again():
    learn = classifier(text_dls(n=30), train_bn=False)
    for _ in range(2):
        groups, _ = epochs_of(learn, lambda cbs: learn.fit(2, 1e-2, cbs=[GradualUnfreezing(), *cbs]))
        assert groups == [last(1, 4), last(2, 4)]


@pytest.mark.parametrize("schedule", ["stlr", "one_cycle", "flat", "cos"])
def test_the_function_gives_each_phase_a_schedule_and_lower_groups_lower_rates(schedule):
    learn = classifier(train_bn=False)
    groups, rates = epochs_of(learn, lambda cbs: gradual_unfreeze(learn, 2e-2, last_epochs=2, schedule=schedule,
                                                                  cbs=cbs))
    assert groups == [last(n, 4) for n in (1, 2, 3, 4, 4)]
    for epoch in range(4):  # each phase reaches the same rates
        assert rates[epoch] == pytest.approx(expand_lr(discriminative(2e-2), 4), rel=0.2)


def test_a_phase_may_add_several_groups():
    learn = classifier(text_dls(n=30), train_bn=False)
    groups, _ = epochs_of(learn, lambda cbs: gradual_unfreeze(learn, groups=2, last_epochs=1, cbs=cbs))
    assert groups == [last(n, 4) for n in (1, 3, 4)]


def test_chain_thaw_trains_the_last_group_then_each_other_one_alone_then_all():
    learn = classifier(text_dls(n=30), train_bn=False)
    groups, rates = epochs_of(learn, lambda cbs: chain_thaw(learn, 1e-2, div=5, last_epochs=1, cbs=cbs))
    assert groups == [*[[i == n for i in range(4)] for n in (3, 0, 1, 2)], [True] * 4]
    assert [max(epoch) for epoch in rates] == pytest.approx([1e-2, *[2e-3] * 4])


def test_lr_find_leaves_the_freezing_alone():
    learn = classifier(cbs=GradualUnfreezing())
    learn.lr_find(num_it=12, show_plot=False)
    assert all(p.requires_grad for p in learn.model.parameters())


class Stop(Exception):
    pass


FITS = {"callback": lambda learn, cbs: learn.fit_one_cycle(3, 1e-2, cbs=[GradualUnfreezing(), *cbs]),
        "function": lambda learn, cbs: gradual_unfreeze(learn, epochs=1, last_epochs=1, cbs=cbs),
        "chain-thaw": lambda learn, cbs: chain_thaw(learn, epochs=1, last_epochs=1, cbs=cbs)}


@pytest.mark.parametrize("again", ["fresh", "same"])
@pytest.mark.parametrize("fit", FITS)
def test_a_run_that_was_stopped_goes_on_in_its_phase(fit, again, tmp_path):
    learn = fresh("classifier", tmp_path)
    FITS[fit](learn, [])
    whole, n = outcome(learn), len(learn.dls.train)
    learn = fresh("classifier", tmp_path)
    with pytest.raises(Stop):
        FITS[fit](learn, [CheckpointCallback("run", every=1), At("after_step", raises(Stop()), at=n + 2)])
    if again == "fresh":
        learn = fresh("classifier", tmp_path, seed=1)
    elif fit != "callback":
        learn.checkpointed.clear()  # the first phase is asked for again
    FITS[fit](learn, [CheckpointCallback("run", every=1, resume=True)])
    assert outcome(learn) == whole


@pytest.mark.parametrize("wrong", [{"schedule": "cosines"}, {"epochs": 0}, {"last_epochs": 0}])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ArgumentError, match="E602"):
        gradual_unfreeze(classifier(), **wrong)
    with pytest.raises(ArgumentError, match="E602"):
        chain_thaw(classifier(), **wrong)
    with pytest.raises(ArgumentError, match="E602.*epochs=0"):
        GradualUnfreezing(0)
