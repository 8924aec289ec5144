"""Special tokens are the vocabulary's: other names at other ids change no number."""

import json

import numpy as np
import pytest
import torch
from learner_toys import At, classifier, lm, raises, same, state, text_dls

from ulmfit_easy.all import CheckpointCallback, Tokenizer, Vocab, explain
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.learner.text import load_learner
from ulmfit_easy.text.rules import DEFAULT_RULES
from ulmfit_easy.text.special import SPECIAL_TOKENS
from ulmfit_easy.text.words import BaseTokenizer

NAMES = {"xxunk": "[UNK]", "xxpad": "[PAD]", "xxbos": "[CLS]"}
TEXTS = [*toy_reviews(n=3, seed=7)["text"], "a most unheard of film"]
pytestmark = [pytest.mark.usefixtures("float32"), pytest.mark.filterwarnings("ignore")]


def begins_with_cls(text):
    return text.replace("xxbos", "[CLS]")


TOKENIZER = Tokenizer(BaseTokenizer(), [*DEFAULT_RULES, begins_with_cls])


def own_vocab(classic: Vocab) -> Vocab:
    """The same words with `[PAD]` at 0, `[UNK]` at 100, and `[CLS]` to begin with."""
    words = classic[len(SPECIAL_TOKENS):]
    return Vocab(["[PAD]", *words[:99], "[UNK]", "[CLS]", *words[99:], *SPECIAL_TOKENS[3:]],
                 {"unk": "[UNK]", "pad": "[PAD]", "bos": "[CLS]"})


def alike(make, **kwargs):
    """A learner with the classic special tokens, and one that differs from it in nothing but these."""
    classic = text_dls(**kwargs)
    own = text_dls(**kwargs, text_vocab=own_vocab(classic.text_vocab), tok_tfm=TOKENIZER)
    first, second = make(classic, drop_mult=0), make(own, drop_mult=0)
    second.model.load_state_dict({name: renumbered(t, own, classic) for name, t in state(first.model).items()})
    return first, second


def renumbered(t, to, of):
    """Rows of one vocabulary in the order of another."""
    if t.ndim == 0 or len(t) != len(of.text_vocab):
        return t
    theirs = {NAMES.get(word, word): i for i, word in enumerate(of.text_vocab)}
    return t[[theirs[word] for word in to.text_vocab]]


def small_lm(path=".", **kwargs):
    """A language model of few texts with special tokens of its own."""
    dls = text_dls(is_lm=True, n=30)
    dls = text_dls(is_lm=True, n=30, text_vocab=own_vocab(dls.text_vocab), tok_tfm=TOKENIZER)
    return lm(dls, path=path, **kwargs).unfreeze()


@pytest.fixture(scope="module")
def trained(request):
    """Both kinds of learners, trained: an epoch of a language model, one of a classifier."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULMFIT_EASY_PRECISION", "fp32")
        make, options = request.param
        pair = alike(make, **options)
        for learn in pair:
            torch.manual_seed(0)
            learn.unfreeze().fit(1, 1e-2)
    return pair


of_lm = pytest.mark.parametrize("trained", [(lm, {"is_lm": True, "max_vocab": 280})], indirect=True, ids=["lm"])
of_both = pytest.mark.parametrize("trained", [(lm, {"is_lm": True, "max_vocab": 280}),
                                              (classifier, {"max_vocab": 280})], indirect=True, ids=["lm", "clas"])
of_clas = pytest.mark.parametrize("trained", [(classifier, {"max_vocab": 280})], indirect=True, ids=["clas"])


@of_both
def test_training_gives_the_same_weights(trained):
    classic, own = trained
    assert (own.dls.text_vocab.pad_id, own.dls.text_vocab.unk_id) == (0, 100)
    for name, weight in state(classic.model).items():
        torch.testing.assert_close(renumbered(weight, own.dls, classic.dls), state(own.model)[name], msg=name)


@of_lm
def test_likelihoods_and_unknown_words_are_the_same(trained):
    classic, own = (learn.logprob(TEXTS) for learn in trained)
    np.testing.assert_allclose(classic, own, rtol=1e-4)
    assert own[-1].n_unknown == 1


@of_lm
def test_the_same_text_is_written(trained):
    classic, own = (learn.predict(TEXTS, 20, top_k=1, decoder=list) for learn in trained)
    assert [[NAMES.get(token, token) for token in text] for text in classic] == own


def test_padding_is_never_written_nor_an_unknown_word_unasked():
    learn = small_lm()
    learn.model[1].decoder.bias.data[[0, 100]] = 30.0
    assert {"[PAD]", "[UNK]"}.isdisjoint(learn.predict("a film", 9, decoder=list)[-9:])
    assert learn.predict("a film", 9, no_unk=False, decoder=list)[-9:] == ["[UNK]"] * 9


@of_clas
def test_predictions_are_the_same_in_any_batch(trained):
    classic, own = ([p.probs for p in learn.predict(TEXTS)] for learn in trained)
    torch.testing.assert_close(classic, own)
    torch.testing.assert_close(trained[1].predict(TEXTS[-1]).probs, own[-1])


@of_clas
def test_a_text_of_unknown_words_is_warned_of(trained):
    with pytest.warns(UserWarning, match="without a known word"):
        trained[1].predict("unheard")


@of_clas
@pytest.mark.parametrize("method", ["occlusion", "gradients"])
def test_explanations_are_the_same(trained, method):
    if method == "gradients":
        pytest.importorskip("captum")
    classic, own = (explain(learn, TEXTS[-1], method=method, n_steps=5) for learn in trained)
    np.testing.assert_allclose(classic.scores, own.scores, atol=1e-5)
    assert own.tokens[0] == "[CLS]" and own.scores[0] == 0


@of_both
def test_saved_and_exported_learners_keep_their_special_tokens(trained, tmp_path):
    own, ask = trained[1], lambda learn: learn.predict(TEXTS, *([9, False] if learn.dls.task == "lm" else []))
    own.path = tmp_path
    own.save("whole")
    before = state(own.model)
    with torch.no_grad():
        own.encoder.encoder.weight.zero_()
    own.load("whole")
    assert same(before, state(own.model))
    loaded = load_learner(own.export(tmp_path / "bundle"), tokenizer=TOKENIZER)
    assert loaded.dls.text_vocab == own.dls.text_vocab and loaded.dls.text_vocab.specials == own.dls.text_vocab.specials
    assert loaded.encoder.encoder.padding_idx == 0
    torch.manual_seed(0)
    expected = ask(own)
    torch.manual_seed(0)
    assert str(ask(loaded)) == str(expected)


def test_a_language_model_passes_on_its_special_tokens(tmp_path):
    first = small_lm(tmp_path)
    first.save("model", with_opt=False)
    (tmp_path / "models" / "words.json").write_text(json.dumps(first.dls.text_vocab.config()))
    more = text_dls(is_lm=True, n=9, tok_tfm=TOKENIZER.with_vocab(first.dls.text_vocab))
    assert more.text_vocab.specials == first.dls.text_vocab.specials and "[CLS]" in more.text_vocab[:3]
    second = lm(more, path=tmp_path, pretrained_fnames=("model", "words"))
    kept = [first.encoder.encoder.weight[first.dls.text_vocab.stoi[word]] for word in more.text_vocab[:40]]
    assert torch.equal(second.encoder.encoder.weight[:40], torch.stack(kept))
    assert second.encoder.encoder.padding_idx == more.text_vocab.pad_id == 1


def test_a_stopped_fit_resumes_to_the_same_weights(tmp_path):
    whole = small_lm(tmp_path)
    whole.fit(2, 1e-2)
    with pytest.raises(KeyboardInterrupt):
        small_lm(tmp_path).fit(2, 1e-2, cbs=[CheckpointCallback(tmp_path, minutes=0),
                                             At("after_epoch", raises(KeyboardInterrupt), 0)])
    again = small_lm(tmp_path)
    again.fit(2, 1e-2, cbs=CheckpointCallback(tmp_path, resume=True))
    assert same(state(again.model), state(whole.model))
