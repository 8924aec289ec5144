"""ELMo: two language models with shared tables, and the mix of their layers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ulmfit_easy.data.lm import LMDataLoader
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.models.classifier import get_text_classifier
from ulmfit_easy.models.elmo import BothWaysDecoder, ELMo, ScalarMix
from ulmfit_easy.models.encoder import text_split
from ulmfit_easy.models.language_model import get_language_model
from ulmfit_easy.models.softmax import lm_cross_entropy
from ulmfit_easy.text.vocab import MemoryIds

V, SIZES = 20, dict(emb_sz=4, n_hid=6, n_layers=2)
DOCS = [torch.arange(2, 9).numpy(), torch.arange(9, 19).numpy(), torch.arange(4, 16).numpy()]
close = torch.testing.assert_close


def both_ways(seq_len=5, bs=2):
    return LMDataLoader(MemoryIds(DOCS, 1), range(3), bs=bs, seq_len=seq_len, both_ways=True)


def language_model():
    return get_language_model(ELMo, V, SIZES, drop_mult=0, head=BothWaysDecoder)


def encoder(**config):
    """Return an encoder whose mix is no plain mean."""
    made = ELMo(V, **SIZES, hidden_p=0, input_p=0, embed_p=0, weight_p=0, **config)
    with torch.no_grad():
        made.mix.scalars.copy_(torch.tensor([0.5, -1.0, 1.0]))
        made.mix.gamma.fill_(1.5)
    return made


def test_a_batch_has_rows_forwards_and_after_them_rows_backwards():
    stream = {way: torch.cat([torch.from_numpy(doc[::-1].copy() if way else doc) for doc in DOCS]) for way in (0, 1)}
    x, y = (torch.cat(part, 1) for part in zip(*both_ways(), strict=True))  # (2 B, N / B)
    n = x.shape[1]
    for row, (way, b) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        close(x[row], stream[way][b * n:(b + 1) * n])
        close(y[row], stream[way][b * n + 1:(b + 1) * n + 1])


def of_torch(model):
    """Return a plain LSTM of torch for each layer of an AWD_LSTM."""
    layers = []
    for rnn in model.rnns:
        layer = nn.LSTM(rnn.input_size, rnn.hidden_size, batch_first=True)
        layer.load_state_dict({**rnn.module, "weight_hh_l0": rnn.weight_hh_l0_raw})
        layers.append(layer)
    return layers


def test_joint_training_is_the_sum_of_two_losses_with_shared_tables():
    model, batches = language_model(), list(both_ways())
    table = model.encoder.embedding.weight.detach().clone().requires_grad_()  # of words and of the softmax
    bias = model.head.decoder.bias.detach().clone().requires_grad_()
    ways = [of_torch(model.encoder.ahead), of_torch(model.encoder.back)]
    assert model.head.decoder.weight is model.encoder.embedding.weight
    total, n_tokens = 0.0, 0
    for layers, row in zip(ways, (slice(0, 2), slice(2, 4)), strict=True):
        states = [None] * len(layers)
        for x, y in batches:
            h = table[x[row]]
            for i, layer in enumerate(layers):
                h, state = layer(h, states[i])
                states[i] = tuple(s.detach() for s in state)
            total = total + F.cross_entropy((h @ table.T + bias).flatten(0, 1), y[row].flatten(), reduction="sum")
            n_tokens += y[row].numel()
    (total / n_tokens).backward()

    memory, loss = None, 0.0
    for x, y in batches:
        output = model(x, memory)
        memory = output.memory.detach()
        loss = loss + lm_cross_entropy(output, y) * y.numel() / n_tokens
    loss.backward()
    close(loss, total / n_tokens)
    close(model.encoder.embedding.weight.grad, table.grad)
    close(model.head.decoder.bias.grad, bias.grad)
    for half, layers in zip((model.encoder.ahead, model.encoder.back), ways, strict=True):
        for rnn, layer in zip(half.rnns, layers, strict=True):
            close(rnn.weight_hh_l0_raw.grad, layer.weight_hh_l0.grad)
            close(rnn.module["weight_ih_l0"].grad, layer.weight_ih_l0.grad)


def test_windows_of_both_directions_equal_one_reading():
    model = language_model().eval()
    ids = torch.cat([x for x, _ in both_ways()], 1)
    first = model(ids[:, :4])
    close(torch.cat([first.raw, model(ids[:, 4:], first.memory).raw], 1), model(ids).raw)


@pytest.mark.parametrize("shared", [True, False])
def test_layers_are_those_of_two_language_models_that_read_each_text_alone(shared):
    elmo = encoder(shared=shared)
    ids = torch.randint(2, V, (2, 8))
    ids[1, 5:] = 1
    found = elmo(ids, torch.tensor([8, 5]), layers=True)
    for row, n in ((0, 8), (1, 5)):
        words = elmo.embedding(ids[row:row + 1, :n])  # (1, n, E) or (1, n, 2 E)
        ahead, back = (words, words) if shared else words.chunk(2, 2)
        ahead, back = elmo.ahead.states(ahead, layers=True).layers, elmo.back.states(back.flip(1), layers=True).layers
        expected = [torch.cat([x, y.flip(1)], 2) for x, y in zip(ahead, back, strict=True)]
        close([layer[row:row + 1, :n] for layer in found.layers[:3]], expected)


def test_a_mix_is_the_weighted_sum_of_the_layers():
    layers = [torch.randn(2, 3, 2, 4), torch.randn(2, 3, 2, 6)]
    mix = ScalarMix(2)
    with torch.no_grad():
        mix.scalars.copy_(torch.tensor([1.0, 2.0]))
        mix.gamma.fill_(3.0)
    low, high = torch.tensor([1.0, 2.0]).exp() / torch.tensor([1.0, 2.0]).exp().sum()
    expected = 3 * high * layers[1]
    expected[..., :4] += 3 * low * layers[0]
    close(mix(layers), expected)
    close(mix.weights, torch.stack([low, high]))


@pytest.mark.parametrize("reads", ["mix", "words", "both"])
def test_a_head_reads_the_words_the_mix_or_both(reads):
    elmo, ids = encoder(reads=reads), torch.randint(2, V, (2, 5))
    found, words = elmo(ids, layers=True), torch.cat([elmo.embedding(ids)] * 2, 2)
    mix = elmo.mix([layer.unflatten(2, (2, -1)) for layer in found.layers[:3]]).flatten(2)
    close(found.raw, {"mix": mix, "words": words, "both": torch.cat([words, mix], 2)}[reads])
    close(elmo(ids).raw, found.raw)


def test_the_mix_trains_with_the_head():
    model = get_text_classifier(ELMo, V, 2, config=SIZES)
    last = {*text_split(model)[-1]}
    assert {*model.encoder.mix.parameters(), *model.head.parameters()} == last
    assert len(text_split(model)) == 4


def test_two_models_that_were_trained_apart_are_joined():
    ahead, back = (AWD_LSTM(V, **SIZES).eval() for _ in range(2))
    elmo = ELMo(V, **SIZES, shared=False).eval()
    elmo.load_state_dict(ELMo.joined(ahead.state_dict(), back.state_dict()))
    ids = torch.randint(2, V, (2, 7))
    for j, layer in enumerate(elmo(ids, layers=True).layers[:3]):
        x, y = ahead(ids, layers=True).layers[j], back(ids.flip(1), layers=True).layers[j].flip(1)
        close(layer, torch.cat([x, y], 2))


def test_what_elmo_cannot_read_is_refused():
    with pytest.raises(ArgumentError, match="E602.*reads='top'.*mix, words, both"):
        encoder(reads="top")
    with pytest.raises(ArgumentError, match='E603.*"bilm" with AWD_LSTM.*arch=ELMo'):
        get_language_model(AWD_LSTM, V, head=BothWaysDecoder)
    with pytest.raises(ArgumentError, match="E603.*shared=False.*both directions.*leave out shared="):
        get_language_model(ELMo, V, {**SIZES, "shared": False}, head=BothWaysDecoder)
