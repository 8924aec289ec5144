"""Hidden tokens and the next sentence, learned together."""

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ulmfit_easy.all import (
    BaseTokenizer,
    NextSentence,
    NextSentenceAccuracy,
    Perplexity,
    TextDataLoaders,
    accuracy,
    language_model_learner,
    load_learner,
    text_classifier_learner,
)
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.models.encoder import Encoded, Encoder

TEXTS = [f"{who} sees {what} . then {who} likes {what} ." for who in ("anna", "bert", "carl", "dora", "emma", "fred")
         for what in ("oslo", "rome", "cats")]
METRICS = [accuracy, Perplexity(), NextSentenceAccuracy()]


class Meets(Encoder):
    """An encoder without memory whose states are mixed with the mean of their text."""

    lm_config, clas_config = (config | dict(emb_sz=16) for config in (Encoder.lm_config, Encoder.clas_config))

    def __init__(self, vocab_sz, emb_sz, pad_token=1):
        super().__init__()
        self.width, self.embedding = emb_sz, nn.Embedding(vocab_sz, emb_sz)
        self.mix = nn.Linear(2 * emb_sz, emb_sz)

    def forward(self, ids, lengths=None, memory=None, layers=False):
        x = self.embedding(ids)  # (B, T, E)
        lengths = torch.full_like(ids[:, 0], ids.shape[1]) if lengths is None else lengths
        real = (torch.arange(ids.shape[1], device=ids.device) < lengths[:, None])[..., None]  # (B, T, 1)
        mean = (x * real).sum(1, keepdim=True) / lengths[:, None, None]
        return Encoded(self.mix(torch.cat([x, mean.expand_as(x)], 2)), None, x)

    def groups(self):
        return [list(self.embedding.parameters()), list(self.mix.parameters())]


def data(objective="mlm+nsp", **kwargs):
    df = pd.DataFrame({"text": TEXTS, "label": [i % 2 for i in range(len(TEXTS))]})
    options = dict(text_col="text", is_lm=True, objective=objective, tok_tfm=BaseTokenizer(), min_freq=1, bs=6, seed=0,
                   pretrained=False, cache_dir=False)
    return TextDataLoaders.from_df(df, **{**options, **kwargs})


@pytest.fixture(scope="module")
def learn(tmp_path_factory):
    torch.manual_seed(0)
    learn = language_model_learner(data(), Meets, pretrained=False, verbose=False, metrics=METRICS,
                                   path=tmp_path_factory.mktemp("pairs"))
    learn.before = learn.validate(dl=learn.dls.train)
    learn.fit_one_cycle(6, 0.02)
    return learn


def test_the_loss_is_the_sum_of_two_and_perplexity_is_of_tokens_alone(learn):
    loss, right, perplexity, told = learn.validate(dl=learn.dls.train)
    of_tokens = of_pairs = n_tokens = n_rows = n_right = n_told = 0
    for ids, lengths, at, follows, y in learn.dls.train.unshuffled():
        encoder, head = learn.model.eval().encoder, learn.head
        raw = encoder(ids, lengths).raw
        logits = head.decoder(head.norm(F.gelu(head.dense(raw.flatten(0, 1)[at]))))  # (n, V)
        first, _, last = head.pair
        pairs = last(torch.tanh(first(raw[:, 0])))  # (B, 2)
        of_tokens += F.cross_entropy(logits, y[0], reduction="sum").item()
        of_pairs += len(at) * F.cross_entropy(pairs, follows).item()
        n_tokens, n_rows = n_tokens + len(at), n_rows + len(ids)
        n_right += (logits.argmax(1) == y[0]).sum().item()
        n_told += (pairs.argmax(1) == follows).sum().item()
    assert loss == pytest.approx((of_tokens + of_pairs) / n_tokens, abs=1e-4)
    assert perplexity == pytest.approx(2.718281828 ** (of_tokens / n_tokens), rel=1e-4)
    assert [right, told] == pytest.approx([n_right / n_tokens, n_told / n_rows], abs=1e-6)
    assert loss < learn.before[0]


def test_a_gradient_reaches_both_parts_of_the_head(learn):
    learn.model.train()
    *inputs, y = next(iter(learn.dls.train))
    learn.loss_func(learn.model(*inputs), y).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learn.head.parameters())
    learn.model.zero_grad()


def test_it_is_exported_fills_masks_and_gives_predictions(learn):
    loaded = load_learner(learn.export())
    assert loaded.dls.task == "mlm+nsp" and loaded.predict("anna [MASK] oslo").text == learn.predict(
        "anna [MASK] oslo").text
    assert loaded.validate(dl=learn.dls.valid)[0] == pytest.approx(learn.validate()[0], abs=1e-5)
    preds, y = learn.get_preds()
    assert preds.shape == y.shape


def test_the_answer_about_pairs_is_dropped_and_begins_anew(learn):
    masked = language_model_learner(data("mlm", pretrained=learn), Meets, pretrained=learn, verbose=False)
    again = language_model_learner(data(pretrained=masked), Meets, pretrained=masked, verbose=False)
    clas = text_classifier_learner(data(None, is_lm=False, label_col="label", pretrained=learn), Meets,
                                   pretrained=learn, verbose=False)
    assert not hasattr(masked.head, "pair") and again.head.pair[0].weight.std().item() == pytest.approx(0.02, rel=0.3)
    for other in (masked, again):
        assert torch.equal(other.head.dense.weight, learn.head.dense.weight)
    assert torch.equal(clas.encoder.mix.weight, learn.encoder.mix.weight) and not hasattr(clas.head, "pair")


def test_settings_are_saved_and_a_causal_encoder_is_refused(tmp_path):
    dls = data(NextSentence(0.3, whole_words=True))
    learn = language_model_learner(dls, Meets, pretrained=False, verbose=False, path=tmp_path)
    assert load_learner(learn.export()).dls.target.config() == {"share": 0.3, "whole_words": True}
    with pytest.raises(ArgumentError, match="E603.*AWD_LSTM, which sees no later token"):
        language_model_learner(dls, AWD_LSTM, pretrained=False)
