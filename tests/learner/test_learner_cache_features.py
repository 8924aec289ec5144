"""Features of a frozen encoder that are kept: what they equal, when texts are read, when they are forgotten."""

import pytest
import torch
from learner_toys import At, classifier, raises, regression, same, state, text_dls

from ulmfit_easy.all import AWD_LSTM, CacheFeatures, Callback, CheckpointCallback, text_classifier_learner
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.heads.pooling import PoolingLinearClassifier
from ulmfit_easy.models.heads.tags import TokenClassifier
from ulmfit_easy.models.heads.token import CLSHead

N = 40  # texts


@pytest.fixture(scope="module")
def dls():
    return text_dls(n=N)


class Reads(Callback):
    """Counts the rows that the encoder reads in each epoch."""

    def before_fit(self):
        self.rows, self.epochs = 0, []
        self.hook = self.model[0].register_forward_hook(lambda module, inputs, out: self.add(len(inputs[0])))

    def add(self, n):
        self.rows += n

    def after_epoch(self):
        self.epochs.append(self.rows)
        self.rows = 0

    def cleanup_fit(self):
        self.hook.remove()


def frozen(dls, **kwargs):
    return classifier(dls, **{"precision": "fp32", "drop_mult": 0, "cache_features": True, "cbs": Reads(),
                              **kwargs}).freeze()


def losses(learn, n=3):
    learn.fit(n, 1e-2)
    return [row[:2] for row in learn.recorder.values]


def test_training_is_that_on_texts_if_nothing_is_dropped(dls):
    with_it, without = (losses(frozen(dls_of(dls), cache_features=cached)) for cached in (True, False))
    torch.testing.assert_close(with_it, without, rtol=1e-5, atol=1e-6)


def dls_of(dls):
    """Return the data at their beginning."""
    for dl in dls:
        dl.load_state_dict({"seed": 0, "epoch": 0})
    return dls


def test_each_text_is_read_once_until_something_changes(dls, tmp_path):
    learn = frozen(dls, metrics=None, path=tmp_path)
    learn.fit(3, 1e-3)
    assert learn.reads.epochs == [N, 0, 0]  # training and validation together
    kept = learn.cache_features.kept
    assert len(kept) == N and {len(v) for v in kept.values()} == {3 * 8}  # no more memory than that
    learn.fit(1, 1e-3)
    assert learn.reads.epochs == [0]
    weight = next(learn.encoder.rnns[0].parameters())
    for written in (weight.detach(), weight.data):  # autograd counts the first, and nothing the second
        written.mul_(1.01)
        learn.fit(2, 1e-3)
        assert learn.reads.epochs == [N, 0] and learn.cache_features.kept is not kept
    learn.save("a")
    learn.load("a").fit(1, 1e-3)
    assert learn.reads.epochs == [N]
    learn.model[0].max_len = learn.model[0].seq_len
    learn.fit(1, 1e-3)
    assert learn.reads.epochs == [N]
    learn.freeze_to(-2).fit(1, 1e-3)
    assert learn.reads.epochs == [N] and not learn.cache_features.kept
    learn.freeze().fit(1, 1e-3)
    assert learn.reads.epochs == [N]
    learn.dls = text_dls(n=N + 20, text_vocab=dls.text_vocab)
    learn.fit(1, 1e-3)
    assert 0 < learn.reads.epochs[0] < N + 20  # the new texts


def test_texts_that_change_in_each_batch_are_read_batch_by_batch(dls, monkeypatch):
    asked, keys, tokens = [], CacheFeatures._keys, iter(range(100))
    monkeypatch.setattr(CacheFeatures, "_keys", lambda self, *xb: asked.append(len(xb[0])) or keys(self, *xb))

    def change():
        ids, lengths = learn.xb
        learn.xb = ids.index_fill(1, torch.tensor([0]), next(tokens)), lengths

    learn, held = frozen(dls), []
    learn.fit(12, 1e-3, cbs=[At("before_batch", change), At("before_train", lambda: asked.clear()),
                            At("after_epoch", lambda: held.append(len(learn.cache_features.kept)))])
    assert sum(asked) <= 3 * N  # each loader once, each batch twice
    assert max(held) <= 6 * N  # not more with each epoch


def test_another_head_is_given_what_it_reads(dls):
    learn = frozen(dls)
    learn.fit(1, 1e-3)
    learn.model[1] = frozen(dls, head=CLSHead).model[1]
    learn.fit(1, 1e-3)
    assert learn.reads.epochs == [N] and {len(v) for v in learn.cache_features.kept.values()} == {8}


def test_answers_and_inputs_are_those_of_the_texts(dls):
    learn = frozen(dls)
    seen = []
    learn.fit(1, 1e-2, cbs=At("after_batch", lambda: seen.append(len(learn.xb))))
    assert {*seen} == {2}
    n = len(learn.cache_features.kept)
    assert len(learn.get_preds(dl=dls.test_dl(["a text that is not kept"]), with_input=True)[0]) == 1
    assert len(learn.cache_features.kept) == n
    ids, lengths, _ = dls.valid.one_batch()
    model = learn.model.eval()
    torch.testing.assert_close(model(ids, lengths, model.features(ids, lengths)).logits, model(ids, lengths).logits)


def test_only_the_dropout_of_the_head_is_on(dls):
    learn = frozen(dls, drop_mult=1.0)
    learn.fit(1, 1e-3)
    ids = dls.train.one_batch()[:2]
    kept = torch.stack([learn.cache_features.kept[key] for key in learn.cache_features._keys(*ids)])
    torch.testing.assert_close(kept, learn.model.eval().features(*ids).detach())
    learn.model.train()
    assert not torch.equal(learn.model(*ids, kept).logits, learn.model(*ids, kept).logits)


def test_a_fit_that_was_stopped_goes_on_to_the_bit(tmp_path):
    def run(path, stop=None):
        learn = frozen(text_dls(n=N), path=path, drop_mult=0.5)
        cbs = [CheckpointCallback("run", every=1, resume=True)]
        torch.manual_seed(1)
        learn.fit(2, 1e-2, cbs=cbs + ([At("after_backward", raises(KeyboardInterrupt()), stop)] if stop else []))
        return state(learn.model)

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", stop=6)
    assert same(run(tmp_path / "cut"), whole)


class OwnForward(PoolingLinearClassifier):
    """A head whose answers are not those of `answer`."""

    def forward(self, read):
        return 2 * super().forward(read)


@pytest.mark.parametrize("head", [TokenClassifier, OwnForward])
def test_a_head_that_does_not_pool_is_refused(dls, head):
    with pytest.raises(ArgumentError, match=f"E603.*cache_features=True with {head.__name__}.*leave out"):
        text_classifier_learner(dls, AWD_LSTM, head=head, cache_features=True, pretrained=False)


def test_a_model_without_a_head_is_refused():
    with pytest.raises(ArgumentError, match="E603.*CacheFeatures.*leave out"):
        regression().fit(1, cbs=CacheFeatures())
