"""Masked language models that transformers saved, with their decoders and without."""

import os

import pytest
import torch
from hf_toys import save_bert

from ulmfit_easy.all import (
    MaskedToken,
    TextDataLoaders,
    language_model_learner,
    load_learner,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.bundle.foreign import load_any
from ulmfit_easy.models.transformer import Transformer

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers", reason="needs the package transformers: pip install -e '.[hf]'")
tokenizers = pytest.importorskip("tokenizers")

SIZES = dict(max_position_embeddings=66, std=0.2)
CONFIGS = {"bert": {}, "roberta": {}, "electra": dict(embedding_size=4), "albert": dict(embedding_size=4),
           "distilbert": dict(dim=8, n_layers=2, n_heads=2, hidden_dim=8)}
TABLE = toy_reviews(60, seed=1)


def data(folder, path, **kwargs):
    return TextDataLoaders.from_df(TABLE, path, **{"text_col": "text", "is_lm": True, "pretrained": folder, "bs": 8,
                                                   "seed": 0, "seq_len": 40, **kwargs})


@pytest.mark.parametrize(("model_type", "act"), [("bert", "relu"), ("electra", "gelu"), *(
    pytest.param(name, act, marks=pytest.mark.slow) for name, act in (
        ("electra", "relu"), ("bert", "gelu"), ("roberta", "relu"), ("albert", "gelu_new"), ("distilbert", "gelu")))])
def test_logits_are_those_of_transformers(model_type, act, tmp_path):
    named = "activation" if model_type == "distilbert" else "hidden_act"
    folder = save_bert(tmp_path, "AutoModelForMaskedLM", model_type, **SIZES, **CONFIGS[model_type], **{named: act})
    dls = data(folder, tmp_path)
    assert dls.task == "mlm"
    learn = language_model_learner(dls, Transformer, verbose=False, path=tmp_path)
    assert load_learner(learn.export()).head.act is learn.head.act
    ids, lengths, at, _ = dls.one_batch()
    mask = torch.arange(ids.shape[1]) < lengths[:, None]
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
    logits = theirs(input_ids=ids, attention_mask=mask.long()).logits  # (B, T, V)
    torch.testing.assert_close(learn.model.eval()(ids, lengths, at).logits()[0], logits.flatten(0, 1)[at],
                               atol=1e-4, rtol=1e-4)


def test_a_discriminator_brings_no_decoder(tmp_path):
    folder = save_bert(tmp_path, "AutoModelForPreTraining", "electra", **SIZES, **CONFIGS["electra"])
    assert not any(name.startswith("1.") for name in load_any(folder)[2])


def test_pieces_of_a_word_are_hidden_together(tmp_path):
    dls = data(save_bert(tmp_path, **SIZES), tmp_path, objective=MaskedToken(whole_words=True))
    for dl in (dls.train, dls.valid, dls.test_dl(TABLE["text"])):
        ids, _, at, y = dl.one_batch()
        whole, hidden = ids.flatten().clone(), {*at.tolist()}
        whole[at] = y[0]
        goes_on = [i for i, token in enumerate(whole.tolist()) if dls.text_vocab[token].startswith("##")
                   and not dls.text_vocab[whole[i - 1]].startswith("[")]  # a piece may begin in a word
        assert goes_on and all((i in hidden) == (i - 1 in hidden) for i in goes_on)


def test_stage_2_of_an_encoder_without_a_decoder_goes_on_to_a_classifier(tmp_path):
    dls = data(save_bert(tmp_path, **SIZES), tmp_path)
    learn = language_model_learner(dls, Transformer, verbose=False)
    assert learn.head.decoder.weight is learn.encoder.embedding.weight and learn.n_matched > 100
    before = learn.encoder.blocks[1].attention.self.query.weight.clone()
    learn.unfreeze().fit(1, 1e-3)
    assert not torch.equal(learn.encoder.blocks[1].attention.self.query.weight, before)
    assert learn.predict("the [MASK] was good").text.endswith(" was good")
    learn.save_encoder("tuned")
    labelled = data(learn, tmp_path, is_lm=False, label_col="label")
    clas = text_classifier_learner(labelled, Transformer, verbose=False).load_encoder("tuned")
    assert all(map(torch.equal, clas.encoder.state_dict().values(), learn.encoder.state_dict().values()))
