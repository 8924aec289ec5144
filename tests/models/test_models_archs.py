import pytest

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.models.awd_lstm import AWD_LSTM, awd_lstm_lm_config
from ulmfit_easy.models.classifier import get_text_classifier
from ulmfit_easy.models.language_model import get_language_model

TINY = dict(emb_sz=4, n_hid=7, n_layers=2)


def test_an_architecture_is_found_by_class_and_by_name():
    assert get_arch(AWD_LSTM) is get_arch("AWD_LSTM") is get_arch("awd_lstm") is AWD_LSTM


@pytest.mark.parametrize("arch", ["os.system", dict])
def test_an_unknown_architecture_is_refused_and_never_imported(arch):
    with pytest.raises(ArgumentError, match="E604.*AWD_LSTM"):
        get_arch(arch)


def test_drop_mult_scales_every_dropout_of_a_language_model_and_leaves_the_defaults_alone():
    before = dict(awd_lstm_lm_config)
    model = get_language_model(AWD_LSTM, 11, TINY, drop_mult=0.5)
    got = [model[0].input_dp.p, model[0].hidden_dps[0].p, model[0].encoder_dp.embed_p,
           model[0].rnns[1].weight_p, model[1].output_dp.p]
    assert got == [0.125, 0.075, 0.01, 0.1, 0.05]
    assert awd_lstm_lm_config == before


def test_drop_mult_scales_the_first_dropout_of_the_head_and_not_the_given_ones():
    head = get_text_classifier(AWD_LSTM, 11, 2, config=TINY, drop_mult=0.5)[1]
    assert [block[1].p for block in head.layers] == [0.2, 0.1]
    head = get_text_classifier(AWD_LSTM, 11, 2, config=TINY, drop_mult=0.5, lin_ftrs=[9, 8], ps=[0.3, 0.6])[1]
    assert [block[1].p for block in head.layers] == [0.2, 0.3, 0.6]
    assert [block[2].weight.shape for block in head.layers] == [(9, 12), (8, 9), (2, 8)]


@pytest.mark.parametrize("config, drop_mult, said", [
    (dict(n_hidden=5), 1, "E604.*n_hidden"),
    (dict(input_p=0.6), 2, "E602.*input_p"),
    (dict(bidir=True), 1, "E602.*backwards=True")])
def test_a_config_that_cannot_work_is_refused_by_name(config, drop_mult, said):
    with pytest.raises(ArgumentError, match=said):
        get_text_classifier(AWD_LSTM, 11, 2, config=config, drop_mult=drop_mult)


def test_the_padding_id_reaches_the_embedding():
    assert get_text_classifier(AWD_LSTM, 11, 2, config=TINY, pad_idx=3)[0].module.encoder.padding_idx == 3
