"""What training accepts, `export` can write and `load_learner` can read: no argument loses a trained model."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_toys import TINY, text_dls

from ulmfit_easy.all import (
    AWD_LSTM,
    BaseTokenizer,
    BCEWithLogitsLossFlat,
    TextDataLoaders,
    Tokenizer,
    language_model_learner,
    load_learner,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.errors import ArgumentError, FileError, LabelError, TextError, TrainingError, UlmfitError

DF = toy_reviews(24, seed=0)
NUMBERS = [0, 1, 2, 20, -1, 0.5, 20.0, 2.5, float("nan"), float("inf"), True, None, "20", np.int64(20), np.float32(0.5),
           np.bool_(True), np.uint8(20), torch.tensor(20), pd.Series([20]), np.array([20]), [20], 10**30]
PAIRS = [None, (0, 5), [0, 5], (5, 0), (1, 1), np.array([0, 5]), (np.int64(0), np.float32(5)), pd.Series([0.0, 5.0]),
         (0, float("inf")), (1, 2, 3), 5, "05"]
LISTS = [None, [], [20], (20,), np.array([20]), [np.int64(20)], [20.0], [0.1], np.array([0.1]), [True], "20", 20]


def half(a, b) -> pd.Series:
    """One label for every second row, another one for the others."""
    return pd.Series([a if i % 2 else b for i in range(len(DF))], dtype=object)


LABELS = [half("a", "b"), half(1, 2), half(np.int64(1), np.int64(2)), half(0.0, 1.0), half(True, False),
          half((1, 2), (3, 4)), half("a\ud800", "b"), half("a\0", "a"), half(2**63 + 1, 5), half(float("inf"), 1.0),
          half(1, True),
          half(dt.date(2020, 1, 1), dt.date(2021, 1, 1)), half(np.datetime64("2020"), np.datetime64("2021")),
          half(["a"], ["b"]), half({"a"}, {"b"}), half(b"a", b"b"), pd.Series(pd.cut(np.arange(len(DF)) % 10, 3)),
          half("a", "b").astype("category"), pd.Series(pd.date_range("2020", periods=2)).repeat(12)]


def kept(make, folder):
    """Fail unless a learner is refused with a code when it is made, or comes back from its files with its settings."""
    try:
        learn = make()
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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("n", [25, pytest.param(600, marks=pytest.mark.slow)])
def test_arguments_of_learners_are_refused_or_kept(dls, tmp_path, n):
    odd = {"seq_len": NUMBERS, "max_len": NUMBERS, "drop_mult": NUMBERS, "n_out": NUMBERS, "pool_words": NUMBERS,
           "lin_ftrs": LISTS, "ps": LISTS, "y_range": PAIRS, "emb_sz": NUMBERS, "hidden_p": NUMBERS,
           "n_layers": NUMBERS}
    one = st.sampled_from([(name, value) for name, values in odd.items() for value in values])

    @settings(max_examples=n, deadline=None, database=None, derandomize=True)
    @given(st.lists(one, max_size=3))
    def check(chosen):
        given = dict(chosen)
        config = TINY | {k: given.pop(k) for k in list(given) if k in ("emb_sz", "hidden_p", "n_layers")}
        if not isinstance(config["emb_sz"], int) or config["emb_sz"] < 1000:
            kept(lambda: classifier(dls, config=config, **given), tmp_path / "m")
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
