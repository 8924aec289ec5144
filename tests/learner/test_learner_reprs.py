"""The objects that one looks at tell what they are, in one line that no text can steer."""

import copy
import pickle

import pytest
import torch
from learner_toys import classifier, lm, regression, text_dls

from ulmfit_easy.all import (
    SGD,
    AccumMetric,
    Adam,
    BaseTokenizer,
    BCEWithLogitsLossFlat,
    CategoryBlock,
    CrossEntropyLossFlat,
    DataBlock,
    DataLoaders,
    FocalLossFlat,
    Perplexity,
    RegressionBlock,
    SentencePieceTokenizer,
    SpacyTokenizer,
    TextBlock,
    Tokenizer,
    Vocab,
    accuracy,
    discriminative,
)
from ulmfit_easy.bundle.artefact import Bundle
from ulmfit_easy.learner.metrics.metric import as_metric
from ulmfit_easy.learner.predictor import Prediction
from ulmfit_easy.learner.pretrained import PretrainedLM
from ulmfit_easy.learner.uncertainty import UncertainPrediction
from ulmfit_easy.reprs import compact, slashed, with_settings
from ulmfit_easy.text.special import SPECIAL_TOKENS

WEIGHTS = [torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(2, 3))]


@pytest.fixture(scope="module")
def dls():
    return text_dls()


@pytest.mark.parametrize("thing, shown", [
    (BaseTokenizer(), "BaseTokenizer()"), (BaseTokenizer("\t"), r"BaseTokenizer(split_char='\t')"),
    (SpacyTokenizer("de"), "SpacyTokenizer('de')"),
    (SentencePieceTokenizer("ko", vocab_sz=99), "SentencePieceTokenizer('ko', vocab_sz=99, unigram, no model yet)"),
    (Tokenizer(rules=[]), "Tokenizer(SpacyTokenizer('en'), 0 rules, 1 post_rules)"),
    (Tokenizer(str.split), "Tokenizer(split, 8 rules, 1 post_rules)"),
    (Vocab([*SPECIAL_TOKENS, ",", "a"]), "Vocab(11 tokens: ',', 'a')"),
    (DataBlock((TextBlock.from_df("t"), CategoryBlock(add_na=True))),
     "DataBlock(TextBlock(t), CategoryBlock(add_na=True))"),
    (TextBlock(is_lm=True), "TextBlock(is_lm=True)"), (RegressionBlock(n_out=2), "RegressionBlock(n_out=2)"),
    (as_metric(accuracy), "AvgMetric(accuracy)"), (Perplexity(), "Perplexity(perplexity)"),
    (AccumMetric(max, name="a\x1b"), "AccumMetric(a\ufffd)"),
    (CrossEntropyLossFlat(), "CrossEntropyLossFlat()"), (FocalLossFlat(gamma=3.0), "FocalLossFlat(gamma=3.0)"),
    (CrossEntropyLossFlat(torch.ones(2)), "CrossEntropyLossFlat(weight=tensor([1., 1.]))"),
    (BCEWithLogitsLossFlat(thresh=[0.5] * 50),
     "BCEWithLogitsLossFlat(thresh=[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5\u2026)"),
    (SGD([[WEIGHTS[0]], [WEIGHTS[1]]], discriminative(0.1, 10)),
     "Optimizer(SGDW, 2 layer groups, lr 0.01 to 0.1, mom 0, wd 0)"),
    (Adam([WEIGHTS], 0.1), "Optimizer(AdamW, 1 layer groups, lr 0.1, mom 0.9, sqr_mom 0.99, eps 1e-05, wd 0.01)"),
    (DataLoaders([], []), "DataLoaders(no data)"),
    (DataLoaders((0 for _ in "ab"), [1]), "DataLoaders(train any number of batches, valid 1 batches)"),
    (Bundle({"task": "lm", "encoder": {"name": "AWD_LSTM"}}, Vocab(SPECIAL_TOKENS), {"w": WEIGHTS[0]}),
     "Bundle(lm, AWD_LSTM, a vocabulary of 9 (9 of them special), 4 weights)"),
    (PretrainedLM("mine", {"encoder": {"name": "AWD_LSTM"}}, Vocab(SPECIAL_TOKENS), {"w": WEIGHTS[0]}),
     "PretrainedLM(mine, AWD_LSTM, a vocabulary of 9 (9 of them special), 4 weights)"),
], ids=lambda value: value.split("(")[0] if isinstance(value, str) else "")
def test_an_object_shows_its_kind_and_its_settings(thing, shown):
    assert repr(thing) == shown


def test_loaders_and_learners_tell_their_data_and_what_trains(dls):
    learn, of_lm = classifier(dls), lm()
    assert repr(dls) == ("TextDataLoaders(train 72 rows, valid 18 rows, classes neg/pos, "
                         "a vocabulary of 304 (11 of them special), bs 8)")
    assert repr(dls.train) == "ClassifierDataLoader(72 rows, bs 8, shuffled)"
    assert repr(of_lm.dls.train) == "LMDataLoader(72 rows, bs 8, seq_len 10, shuffled)"
    assert repr(of_lm).startswith("LMLearner(AWD_LSTM, 4,496 parameters, TextDataLoaders(language model: train 72 rows")
    assert repr(learn) == f"TextLearner(AWD_LSTM, 5,640 parameters, {dls!r})"
    learn.freeze()
    assert f"5,640 parameters, 1 of 4 layer groups train, {dls!r}" in repr(learn)
    assert "4 layer groups, the first 3 frozen, lr 0.001, " in repr(learn.opt)
    assert repr(regression().dls.train) == "OnDevice(DataLoader, 4 batches, on cpu)"


@pytest.mark.parametrize("make", [Prediction, lambda *parts: UncertainPrediction(*parts, torch.zeros(2))])
def test_a_prediction_names_its_classes_and_stays_the_tuple_that_it_was(make):
    found = make("<pos>", torch.tensor(1), torch.tensor([0.125, 0.875])).of(["neg", "<pos>"])
    assert "label='<pos>', index=1, probs={'<pos>': 0.875, 'neg': 0.125}" in repr(found)
    label, index, probs, *_ = found
    assert isinstance(found, tuple) and found[:3] == (label, index, probs)
    assert found._fields[:3] == ("label", "index", "probs")
    for again in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert repr(again) == repr(found) and type(again) is type(found)
    assert "<b>&lt;pos&gt;</b>" in found._repr_html_() and "<pos>" not in found._repr_html_()


def test_a_prediction_shows_five_classes_and_numbers_without_names():
    many = Prediction("c", torch.tensor(2), torch.arange(8) / 28).of(list("abcdefgh"))
    assert repr(many).endswith("'d': 0.1071}, and 3 classes more)") and "'h': 0.25, " in repr(many)
    number = Prediction(1.5, torch.tensor([1.5]), torch.tensor([1.5])).of(None)
    assert repr(number) == "Prediction(label=1.5, index=[1.5], probs=[1.5])" == number._repr_html_()
    assert "probs=[0.5]" in repr(Prediction("a", torch.tensor(0), torch.tensor([0.5])).of(["a", "b"]))


def test_predict_gives_predictions_that_know_their_classes(dls):
    learn = classifier(dls)
    assert all("probs={'" in repr(found) for found in learn.predict(["the film", "a film"]))


@pytest.mark.parametrize("n, shown", [(9_999, "9,999"), (12_345, "12.3 k"), (6_123_456, "6.1 M"),
                                      (1_234_567_890, "1,234.6 M")])
def test_large_numbers_are_shown_in_short(n, shown):
    assert compact(n) == shown


def test_many_names_are_cut_and_none_steers_a_terminal():
    assert slashed(list("abcdefg")) == "a/b/c/d/e and 2 more" and len(slashed(["x" * 99])) == 60
    assert "\x1b" not in repr(DataBlock((TextBlock.from_df("\x1b[31m"), CategoryBlock)))
    assert with_settings(BaseTokenizer("\x1b")) == r"BaseTokenizer(split_char='\x1b')"
