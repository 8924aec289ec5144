"""What every task promises. One of yours is done when it passes: add its row and labels for a test to `ROWS`."""

import re
from dataclasses import replace

import pandas as pd
import pytest
import torch
from toy_task import TOY

from ulmfit_easy.all import (
    AWD_LSTM,
    BaseTokenizer,
    TextDataLoaders,
    Tokenizer,
    load_learner,
    load_predictor,
    text_classifier_learner,
)
from ulmfit_easy.learner.tasks import TASKS
from ulmfit_easy.models.heads.token import CLSHead, LastTokenHead

TEXTS = [f"{subject} {verb} {name}" for name in ("oslo", "rome", "nobody", "bert and anna", "the sea")
         for verb in ("sees", "likes", "never sees") for subject in ("anna", "bert")]
# for each task its row, and from a text to its label
ROWS = {"single": (TASKS["single"], lambda text: text.split()[0]),
        "single, first token": (replace(TASKS["single"], head=CLSHead), lambda text: text.split()[0]),
        "regression, last token": (replace(TASKS["regression"], head=LastTokenHead), lambda text: len(text) / 10),
        "multi": (TASKS["multi"], lambda text: [word for word in ("anna", "bert", "rome") if word in text]),
        "regression": (TASKS["regression"], lambda text: len(text) / 10),
        "tags": (TASKS["tags"], lambda text: " ".join("V" if word == "sees" else "O" for word in text.split())),
        "span": (TASKS["span"], lambda text: [{"text": each, "answer_start": text.index(each)} for each in
                                              re.findall("sees|never sees", text)[-1:]]),
        "toy": (TOY, lambda text: " ".join("V" if word in ("sees", "likes") else "O" for word in text.split()))}


@pytest.fixture(scope="module", params=ROWS)
def learn(request, tmp_path_factory):
    row, label = ROWS[request.param]
    df = pd.DataFrame({"text": TEXTS, "label": [label(text) for text in TEXTS]})
    dls = TextDataLoaders.from_df(df, text_col="text", label_col="label", y_block=row.target.kind, bs=4, seed=0,
                                  tok_tfm=Tokenizer(BaseTokenizer(), rules=[]), min_freq=1, cache_dir=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, row.target.task, row)
        torch.manual_seed(0)
        learn = text_classifier_learner(dls, AWD_LSTM, config=dict(emb_sz=8, n_hid=12, n_layers=1), seq_len=3,
                                        drop_mult=0, pretrained=False, metrics=row.metrics, verbose=False,
                                        path=tmp_path_factory.mktemp("task"))
        learn.said = label
        learn.before = learn.validate(dl=learn.dls.train)[0]
        learn.fit_one_cycle(12, 0.05)
        yield learn


def test_a_task_learns(learn):
    assert learn.validate(dl=learn.dls.train)[0] < 0.9 * learn.before


def test_a_prediction_is_the_same_in_any_batch(learn):
    for text, found in zip(TEXTS, learn.predict(TEXTS), strict=True):
        alone = learn.predict(text)
        for one, other in zip(alone, found, strict=True):
            if isinstance(one, float | torch.Tensor):
                torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
            else:
                assert one == other
        assert repr(alone) and alone._repr_html_()


def test_labels_come_back_from_their_numbers(learn):
    for ids, y in learn.dls.train_ds:
        said, told = learn.said(learn.dls.words(ids)), learn.dls.decode(y)
        if learn.dls.target.places == "chars":
            assert learn.dls.words(ids[told[0]:told[1] + 1]) == "".join(each["text"] for each in said)
            continue
        assert told == (said.split() if learn.dls.target.per == "token" else
                        pytest.approx(said) if isinstance(said, float) else said)


def test_a_target_is_built_again_from_its_config(learn):
    target = learn.dls.target
    again = type(target).from_config(target.config())
    assert (again.config(), again.c) == (target.config(), target.c)


def test_results_are_shown_in_the_columns_of_the_task(learn, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    learn.show_results()
    first = capsys.readouterr().out.splitlines()[0]
    assert all(column in first for column in learn.task.columns)


@pytest.mark.parametrize("load", [load_learner, load_predictor])
def test_a_task_is_exported_and_loaded(learn, load, tmp_path):
    ours, theirs = learn.predict(TEXTS), load(learn.export(tmp_path / "model")).predict(TEXTS)
    for one, other in zip(ours, theirs, strict=True):
        assert [*map(repr, one)] == [*map(repr, other)]
