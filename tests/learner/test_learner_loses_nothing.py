"""What training accepts, `export` can write and `load_learner` can read: no argument loses a trained model."""

import datetime as dt
from inspect import signature

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_toys import TINY, text_dls
from odd_values import ODD

from ulmfit_easy.all import (
    AWD_LSTM,
    BaseTokenizer,
    BCEWithLogitsLossFlat,
    Learner,
    TextDataLoaders,
    Tokenizer,
    language_model_learner,
    load_learner,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.errors import ArgumentError, FileError, LabelError, TextError, TrainingError, UlmfitError
from ulmfit_easy.learner.text_learner import TextLearner

DF = toy_reviews(24, seed=0)
def half(a, b) -> pd.Series:
    """One label for every second row, another one for the others."""
    return pd.Series([a if i % 2 else b for i in range(len(DF))], dtype=object)


LABELS = [half("a", "b"), half(1, 2), half(np.int64(1), np.int64(2)), half(0.0, 1.0), half(True, False),
          half((1, 2), (3, 4)), half("a\ud800", "b"), half("a\0", "a"), half(2**63 + 1, 5), half(float("inf"), 1.0),
          half(1, True),
          half(dt.date(2020, 1, 1), dt.date(2021, 1, 1)), half(np.datetime64("2020"), np.datetime64("2021")),
          half(["a"], ["b"]), half({"a"}, {"b"}), half(b"a", b"b"), pd.Series(pd.cut(np.arange(len(DF)) % 10, 3)),
          half("a", "b").astype("category"), pd.Series(pd.date_range("2020", periods=2)).repeat(12)]


def kept(make, folder, fit=False):
    """Fail unless a learner is refused with a code when it is made, or comes back from its files with its settings."""
    try:
        learn = make()
        if fit:
            learn.fit(1, 1e-2, 0)
    except UlmfitError:
        return False
    again = load_learner(learn.export(folder, half=False))
    assert again.model.config() == learn.model.config() and again.dls.config() == learn.dls.config()
    return True


def classifier(dls, **kwargs):
    return text_classifier_learner(dls, AWD_LSTM, **{"config": TINY, "pretrained": False, "verbose": False, **kwargs})


def data(df=DF, **kwargs):
    options = {"text_col": "text", "label_col": "label", "tok_tfm": BaseTokenizer(), "bs": 4, "seed": 0, "min_freq": 1}
    return TextDataLoaders.from_df(df, **{**options, **kwargs})


@pytest.fixture(scope="module")
def dls():
    return data()


def language_model(dls, **kwargs):
    return language_model_learner(dls, AWD_LSTM, **{"config": TINY, "pretrained": False, "verbose": False, **kwargs})


def with_data(**kwargs):
    dls = data(cache_dir=False, **kwargs)
    return (classifier if dls.target.labelled else language_model)(dls)


def names_of(*functions, without=()):
    names = {p.name for f in functions for p in signature(f).parameters.values() if p.kind is not p.VAR_KEYWORD}
    return sorted(names - {"dls", "arch", "model", "df", "path", "model_dir", "cbs", "metrics", "head", "pretrained"}
                  - {*without})


LEARNERS = {"language model": (language_model, True, language_model_learner, AWD_LSTM.lm_config),
            "classifier": (classifier, False, text_classifier_learner, AWD_LSTM.clas_config)}
DATA = names_of(TextDataLoaders.from_df, without=["device", "cache_dir"])


def test_a_learner_without_a_recorder_trains_and_is_kept(dls, tmp_path):
    assert kept(lambda: classifier(dls, default_cbs=False), tmp_path / "m", fit=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("n", [12, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", LEARNERS)
def test_any_argument_of_a_learner_is_refused_or_kept(kind, tmp_path, n):
    make, is_lm, door, config = LEARNERS[kind]
    dls, arguments = data(is_lm=is_lm), names_of(door, Learner, TextLearner)

    @settings(max_examples=n, deadline=None, database=None, derandomize=True)
    @given(st.dictionaries(st.sampled_from([*arguments, *config]), st.sampled_from(ODD), min_size=1, max_size=2))
    def check(chosen):
        sizes = {name: chosen.pop(name) for name in list(chosen) if name in config}
        kept(lambda: make(dls, **{"config": TINY | sizes, **chosen}), tmp_path / "m", fit=n > 100)
    check()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("n", [8, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("is_lm", [True, False])
def test_any_argument_of_data_is_refused_or_kept(is_lm, tmp_path, n):
    @settings(max_examples=n, deadline=None, database=None, derandomize=True)
    @given(st.dictionaries(st.sampled_from(DATA), st.sampled_from(ODD), min_size=1, max_size=2))
    def check(chosen):
        kept(lambda: with_data(**{"is_lm": is_lm, **chosen}), tmp_path / "m", fit=n > 100)
    check()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("i", range(len(LABELS)))
def test_labels_of_any_type_are_refused_or_kept(tmp_path, i):
    df = DF.assign(label=LABELS[i].reset_index(drop=True))
    kept(lambda: classifier(data(df)), tmp_path / "m")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options, is_kept", [
    ({"bs": np.int64(4)}, True), ({"bs": 4.0}, True), ({"bs": True}, False), ({"backwards": 1}, True),
    ({"backwards": "no"}, False), ({"seq_len": np.int32(9)}, True), ({"labels": ["pos", "neg", "pos"]}, False),
    ({"labels": np.array(["pos", "neg"])}, True), ({"tok_tfm": BaseTokenizer(None)}, True),
    ({"label_delim": ""}, False), ({"label_delim": ";"}, True)])
def test_arguments_of_data_are_refused_or_kept(tmp_path, options, is_kept):
    assert kept(lambda: classifier(data(**options)), tmp_path / "m") is is_kept


def test_columns_of_two_levels_are_refused_before_anything_slow():
    two = DF[["text", "label"]].set_axis(pd.MultiIndex.from_product([["r"], ["text", "label"]]), axis=1)
    with pytest.raises(TextError, match=r"E102.*\('r', 'text'\).*rename"):
        data(two, text_col=[("r", "text")], label_col=[("r", "label")])


@pytest.mark.parametrize("name, value, code", [("n_out", 5, "E603.*n_out=5.*2"), ("y_range", (5, 0), "E602.*lower one"),
                                               ("max_len", 0.5, "E602.*max_len=0.5.*whole number"),
                                               ("config", {"emb_sz": "8"}, "E601.*emb_sz='8'")])
def test_what_a_learner_refuses_is_named(dls, name, value, code):
    with pytest.raises(ArgumentError, match=code):
        classifier(dls, **{name: value})


def test_a_language_model_refuses_arguments_or_keeps_them(tmp_path):
    dls = text_dls(is_lm=True)
    for value, is_kept in ((np.float32(0.5), True), (1, True), (True, False), ("1", False), (None, False)):
        assert kept(lambda drop=value: language_model_learner(
            dls, AWD_LSTM, config=TINY, pretrained=False, drop_mult=drop, verbose=False), tmp_path / "m") is is_kept


def test_a_threshold_for_each_class_is_used_and_kept(tmp_path):
    dls = data(DF.assign(label=half("a;b", "b")), label_delim=";")
    learn = classifier(dls, loss_func=BCEWithLogitsLossFlat(thresh=[0.0, 1.0]))
    again = load_learner(learn.export(tmp_path / "m"))
    assert learn.predict("film").label == again.predict("film").label == ["a"]
    for wrong in ([0.5], 2, "high", [0.5, None]):
        learn.loss_func.thresh = wrong
        with pytest.raises(TrainingError, match="E506"):
            learn.export(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_changed_model_is_refused_by_export_and_not_by_load_learner(dls, tmp_path):
    learn = classifier(dls)
    learn.model[1].layers.add_module("more", torch.nn.Linear(2, 2))
    with pytest.raises(TrainingError, match="E506.*unknown"):
        learn.export(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def shout(text):
    return text.upper()


def test_a_tokenizer_of_other_rules_is_refused_when_a_model_is_loaded(tmp_path):
    own = Tokenizer(BaseTokenizer(), [shout])
    folder = classifier(data(tok_tfm=own)).export(tmp_path / "m")
    for wrong in (None, Tokenizer(BaseTokenizer()), Tokenizer(BaseTokenizer("-"), [shout])):
        with pytest.raises(FileError, match=r"E402.*pass tokenizer=Tokenizer\(...\)"):
            load_learner(folder, tokenizer=wrong)
    assert load_learner(folder, tokenizer=own).dls.tokenizer.tok is own.tok


def test_folders_and_tables_name_the_argument_that_takes_every_class(tmp_path):
    for i in range(8):
        file = tmp_path / ("valid" if i % 4 == 0 else "train") / ("pos", "neg", "unsup")[i % 3] / f"{i}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("a film")
    with pytest.raises(LabelError, match=r"E203.*pass every class as vocab=\[...\]"):
        TextDataLoaders.from_folder(tmp_path, vocab=["neg", "pos"])
    with pytest.raises(LabelError, match=r"E203.*pass every class as labels=\[...\]"):
        data(labels=["neg", "other"])
