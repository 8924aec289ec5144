"""Ctrl-C at the moments that no line shows: the end of a `with` block has begun and has done nothing yet."""

import contextlib
from contextlib import suppress

import pytest
import torch
from faults import AtLine
from learner_toys import classifier, lm, text_dls

from ulmfit_easy.all import MixedPrecision, TerminateOnNaNCallback
from ulmfit_easy.learner.contexts import _nesting

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

