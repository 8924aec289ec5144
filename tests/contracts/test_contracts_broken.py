"""An encoder or a head that breaks its contract is refused when a learner is made of it, by what it breaks."""

import random

import numpy as np
import pandas as pd
import pytest
import torch
from encoder_toys import Causal, Neighbours
from torch import nn

from ulmfit_easy.all import (
    AWD_LSTM,
    BaseTokenizer,
    TextDataLoaders,
    language_model_learner,
    load_learner,
    text_classifier_learner,
)
from ulmfit_easy.data.targets import CategoryTarget
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.encoder import Encoded, Encoder, Memory
from ulmfit_easy.models.heads.head import Head

TABLE = pd.DataFrame({"text": [f"text {i} of some words" for i in range(24)], "label": ["a", "b", "c"] * 8,
                      "number": np.arange(24) / 4})


def data(**kwargs):
    options = dict(label_col="label", tok_tfm=BaseTokenizer(), min_freq=1, bs=8, seed=0, pretrained=False)
    return TextDataLoaders.from_df(TABLE, **{**options, **kwargs})


def classifier(arch, dls=None, **kwargs):
    return text_classifier_learner(dls or data(), arch, pretrained=False, verbose=False, **kwargs)


def language_model(arch, dls=None, **kwargs):
    return language_model_learner(dls or data(label_col=None, is_lm=True, bs=1), arch, pretrained=False, verbose=False,
                                  **kwargs)


class Gru(Causal):
    """Two layers of torch, which lays memory out as (L, B, H)."""

    lm_config = Encoder.lm_config | dict(emb_sz=8)
    clas_config = Encoder.clas_config | dict(emb_sz=8)
    both_ways = False

    def __init__(self, vocab_sz, emb_sz, pad_token=1):
        super(Causal, self).__init__()
        self.width, self.embedding = emb_sz, nn.Embedding(vocab_sz, emb_sz, padding_idx=pad_token)
        self.rnn = nn.GRU(emb_sz, emb_sz // (1 + self.both_ways), 2, batch_first=True, bidirectional=self.both_ways)

    def run(self, embedded, memory):
        x, after = self.rnn(embedded, None if memory is None else memory[0].transpose(0, 1).contiguous())
        return x, Memory([after.transpose(0, 1)])

    def forward(self, ids, lengths=None, memory=None):
        embedded = self.embedding(ids)
        x, after = self.run(embedded, memory)
        return Encoded(x, after, embedded)

    def groups(self):
        return [list(self.embedding.parameters()), list(self.rnn.parameters())]


class WithoutMemory(Gru):
    def run(self, embedded, memory):
        return self.rnn(embedded)[0], None


class MemoryOfTorch(Gru):
    def run(self, embedded, memory):
        x, after = self.rnn(embedded, None if memory is None else memory[0])
        return x, Memory([after])


class BothWays(Gru):
    both_ways = True


class ForgetsMemory(Gru):
    def run(self, embedded, memory):
        return super().run(embedded, None)


class OtherWidth(Gru):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.width += 1


class Wide(Gru):
    """A decoder cannot share the weight of its embedding."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.width, self.rnn = 12, nn.GRU(8, 12, 2, batch_first=True)


class WithoutWidth(Gru):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        del self.width


class FromTheTop(Gru):
    def groups(self):
        return super().groups()[::-1]


class SeesPadding(Neighbours):
    def forward(self, ids, lengths=None, memory=None):
        return super().forward(ids)


CONTRACT = r".*mend the class, or take another; the contract is in ulmfit_easy/models/encoder\.py"
BROKEN = {
    WithoutMemory: r"which raises AttributeError.*Expected a Memory of tensors \(B, ...\).*`streams = True`" + CONTRACT,
    MemoryOfTorch: r"which raises RuntimeError.*Expected from `memory`, batch first, the states of reading at once",
    BothWays: r"which gives others.*Expected with `streams = True` states that know no later token",
    ForgetsMemory: r"which gives others.*Expected from `memory`, batch first, the states of reading at once",
    OtherWidth: r"which gives \(2, 5, 8\), not \(2, 5, 9\)\. Expected states `raw` \(B, T, width\)",
    FromTheTop: r"which gives False.*Expected the embedding in the first of `groups\(\)`",
}


@pytest.mark.parametrize("arch", BROKEN)
@pytest.mark.parametrize("make", [classifier, language_model])
def test_a_broken_encoder_is_refused(arch, make):
    with pytest.raises(ArgumentError, match=rf"E603.*{arch.__name__}, {BROKEN[arch]}"):
        make(arch)


@pytest.mark.parametrize("make", [classifier, language_model])
def test_an_encoder_without_a_width_is_refused(make):
    with pytest.raises(ArgumentError, match="E603.*WithoutWidth without 'width'.*models/encoder.py"):
        make(WithoutWidth)


def test_an_encoder_that_sees_padding_is_refused():
    with pytest.raises(ArgumentError, match="E603.*Received SeesPadding, which gives others.*beside padding.*as alone"):
        classifier(SeesPadding)


def test_a_width_that_no_tied_decoder_can_read_is_refused():
    classifier(Wide)
    language_model(Wide, config=dict(tie_weights=False))
    with pytest.raises(ArgumentError, match=r"E603.*LMDecoder over Wide, which raises.*Expected logits \(B, T, V\)"):
        language_model(Wide)


class OfFirst(Head):
    """It reads the first token, and needs all of them."""

    whole = True

    @classmethod
    def over(cls, encoder, n_out, output_p):
        head = cls()
        head.out = nn.Linear(encoder.width, head.n_of(n_out))
        return head

    def n_of(self, n_out):
        return n_out

    def forward(self, read):
        return self.out(read.raw[:, 0])


class OneMore(OfFirst):
    def n_of(self, n_out):
        return n_out + 1


class OfTwo(OfFirst):
    def n_of(self, n_out):
        return 2


class OfEach(OfFirst):
    def forward(self, read):
        return self.out(read.raw)


class OfPadding(OfFirst):
    def forward(self, read):
        return self.out(read.raw).mean(1)


NUMBERS = dict(label_col="number", y_block="regression")


@pytest.mark.parametrize(("head", "of", "message"), [
    (OneMore, {}, r"gives \(2, 4\), not \(2, 3\)\. Expected logits for the task 'single', 3 for each text"),
    (OfTwo, {}, r"gives \(2, 2\), not \(2, 3\)"), (OfTwo, NUMBERS, r"gives \(2, 2\), not \(2, 1\)"),
    (OfEach, {}, r"gives \(2, \d+, 3\), not \(2, 3\)"), (OfPadding, {}, "gives others.*beside padding.*as alone"),
], ids=["one more", "of two", "of two for a number", "for each token", "of padding"])
def test_a_head_that_does_not_fit_is_refused(head, of, message):
    with pytest.raises(ArgumentError, match=rf"E603.*{head.__name__} over AWD_LSTM, which {message}"):
        classifier(AWD_LSTM, data(**of), head=head, config=dict(emb_sz=8, n_hid=8, n_layers=1))


def test_a_head_of_the_library_that_does_not_fit_a_target_is_refused(monkeypatch):
    dls = data()
    monkeypatch.setattr(CategoryTarget, "per", "token")
    monkeypatch.setattr(CategoryTarget, "__module__", "mine")
    with pytest.raises(ArgumentError, match=r"E603.*PoolingLinearClassifier over AWD_LSTM.*\(2, 3\).*3 for each token"):
        classifier(AWD_LSTM, dls, config=dict(emb_sz=8, n_hid=8, n_layers=1))


@pytest.mark.parametrize("parts", [{"arch": Encoder}, {"head": Head}], ids=["encoder", "head"])
def test_the_contract_itself_is_no_part(parts):
    with pytest.raises(ArgumentError, match="E604.*a subclass of"):
        text_classifier_learner(data(), **{"arch": AWD_LSTM, "pretrained": False, **parts})


def test_a_broken_encoder_of_a_file_is_refused_too(tmp_path, monkeypatch):
    folder = classifier(Gru, path=tmp_path).export()
    monkeypatch.setattr(Gru, "run", WithoutMemory.run)
    with pytest.raises(ArgumentError, match="E603.*Gru, which raises.*a Memory"):
        load_learner(folder)


class Draws(Causal):
    """It draws numbers that it does not use."""

    def forward(self, ids, lengths=None, memory=None):
        random.random(), np.random.rand(), torch.rand(1)
        return super().forward(ids, lengths, memory)


def test_the_trial_leaves_random_numbers_and_the_mode_as_they_were():
    def made(arch):
        dls = data()
        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        learn = classifier(arch, dls)
        return random.random(), np.random.rand(), torch.rand(1).item(), learn.model.training

    assert made(Draws) == made(Causal)


def test_a_head_or_a_target_that_needs_every_token_has_no_max_len(monkeypatch):
    small = dict(config=dict(emb_sz=8, n_hid=8, n_layers=1), max_len=200)
    assert classifier(AWD_LSTM, **small).model[0].max_len == 200
    assert classifier(AWD_LSTM, head=OfFirst, **small).model[0].max_len is None
    monkeypatch.setattr(CategoryTarget, "whole", True)
    assert classifier(AWD_LSTM, **small).model[0].max_len is None
