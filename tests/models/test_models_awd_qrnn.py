"""AWD_QRNN: its published sizes and names, and a language model that learns. The contracts have all else."""

import copy

import pytest
import torch

from ulmfit_easy.all import (
    AWD_LSTM,
    AWD_QRNN,
    BaseTokenizer,
    TextDataLoaders,
    awd_qrnn_clas_config,
    awd_qrnn_lm_config,
    language_model_learner,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.errors import FileError
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.models.classifier import get_text_classifier
from ulmfit_easy.models.encoder import text_split
from ulmfit_easy.models.language_model import get_language_model

B, T, V, E, H, L = 3, 5, 23, 4, 7, 3
TINY = dict(emb_sz=E, n_hid=H, n_layers=L)


def ids(n=T):
    return torch.randint(2, V, (B, n))


def rnn_names(prefix, i):
    return {f"{prefix}rnns.{i}.layers.0.linear.{name}" for name in ("weight_raw", "module.bias")}


# --- the encoder --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_layers", [1, 2, 4])
def test_every_output_has_its_documented_shape(n_layers):
    out = AWD_QRNN(V, E, H, n_layers)(ids(), layers=True)
    widths = [H] * (n_layers - 1) + [E]
    assert [s.shape for s in out.layers] == [(B, T, n) for n in (E, *widths)]
    assert out.raw.shape == (B, T, E)
    shapes = [(B, widths[0]), (B, E), *((B, n) for n in widths[1:])]  # the first layer looks back one token
    assert [s.shape for s in out.memory] == shapes
    assert [s.shape for s in AWD_QRNN(V, E, H, n_layers).init_memory(B)] == shapes


def test_the_state_is_in_the_type_of_the_weights():
    encoder = AWD_QRNN(V, E, H, L).double()
    out = encoder(ids())
    assert {s.dtype for s in out.memory} == {out.raw.dtype} == {torch.float64}


def test_drop_mult_scales_every_dropout_and_zero_is_the_plain_model():
    model, x = get_language_model(AWD_QRNN, V, TINY, drop_mult=0.5), ids()
    linears = [rnn.layers[0].linear for rnn in model[0].rnns]
    assert [linear.weight_p for linear in linears] == [0.1] * L  # half of 0.2, on every layer
    assert not torch.equal(model(x).logits(), model(x).logits())
    plain = get_language_model(AWD_QRNN, V, TINY, drop_mult=0)
    assert torch.equal(plain(x).logits(), plain.eval()(x).logits())


# --- names, sizes, groups -----------------------------------------------------------------------------------


def test_the_default_sizes_and_dropouts_are_the_published_ones():
    sizes = dict(emb_sz=400, n_hid=1552, n_layers=4, pad_token=1, bidir=False)
    assert awd_qrnn_lm_config == dict(sizes, output_p=0.1, hidden_p=0.15, input_p=0.25, embed_p=0.02,
                                      weight_p=0.2, tie_weights=True, out_bias=True)
    assert awd_qrnn_clas_config == dict(sizes, output_p=0.4, hidden_p=0.3, input_p=0.4, embed_p=0.05, weight_p=0.5)
    assert get_arch("AWD_QRNN") is AWD_QRNN


def test_the_names_and_shapes_of_a_language_model_are_multifits():
    with torch.device("meta"):
        model = get_language_model(AWD_QRNN, 15_000, dict(n_hid=1550))
    shapes = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    linears = [(4650, 800), (4650, 1550), (4650, 1550), (1200, 1550)]
    words = dict.fromkeys(("0.encoder.weight", "0.encoder_dp.emb.weight", "1.decoder.weight"), (15_000, 400))
    expected = words | {"1.decoder.bias": (15_000,)}
    for i, (n_out, n_in) in enumerate(linears):
        expected[f"0.rnns.{i}.layers.0.linear.weight_raw"] = (n_out, n_in)
        expected[f"0.rnns.{i}.layers.0.linear.module.bias"] = (n_out,)
    assert shapes == expected
    assert sum(p.numel() for p in model.parameters()) == 26_025_150


def names_of(model, group):
    by_id = {id(p): name for name, p in model.named_parameters()}
    return {by_id[id(p)] for p in group}


def test_language_model_groups_are_the_rnns_then_embedding_with_decoder():
    model = get_language_model(AWD_QRNN, V, TINY)
    groups = text_split(model)
    assert [names_of(model, g) for g in groups] == [
        *(rnn_names("0.", i) for i in range(L)), {"0.encoder.weight", "1.decoder.bias"}]


def test_classifier_groups_are_embedding_rnns_head():
    model = get_text_classifier(AWD_QRNN, V, 2, config=TINY)
    groups = text_split(model)
    assert [names_of(model, g) for g in groups[:-1]] == [
        {"0.module.encoder.weight"}, *(rnn_names("0.module.", i) for i in range(L))]
    assert all(name.startswith("1.layers.") for name in names_of(model, groups[-1]))
    assert sum(map(len, groups)) == len(list(model.parameters()))


# --- learners -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    """A tiny language model, trained for a moment on toy reviews, and its losses before and after."""
    torch.manual_seed(0)
    dls = reviews(is_lm=True)
    learn = language_model_learner(dls, AWD_QRNN, config=dict(emb_sz=16, n_hid=24, n_layers=2), drop_mult=0.1,
                                   pretrained=False, path=tmp_path_factory.mktemp("lm"), verbose=False)
    learn.losses = [float(learn.validate()[0])]
    learn.fit_one_cycle(3, 2e-2)
    learn.losses.append(float(learn.validate()[0]))
    return learn


def reviews(**kwargs):
    options = dict(text_col="text", tok_tfm=BaseTokenizer(), bs=8, seq_len=10, seed=0, min_freq=1)
    return TextDataLoaders.from_df(toy_reviews(n=90, seed=0), **options, **kwargs)


def test_a_language_model_learns(lm):
    before, after = lm.losses
    assert after < before - 1.5, lm.losses


def test_training_carries_the_state_of_both_kinds_from_batch_to_batch(lm):
    learn = copy.deepcopy(lm)
    memories = []
    learn.model[0].register_forward_pre_hook(
        lambda module, args, kwargs: memories.append(kwargs["memory"]), with_kwargs=True)
    learn.fit(1, 1e-3)
    carried = memories[1]  # the second batch of training
    assert memories[0] is None and len(carried) == 3
    assert all(s.abs().sum() > 0 and not s.requires_grad for s in carried)


def test_the_encoder_of_an_lstm_does_not_fit(lm):
    lm.save_encoder("tuned")
    clas = text_classifier_learner(
        reviews(label_col="label", text_vocab=lm.dls.vocab), AWD_LSTM, config=dict(emb_sz=16, n_hid=24, n_layers=2),
        pretrained=False, path=lm.path, verbose=False)
    with pytest.raises(FileError, match="E402.*with arch=AWD_QRNN. Expected arch=AWD_LSTM. "):
        clas.load_encoder("tuned")
