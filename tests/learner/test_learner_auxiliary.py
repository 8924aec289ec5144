"""A classifier that also learns to guess the next token."""

import pytest
import torch
import torch.nn.functional as F
from learner_toys import At, classifier, same, state

from ulmfit_easy.all import AuxiliaryLM, load_learner
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.callbacks.auxiliary import next_tokens


def test_the_next_tokens_are_those_of_the_kept_positions():
    ids = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 0, 0, 0], [0, 0, 0, 0, 0]])
    mask = torch.tensor([[True, False, False, False], [False, False, True, True], [True] * 4])
    expected = [[-100, 8, 9, -100], [6, -100, -100, -100], [-100] * 4]
    assert next_tokens(ids, torch.tensor([5, 2, 0]), mask).tolist() == expected


@pytest.mark.parametrize("max_len", [10, None])
def test_the_loss_is_that_of_the_task_and_the_weighted_one_of_the_language(max_len):
    learn, seen = classifier(drop_mult=0, seq_len=5, max_len=max_len, alpha=0, beta=0, precision="fp32"), []
    learn.unfreeze()

    def check():
        (ids, lengths), aux = learn.xb, learn.auxiliary_lm
        with torch.no_grad():
            told = []
            for row, n in zip(ids, lengths.tolist(), strict=True):
                states = learn.encoder(row[None, :n]).raw[0]
                first = 0 if max_len is None else max(0, -(-(n - max_len) // 5) * 5)
                log_probs = (states[first:-1] @ learn.encoder.embedding.weight.T).log_softmax(1)
                told.append(-log_probs.gather(1, row[first + 1:n, None]))
        torch.testing.assert_close(aux.lm_loss.detach(), torch.cat(told).mean())
        torch.testing.assert_close(learn.loss_grad.detach(), F.cross_entropy(learn.pred, learn.y).detach()
                                   + 0.3 * aux.lm_loss.detach())
        seen.append(ids.shape)

    last = At("after_loss", check)
    last.order, last.run_valid = 5, False
    learn.fit(1, 0.01, cbs=[AuxiliaryLM(0.3), last])
    assert any(shape[1] > 10 for shape in seen)


def test_a_model_learns_its_language_and_is_saved_without_a_trace(clas_dls, tmp_path):
    losses = {}
    for weight in (0, 2):
        learn = classifier(clas_dls, drop_mult=0, path=tmp_path).unfreeze()
        losses[weight] = []
        note = At("after_loss", lambda learn=learn, w=weight: losses[w].append(learn.auxiliary_lm.lm_loss.item()))
        note.order = 5
        note.run_valid = False
        learn.fit(3, 0.05, cbs=[AuxiliaryLM(weight), note])
    assert losses[2][-1] < losses[0][-1] - 0.1
    assert state(learn.model).keys() == state(classifier(clas_dls).model).keys()
    assert same(state(load_learner(learn.export()).model), state(learn.model))


def test_frozen_layers_have_nothing_to_learn(clas_dls):
    learn, aux = classifier(clas_dls), AuxiliaryLM()
    learn.freeze().fit(1, cbs=aux)
    assert aux.lm_loss is None


@pytest.mark.parametrize("change, said", [({"streams": False}, "AuxiliaryLM with AWD_LSTM, an encoder without memory"),
                                          ({"width": 5}, "states of 5 numbers over an embedding of 8")], ids=str)
def test_an_encoder_that_cannot_guess_is_e603(clas_dls, change, said):
    learn = classifier(clas_dls)
    vars(learn.encoder).update(change)
    with pytest.raises(ArgumentError, match=f"E603.*{said}"):
        learn.fit(1, cbs=AuxiliaryLM)


def test_a_weight_below_zero_is_e602():
    with pytest.raises(ArgumentError, match="E602.*weight=-1"):
        AuxiliaryLM(-1)
