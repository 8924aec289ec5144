"""Several threads and one learner, or several fits in one process."""

import copy
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from learner_toys import At, classifier, lm, regression, same, state, text_dls
from torch import nn

from ulmfit_easy.all import no_random, predict_with_uncertainty
from ulmfit_easy.cleanup import surely
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.turns import Turn
from ulmfit_easy.models.evaluated import evaluated

pytestmark = pytest.mark.usefixtures("often")


def in_a_thread(call):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result(timeout=20)


TEXTS = ["a fine film", "it broke at once and nobody came", "so so", "the battery", "never again, not for free"]


@pytest.mark.parametrize("ask", [
    lambda learn: learn.predict("a fine film"), lambda learn: predict_with_uncertainty(learn, "a film", n=2),
    lambda learn: learn.show_results()], ids=["predict", "uncertainty", "show_results"])
def test_a_question_from_another_thread_leaves_the_model_that_trains_in_training(ask, capsys):
    learn, modes = classifier(text_dls(n=30)), []

    def after_pred():
        if learn.training:
            in_a_thread(lambda: ask(learn))
            modes.append(all(m.training for m in learn.model.modules()))

    learn.fit(1, cbs=At("after_pred", after_pred))
    assert modes and all(modes)


def test_a_language_model_writes_and_scores_beside_its_own_fit():
    learn, modes = lm(text_dls(is_lm=True, n=20)), []

    def after_pred():
        in_a_thread(lambda: (learn.predict("a", 2), learn.logprob(TEXTS)))
        modes.append(learn.model.training == learn.training)

    learn.fit(1, cbs=At("after_pred", after_pred, 0))
    assert modes == [True]


@pytest.mark.parametrize("ask", [lambda learn: learn.get_preds(), lambda learn: learn.validate()])
def test_what_needs_the_callbacks_is_refused_beside_a_fit_in_another_thread(ask):
    learn, errors = regression(), []

    def refused():
        with pytest.raises(TrainingError, match=r"E506.*another thread trains.*learn\.predict") as error:
            in_a_thread(lambda: ask(learn))
        errors.append(error)

    learn.fit(1, cbs=[At("before_step", refused, 0), At("after_train", lambda: ask(learn))])  # its own thread may
    assert errors
    ask(learn)


def test_fits_of_one_learner_from_threads_come_one_after_the_other():
    learn, alone = regression(), regression()
    for _ in range(3):
        alone.fit(2, 1e-2)
    with ThreadPoolExecutor(3) as pool:
        for fit in [pool.submit(learn.fit, 2, 1e-2) for _ in range(3)]:
            fit.result()
    assert same(state(learn.model), state(alone.model)) and len(learn.cbs) == len(alone.cbs)


def test_a_seed_gives_one_model_in_threads_and_leaves_the_random_state():
    dls = text_dls(n=30)

    def seeded():
        with no_random(7):
            learn = classifier(dls)
            learn.dls.train.epoch = 0
            learn.fit(1, 1e-2)
            return state(learn.model)

    alone, before = seeded(), torch.get_rng_state()
    with ThreadPoolExecutor(3) as pool:
        found = [fit.result() for fit in [pool.submit(seeded) for _ in range(3)]]
    assert all(same(weights, alone) for weights in found)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_to_ask_shares_weights_and_not_its_mode():
    learn = classifier(text_dls(n=12))
    learn.model.train()
    asked = evaluated(learn.model)
    assert {p.data_ptr() for p in asked.parameters()} == {p.data_ptr() for p in learn.model.parameters()}
    assert not any(m.training for m in asked.modules()) and all(m.training for m in learn.model.modules())
    assert len([*asked.modules()]) == len([*learn.model.modules()])  # what is shared inside is shared again
    assert not {id(m) for m in asked.modules()} & {id(m) for m in learn.model.modules()}


def test_a_method_of_one_module_alone_reads_with_the_model_that_is_asked():
    net = nn.Linear(2, 1)
    net.forward = (lambda self, x: self.training).__get__(net)
    assert net(None) is True and evaluated(net)(None) is False


def test_a_copy_of_a_learner_is_free_though_the_learner_is_not():
    turn = Turn()
    turn.take()
    assert turn.is_mine and not copy.deepcopy(turn).is_mine
    turn.held["by"] = (os.getpid() + 1, 5)  # of the process that this one would be a fork of
    turn.take()
    assert turn.is_mine


def test_cleanup_runs_whole_though_ctrl_c_breaks_into_it_and_once_otherwise():
    calls, ctrl_c, error = [], KeyboardInterrupt(), ValueError()

    def step(name, *errors):
        calls.append(name)
        if calls.count(name) <= len(errors):
            raise errors[calls.count(name) - 1]

    assert surely(lambda: 5, lambda: [(step, "a"), (step, "b")]) == 5 and calls == ["b", "a"]
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        surely(lambda: 5, lambda: [(step, "a"), (step, "b", ctrl_c), (step, "c")])
    assert calls == ["c", "b", "a", "b"]
    calls.clear()
    with pytest.raises(ValueError):
        surely(lambda: 5, lambda: [(step, "a"), (step, "b", error, error), (step, "c")])
    assert calls == ["c", "b", "a"]
