"""Bars of a notebook are HTML in one output, which is empty, or a table alone, once the work is done."""

import re
import sys
import types
from contextlib import nullcontext

import pytest
from learner_toys import regression

from ulmfit_easy import bars
from ulmfit_easy.bars import progress_bar
from ulmfit_easy.fastai.tokenized import parallel_tokenize
from ulmfit_easy.learner.events import Callback
from ulmfit_easy.terminal import hushed
from ulmfit_easy.text.store import TokenStore
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.words import BaseTokenizer


@pytest.fixture
def outputs(monkeypatch):
    """The outputs of a notebook's cell: for each, all that it showed one after the other."""
    found = []

    def display(thing, display_id=False):
        found.append([thing])
        return types.SimpleNamespace(update=found[-1].append)

    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(HTML=str, display=display))
    return found


def test_a_bar_moves_within_one_output_and_leaves_it_empty(outputs, capsys):
    bar = progress_bar(total=4, desc="epoch <1>", mininterval=0)
    for loss in range(4):
        bar.set_postfix_str(f"loss {loss}", refresh=False)
        bar.update()
    bar.close()
    bar.close()
    (shown,) = outputs
    assert re.findall('value="(\\d)" max="4"', "".join(shown)) == list("01234")
    assert "epoch &lt;1&gt;: 3/4 [" in shown[3] and "loss 2]" in shown[3] and shown[-1] == ""
    assert "".join(capsys.readouterr()) == ""
    assert shown[1]._repr_html_() == shown[1] and not any(map(repr, shown))  # no "<HTML object>" in plain text


@pytest.mark.parametrize("known", [True, False], ids=["of known length", "a stream"])
def test_tokenizing_leaves_an_empty_output(outputs, known):
    texts = ["a b", "c"]
    assert len(list(parallel_tokenize(texts if known else iter(texts), BaseTokenizer(), rules=[], progress=True))) == 2
    assert len(outputs) == 1 and "<progress" in outputs[0][0] and outputs[0][-1] == ""


def test_a_tokenizer_that_fails_leaves_no_bar_behind(outputs, tmp_path):
    failing = Tokenizer(BaseTokenizer(), rules=[lambda text: 1 / 0])
    with pytest.raises(ZeroDivisionError):
        TokenStore.build(["a"], failing, cache_dir=tmp_path, progress=True)
    assert "<progress" in outputs[0][0] and outputs[0][-1] == ""


class Stop(Callback):
    def after_batch(self):
        raise KeyboardInterrupt


@pytest.mark.parametrize("stopped", [False, True])
def test_a_fit_leaves_one_output_with_its_table(outputs, stopped):
    learn = regression()
    learn.verbose = True
    with pytest.raises(KeyboardInterrupt) if stopped else nullcontext():
        learn.fit(2, 0.1, cbs=[Stop()] if stopped else [])
    (shown,) = outputs
    assert any("<progress" in page for page in shown)
    assert "train_loss" in shown[-1] and "<progress" not in shown[-1]
    assert shown[-1].count("<tr>") == (1 if stopped else 3)


@pytest.mark.parametrize("ask", [lambda learn: learn.validate(),
                                 lambda learn: learn.lr_find(num_it=9, show_plot=False)], ids=["validate", "lr_find"])
def test_a_question_leaves_one_empty_output(outputs, ask):
    learn = regression()
    learn.verbose = True
    ask(learn)
    (shown,) = outputs
    assert "<progress" in shown[0] and shown[-1] == ""


def test_a_log_file_gets_plain_lines_of_slow_work_and_none_if_nobody_listens(capsys, monkeypatch):
    monkeypatch.setattr(bars, "EVERY", 0)
    for silent in (nullcontext(), hushed()):
        with silent:
            assert len([*bars.rows_of([[0] * 3, [0] * 4], "predicting")]) == 2
            with progress_bar(total=4, desc="epoch 1/1 train") as bar:
                bar.update(2)
    told = [line.split(" [")[0] for line in capsys.readouterr().err.splitlines()]
    assert told == ["predicting: 3 rows", "predicting: 7 rows", "epoch 1/1 train:  50% 2/4"]


def test_lr_find_has_one_bar_of_its_steps(outputs):
    learn = regression()
    learn.verbose = True
    learn.lr_find(num_it=9, stop_div=False, show_plot=False)  # more than two epochs
    (shown,) = outputs
    assert "lr_find: 0/9 [" in shown[0] and 'max="9"' in shown[0] and not any("epoch" in page for page in shown)
    del outputs[:]
    with learn.no_logging():
        learn.lr_find(num_it=9, stop_div=False, show_plot=False)
    assert outputs == []
