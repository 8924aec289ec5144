"""What a run tells about itself, and that asking for its speed leaves no trace."""

import copy
import random
import re
import sys

import numpy as np
import pytest
import torch
from recipes_tiny import DF, TINY

from ulmfit_easy.learner.events import Callback
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.recipes.corpus import monitor
from ulmfit_easy.recipes.corpus.monitor import RunProgress, step_seconds
from ulmfit_easy.recipes.stages import new_lm


@pytest.fixture(scope="module")
def dls():
    return TextDataLoaders.from_df(DF, text_col="text", is_lm=True, valid_pct=0.1, seed=0, bs=8, seq_len=16,
                                   min_freq=1, cache_dir=False)


@pytest.fixture
def learn(dls):
    return new_lm(dls, TINY, verbose=False)


class Count(Callback):
    """Counts steps and validations, and takes some time for the first step."""

    steps = valid = 0

    def after_batch(self):
        self.steps += 1

    def before_validate(self):
        self.valid += 1


@pytest.mark.parametrize("fitted", [False, True])
def test_the_time_of_a_step_is_measured_with_real_steps_that_leave_no_trace(learn, fitted):
    if fitted:
        learn.fit(1)

    def picture():
        opt = None if learn.opt is None else copy.deepcopy(learn.opt.state_dict())
        rng = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
        weights = {k: v.clone() for k, v in learn.model.state_dict().items()}
        return weights, opt, rng, copy.deepcopy(learn.dls.train.state_dict()), learn.model.training, len(learn.cbs)

    before, count = picture(), Count()
    assert 0 < step_seconds(learn, [count], n_steps=5) < 5
    torch.testing.assert_close(picture(), before, rtol=0, atol=0)
    assert count.steps == 5 and count.valid == 0


def test_a_slow_step_is_measured_once_and_a_short_epoch_to_its_end(learn, dls):
    count = Count()
    assert step_seconds(learn, [count], seconds=0) > 0 and count.steps == 1
    count = Count()
    assert step_seconds(learn, [count], n_steps=10**6) > 0 and count.steps == len(dls.train)


LINE = re.compile(r"step [\d,]+ of [\d,]+ \(\d+%\)  perplexity \d+\.\d  (valid perplexity \d+\.\d\d  )?"
                  r"[\d,]+ tokens/s  \d+:\d\d left")


def test_a_log_file_gets_a_line_at_each_validation_and_now_and_then(learn, dls, capsys, monkeypatch):
    n = len(dls.train)
    learn.fit(2, cbs=RunProgress())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all(map(LINE.fullmatch, lines))
    assert lines[0].startswith(f"step {n} of {2 * n} (50%)") and lines[1].endswith("0:00 left")
    assert f"valid perplexity {np.exp(learn.recorder.values[-1][1]):.2f}" in lines[1]
    monkeypatch.setattr(monitor, "EVERY", 0)
    learn.fit(1, cbs=RunProgress())
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == n + 1 and all(map(LINE.fullmatch, told.out.splitlines())) and told.err == ""


def test_a_terminal_gets_one_bar_for_the_whole_run(learn, dls, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TQDM_MININTERVAL", "0")
    learn.fit(2, cbs=RunProgress())
    told = capsys.readouterr()
    assert f"{2 * len(dls.train)}/{2 * len(dls.train)}" in told.err and "tokens/s" in told.err
    assert len([line for line in told.out.splitlines() if LINE.search(line)]) == 2


def test_a_sampled_loss_is_not_called_a_perplexity(dls, capsys):
    learn = new_lm(dls, TINY, verbose=False, softmax="sampled")
    learn.fit(1, cbs=RunProgress())
    line = capsys.readouterr().out
    assert "sampled loss" in line and line.count("perplexity") == line.count("valid perplexity") == 1


def test_the_time_of_a_run_adds_up_over_interruptions(learn):
    first, second = RunProgress(), RunProgress()
    learn.fit(1, cbs=first)
    assert first.seconds > 0
    state = first.state_dict()

    class Resume(Callback):
        def before_train(self):
            second.load_state_dict(state)

    learn.fit(1, cbs=[second, Resume()])
    assert second.seconds > state["seconds"] and state["valid"].startswith("valid perplexity")
