"""Ctrl-C at the moments that no line shows: the end of a `with` block has begun and has done nothing yet."""

import contextlib
import pickle
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from faults import AtLine
from learner_toys import At, classifier, lm, raises, text_dls

from ulmfit_easy.all import CheckpointCallback, MixedPrecision, TerminateOnNaNCallback, ensemble, explain
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.learner.contexts import _nesting
from ulmfit_easy.learner.predictor import Predictor
from ulmfit_easy.text.store import TokenStore

BLOCKS = (contextlib._GeneratorContextManager, torch.no_grad, torch.set_grad_enabled, torch.autocast)
CALLS = {
    "validate": lambda learn: learn.validate(cbs=TerminateOnNaNCallback()),
    "get_preds": lambda learn: learn.get_preds(with_loss=True),
    "predict": lambda learn: learn.predict("a b"),
    "show_results": lambda learn: learn.show_results(),
    "summary": lambda learn: learn.summary(),
    "fit": lambda learn: learn.fit(1, cbs=[TerminateOnNaNCallback, MixedPrecision]),
}


def surroundings(learn) -> tuple:
    hooks = [len(module._forward_hooks) for module in learn.model.modules()]
    return list(learn.cbs), learn.recorder, torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), _nesting(), hooks


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*CALLS, pytest.param("lr_find", marks=pytest.mark.slow)])
def test_ctrl_c_at_the_end_of_any_block_leaves_nothing_behind(name, monkeypatch, capsys):
    learn, ends, stop = classifier(text_dls(n=6, bs=16, seq_len=72)), [], [None]

    def ending(end):
        def ends_here(*args):
            ends.append(args)
            if len(ends) == stop[0]:
                raise KeyboardInterrupt
            return end(*args)
        return ends_here

    for block in BLOCKS:
        monkeypatch.setattr(block, "__exit__", ending(block.__exit__))
    call = CALLS.get(name, lambda learn: learn.lr_find(num_it=2, show_plot=False))
    call(learn)
    before, n = surroundings(learn), len(ends)
    for stop[0] in range(n, 0, -max(1, n // 10)):
        ends.clear()
        with suppress(KeyboardInterrupt):
            call(learn)
        assert surroundings(learn) == before, stop


@pytest.fixture(scope="module")
def learn():
    return classifier(text_dls(n=30, bs=8))


def stopped(call) -> str:
    """Return the last line of what Python and IPython show of a call that Ctrl-C has stopped."""
    try:
        call()
    except KeyboardInterrupt as e:
        assert type(e) is KeyboardInterrupt and not e.args
        (state,) = e.__notes__
        *lines, name, last = pickle.loads(pickle.dumps(e))._render_traceback_()
        assert name == "KeyboardInterrupt" and last == state
        assert lines and all(line.startswith(f"File {Path(__file__).parent}") for line in lines), "no line of a library"
        return state
    raise AssertionError("nothing has stopped it")


def at(n):
    return At("after_step", raises(KeyboardInterrupt()), n)


ANEW = "to begin again, make the learner again, or load what you saved."
STOPS = {
    "fit": (lambda learn: learn.fit(2, 1e-3, cbs=at(4)),
            f"Stopped after 4 of 6 batches. The weights have changed: {ANEW}"),
    "the first batch": (lambda learn: learn.fit_one_cycle(1, 1e-3, cbs=at(0)),
                        f"Stopped. The weights may have changed: {ANEW}"),
    "a later epoch": (lambda learn: learn.fit(3, 1e-3, start_epoch=2, cbs=at(1)),
                      f"Stopped after 7 of 9 batches. The weights have changed: {ANEW}"),
    "lr_find": (lambda learn: with_cb(learn, At("after_step", raises(KeyboardInterrupt()), 2),
                                      lambda: learn.lr_find(num_it=9, show_plot=False)),
                "Stopped. Nothing has changed."),
    "validate": (lambda learn: learn.validate(cbs=At("after_pred", raises(KeyboardInterrupt()))),
                 "Stopped. Nothing has changed."),
}


def with_cb(learn, cb, call):
    with learn.added_cbs(cb):
        call()


@pytest.mark.parametrize("name", STOPS)
def test_ctrl_c_says_in_its_last_line_what_has_changed(name, learn):
    call, line = STOPS[name]
    learn.fit(1, 1e-3)  # what it counted is forgotten
    assert stopped(lambda: call(learn)) == line


@pytest.mark.parametrize("call", [lambda learn: learn.predict("a b"), lambda learn: learn.predictor.predict(["a b"]),
                                  lambda learn: ensemble([learn], ["a"]), lambda learn: explain(learn, "a b")],
                         ids=["learn.predict", "predictor.predict", "ensemble", "explain"])
def test_ctrl_c_in_an_answer_says_that_nothing_has_changed(call, learn, monkeypatch):
    monkeypatch.setattr(Predictor, "logits", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(Preparation, "ids", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    assert stopped(lambda: call(learn)) == "Stopped. Nothing has changed."


def test_ctrl_c_while_texts_are_tokenized_says_that_there_are_no_loaders(monkeypatch):
    monkeypatch.setattr(TokenStore, "build", lambda *args, **kwargs: (_ for _ in ()).throw(KeyboardInterrupt))
    assert stopped(text_dls) == "Stopped. No loaders were made."


def test_ctrl_c_says_how_a_fit_with_checkpoints_goes_on(tmp_path):
    learn = classifier(text_dls(n=30, bs=8), path=tmp_path)
    save = CheckpointCallback("run", every=1)
    assert stopped(lambda: learn.fit(2, 1e-3, cbs=[save, at(2)])) == (
        "Stopped after 2 of 6 batches. The weights have changed: make the learner again, and fit with resume=True of "
        "its CheckpointCallback to go on.")


@pytest.mark.parametrize("ask", [lambda learn: learn.predict("a", 2), lambda learn: learn.logprob(["a b"])])
def test_ctrl_c_leaves_gradients_on_when_a_language_model_writes_or_scores(ask, monkeypatch):
    learn = lm(text_dls(is_lm=True, n=20))
    monkeypatch.setattr(torch.no_grad, "__exit__", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with suppress(KeyboardInterrupt):
        ask(learn)
    assert torch.is_grad_enabled()


def test_ctrl_c_while_the_blocks_of_autocast_are_counted_adds_none():
    before = _nesting()
    with AtLine() as moments:
        _nesting()
    for k in range(len(moments.places)):
        with suppress(KeyboardInterrupt), AtLine(k):
            _nesting()
        assert _nesting() == before

