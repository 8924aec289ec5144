"""The inference module: the learner's own numbers, from a pure function that torch exports."""

from dataclasses import replace

import pytest
import torch

from ulmfit_easy.all import AWD_LSTM, TextDataLoaders, language_model_learner, text_classifier_learner, toy_reviews
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.export import inference_module
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.heads.pooling import PoolingLinearClassifier

TINY = dict(emb_sz=8, n_hid=12, n_layers=2)
DF = toy_reviews(60, seed=0)


@pytest.fixture(scope="module", params=[False, True], ids=["as the paper", "pool_words"])
def learn(request, tmp_path_factory):
    dls = TextDataLoaders.from_df(DF, text_col="text", label_col="label", bs=8, seq_len=10, min_freq=1, seed=0)
    learn = text_classifier_learner(dls, AWD_LSTM, config=TINY, pretrained=False, seq_len=10, max_len=20,
                                    verbose=False, path=tmp_path_factory.mktemp("learn"), pool_words=request.param)
    learn.fit(1, 1e-2)
    return learn


def batch_of(learn, texts):
    dl = learn.dls.test_dl(texts)
    (ids, lengths), = [batch[:2] for batch in dl]
    return ids, lengths, torch.as_tensor(dl.order).argsort()


def test_it_gives_what_the_learner_predicts_also_beyond_max_len(learn):
    texts = ["short", *DF["text"][:5], " ".join(DF["text"][:4])]
    ids, lengths, back = batch_of(learn, texts)
    assert lengths.max() > 2 * 20  # tokens, of which the last 20 or so count
    with torch.no_grad():
        found = inference_module(learn)(ids, lengths)[back]
    assert torch.allclose(found, torch.stack([p.probs for p in learn.predict(texts)]), atol=1e-6)


def test_a_predictor_with_a_temperature_is_exported_with_it(learn):
    hot = replace(learn.predictor, temperature=3.0)
    ids, lengths, back = batch_of(learn, texts := list(DF["text"][:3]))
    with torch.no_grad():
        found = inference_module(hot)(ids, lengths)[back]
    assert torch.allclose(found, torch.stack([p.probs for p in hot.predict(texts)]), atol=1e-6)


@pytest.mark.parametrize("learn", [False, pytest.param(True, marks=pytest.mark.slow)], indirect=True)
def test_torch_exports_it_for_any_number_of_rows(learn, tmp_path):
    ids, lengths, _ = batch_of(learn, list(DF["text"][:6]))
    module, rows = inference_module(learn), torch.export.Dim("rows")
    exported = torch.export.export(module, (ids, lengths), dynamic_shapes=({0: rows}, {0: rows}), strict=False)
    torch.export.save(exported, tmp_path / "classifier.pt2")
    again = torch.export.load(tmp_path / "classifier.pt2").module()
    for n in (6, 3, 1):
        expected = module(ids[:n], lengths[:n])
        assert torch.allclose(again(ids[:n], lengths[:n]), expected, atol=1e-6)
    assert Head.known["PoolingLinearClassifier"] is PoolingLinearClassifier  # torch makes classes of this name


def test_a_language_model_is_e506(learn, tmp_path):
    dls = TextDataLoaders.from_df(DF, text_col="text", is_lm=True, bs=8, seq_len=10, min_freq=1, cache_dir=False)
    lm = language_model_learner(dls, AWD_LSTM, config=TINY, pretrained=False, verbose=False)
    with pytest.raises(TrainingError, match="E506"):
        inference_module(lm)
