import copy

import pytest
import torch

from ulmfit_easy.models.awd_lstm import AWD_LSTM, awd_lstm_lm_split
from ulmfit_easy.models.classifier import get_text_classifier
from ulmfit_easy.models.language_model import get_language_model

B, T, V, E, H, L = 3, 5, 23, 4, 7, 3
TINY = dict(emb_sz=E, n_hid=H, n_layers=L)


def ids():
    return torch.randint(2, V, (B, T))


def names_of(model, group):
    by_id = {id(p): name for name, p in model.named_parameters(remove_duplicate=False)}
    return {by_id[id(p)] for p in group}


def rnn_names(prefix, i):
    stems = ("weight_hh_l0_raw", "module.weight_ih_l0", "module.bias_ih_l0", "module.bias_hh_l0")
    return {f"{prefix}rnns.{i}.{stem}" for stem in stems}


def test_every_output_has_its_documented_shape():
    out = AWD_LSTM(V, E, H, L)(ids(), layers=True)
    assert [s.shape for s in out.layers] == [(B, T, E), (B, T, H), (B, T, H), (B, T, E)]
    assert out.raw.shape == (B, T, E)
    assert [s.shape for s in out.memory] == [(B, n) for n in (H, H, H, H, E, E)]  # h and c of each layer


@pytest.mark.parametrize("n_layers", [1, 2, 4])
def test_any_number_of_layers_ends_as_wide_as_the_embedding(n_layers):
    out = AWD_LSTM(V, E, H, n_layers)(ids(), layers=True)
    assert [s.shape[2] for s in out.layers] == [E] + [H] * (n_layers - 1) + [E]


def test_the_state_is_in_the_type_of_the_weights():
    encoder = AWD_LSTM(V, E, H, L).double()
    assert encoder(ids()).raw.dtype == torch.float64
    assert encoder.init_memory(2)[0].dtype == torch.float64


def test_embeddings_start_uniform_within_a_tenth():
    weight = AWD_LSTM(1000, E, H, L).encoder.weight
    assert -0.1 <= weight.min() < -0.09 and 0.09 < weight.max() <= 0.1


def test_dropout_is_on_in_training():
    model, x = get_language_model(AWD_LSTM, V, TINY), ids()
    assert not torch.equal(model(x).logits(), model(x).logits())


def test_the_decoder_is_the_embedding_and_a_copy_keeps_the_tie():
    model = get_language_model(AWD_LSTM, V, TINY)
    model(ids()).logits().sum().backward()
    for m in (model, copy.deepcopy(model)):
        assert m[0].encoder.weight is m[1].decoder.weight is m[0].encoder_dp.emb.weight


def test_an_untied_decoder_has_its_own_weight_and_may_have_no_bias():
    model = get_language_model(AWD_LSTM, V, dict(TINY, tie_weights=False, out_bias=False))
    assert model[0].encoder.weight is not model[1].decoder.weight
    assert model[1].decoder.bias is None
    groups = awd_lstm_lm_split(model)
    assert names_of(model, groups[-1]) == {"0.encoder_dp.emb.weight", "1.decoder.weight"}


def test_language_model_state_dict_has_exactly_the_published_names():
    expected = {"0.encoder.weight", "0.encoder_dp.emb.weight", "1.decoder.weight", "1.decoder.bias"}
    expected = expected.union(*(rnn_names("0.", i) for i in range(L)))
    model = get_language_model(AWD_LSTM, V, TINY)
    shapes = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    assert set(shapes) == expected
    assert shapes["0.encoder.weight"] == shapes["1.decoder.weight"] == (V, E)
    assert shapes["0.rnns.1.weight_hh_l0_raw"] == (4 * H, H)
    assert shapes["0.rnns.2.module.weight_ih_l0"] == (4 * E, H)


def test_classifier_state_dict_has_exactly_the_published_names():
    expected = {"0.module.encoder.weight", "0.module.encoder_dp.emb.weight"}
    expected = expected.union(*(rnn_names("0.module.", i) for i in range(L)))
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected |= {f"1.layers.{i}.0.{name}" for i in (0, 1) for name in norm}
    expected |= {f"1.layers.{i}.2.weight" for i in (0, 1)}
    for ps in (None, [0.0]):  # a dropout of 0 renames nothing
        model = get_text_classifier(AWD_LSTM, V, 2, config=TINY, drop_mult=0, ps=ps)
        assert set(model.state_dict()) == expected


def test_published_sizes_give_the_published_number_of_parameters():
    with torch.device("meta"):
        model = get_language_model(AWD_LSTM, 60_000)
    assert sum(p.numel() for p in model.parameters()) == 44_333_280
