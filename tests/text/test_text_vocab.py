"""vocab.py: the classic order, a vocabulary that never grows, and a correct way back to text."""

import json
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.errors import VocabError
from ulmfit_easy.text.special import FAKE, SPECIAL_TOKENS
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vocab import Numericalize, Vocab, add_words, detokenize, make_vocab

TOKENIZER = Tokenizer()
COUNT = Counter({"rare": 2, "b": 5, "xxbos": 9, "a": 5, "c": 7, "d": 3})


def test_the_most_common_come_first_and_the_first_seen_breaks_ties():
    assert make_vocab(COUNT) == [*SPECIAL_TOKENS, "c", "b", "a", "d", FAKE, FAKE, FAKE]


def test_min_freq_is_at_least_and_max_vocab_counts_special_tokens():
    assert make_vocab(COUNT, min_freq=2)[9:14] == ["c", "b", "a", "d", "rare"]
    assert make_vocab(COUNT, max_vocab=11) == [*SPECIAL_TOKENS, "c", "b", *[FAKE] * 5]


def test_a_multiple_of_8_is_not_filled_up():
    count = Counter({f"w{i}": 3 for i in range(100)})
    assert len(make_vocab(count, max_vocab=64)) == 64 and FAKE not in make_vocab(count, max_vocab=64)
    assert len(make_vocab(count)) == 112


def test_words_are_added_once_and_after_those_that_are_there():
    itos = make_vocab(COUNT)
    assert add_words(itos, ["zz", "c", *SPECIAL_TOKENS, FAKE, "y", "zz", "x", "w"]) == [
        *SPECIAL_TOKENS, "c", "b", "a", "d", "zz", "y", "x", "w", *[FAKE] * 7]
    assert add_words(itos, []) == itos


@pytest.mark.parametrize("kwargs, count", [({}, {"a": 2}), ({}, {}), ({"max_vocab": 9}, COUNT),
                                           ({"max_vocab": 3}, COUNT)])
def test_nothing_but_special_tokens_is_an_error_that_names_min_freq_and_the_best_count(kwargs, count):
    with pytest.raises(VocabError, match=rf"E301.*{max(dict(count, xxbos=0).values())} times.*min_freq=3"):
        make_vocab(Counter(count), **kwargs)


def test_a_vocab_is_like_a_list_frozen_and_hashable():
    itos = make_vocab(COUNT)
    vocab = Vocab(itos)
    assert vocab == itos and vocab == Vocab(itos) and vocab != itos[:-1] and list(vocab) == itos
    assert (len(vocab), vocab[9], vocab[-4], vocab[9:11]) == (16, "c", "d", ["c", "b"])
    assert "c" in vocab and "zz" not in vocab
    assert len({vocab, Vocab(itos)}) == 1 and vocab.sha256 == Vocab(itos).sha256 != Vocab(itos[:-1]).sha256
    assert pickle.loads(pickle.dumps(vocab)) == vocab
    with pytest.raises(AttributeError):
        vocab.itos = ()


@pytest.mark.parametrize("itos", [["a"], [], list(reversed(SPECIAL_TOKENS)), [*SPECIAL_TOKENS, 5],
                                  [*SPECIAL_TOKENS, "a", "b", "a"], [*SPECIAL_TOKENS, "xxpad"]])
def test_an_unusable_vocab_is_refused(itos):
    with pytest.raises(VocabError, match="E303"):
        Vocab(itos)


BERT = ["[PAD]", *(f"w{i}" for i in range(99)), "[UNK]", "[CLS]", "a"]
ROLES = {"unk": "[UNK]", "pad": "[PAD]", "bos": "[CLS]"}


def test_a_vocab_knows_its_own_special_tokens():
    vocab = Vocab(BERT, ROLES)
    assert (vocab.pad_id, vocab.unk_id, vocab.specials) == (0, 100, ROLES)
    assert vocab.ids(["a", "xxpad", "[PAD]", "new"]).tolist() == [102, 100, 0, 100]
    assert repr(vocab) == "Vocab(103 tokens: 'w0', 'w1', 'w2', 'w3' (and 96 more))"
    other = Vocab(BERT, {**ROLES, "unk": "w0"})
    assert vocab != other and vocab == BERT and len({vocab.sha256, other.sha256, Vocab(BERT, ROLES).sha256}) == 2


@pytest.mark.parametrize("vocab", [Vocab(make_vocab(COUNT)), Vocab(BERT, ROLES)], ids=["classic", "own"])
def test_a_vocab_is_restored_from_its_pickle_and_its_config(vocab):
    for copy in (pickle.loads(pickle.dumps(vocab)), Vocab.from_config(json.loads(json.dumps(vocab.config())))):
        assert (copy, copy.specials, copy.sha256) == (vocab, vocab.specials, vocab.sha256)


@pytest.mark.parametrize("specials", [{}, {"unk": "[UNK]"}, {"unk": "[UNK]", "pad": "xxpad"},
                                      {"unk": "[UNK]", "pad": "[PAD]", "bos": "<s>"}, {"unk": "[UNK]", "pad": 0}, 5])
def test_special_tokens_that_a_vocab_lacks_are_refused(specials):
    with pytest.raises(VocabError, match="E303"):
        Vocab.from_config({"itos": BERT, "specials": specials})


def test_special_tokens_come_by_their_roles():
    with pytest.raises(VocabError, match="E303.*special tokens none"):
        Vocab(BERT, ["[UNK]", "[PAD]"])


def test_unknown_tokens_become_xxunk_and_never_grow_the_vocab():
    num = Numericalize(make_vocab(COUNT))
    ids = num([f"new{i}" for i in range(10_000)] + ["c", FAKE])
    assert ids.dtype == np.int32 and ids[:-2].sum() == 0 and ids[-2:].tolist() == [9, 0]
    assert len(num.vocab) == 16 == len(num.vocab.stoi) + 3


def test_numericalize_makes_its_vocab_once():
    num = Numericalize(min_freq=5).setup(COUNT)
    assert num.setup(Counter({"z": 99})).vocab == make_vocab(COUNT, min_freq=5)
    with pytest.raises(VocabError, match="E301"):
        Numericalize()(["a"])


@settings(deadline=None)
@given(st.lists(st.sampled_from(make_vocab(COUNT)[:13])))
def test_tokens_to_ids_and_back_is_the_identity(tokens):
    num = Numericalize(make_vocab(COUNT))
    assert num.decode(num(tokens)) == tokens


@pytest.mark.parametrize("tokens, text", [
    ("a xxrep 4 b c d", "a bbbb c d"), ("xxwrep 3 no a", "no no no a"), ("xxwrep 3 xxup no a", "NO NO NO a"),
    ("xxbos xxmaj it xxup was xxeos xxpad xxfake", "It WAS"), ("a xxunk b", "a xxunk b"), ("a▁b", "a b"), ("", ""),
    ("xxrep xxmaj b", "B"), ("xxrep", ""), ("xxrep 4", ""), ("xxrep x y", "x y"), ("xxmaj xxmaj a b", "A b"),
    ("i do n't , ( it 's ) .", "i don't, (it's)."), ("no :-( , yes :) ! ?! : ok", "no :-(, yes :)!?!: ok"),
    ("xxfld 1 a xxfld 2 b", "xxfld 1 a xxfld 2 b"), ("3 xxrep 3 3 3", "3 333 3")])
def test_detokenize_undoes_the_control_tokens(tokens, text):
    assert detokenize(tokens.split()) == text


def test_repetitions_are_bounded():
    assert detokenize(["xxrep", "100000000", "a"]) == "a" * 1000 == detokenize(["xxrep", "9" * 5000, "a"])
    assert len(detokenize(["xxrep", "9999", "a", "xxwrep", "0", "b"])) == 1001


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(["a", "No", "NO", "goood", "no no no no", "x" * 9, "I", "HA HA HA", "done"])))
def test_text_to_tokens_and_back_keeps_the_tokens(words):
    tokens = TOKENIZER(" ".join(words))
    assert TOKENIZER(detokenize(tokens)) == tokens


@settings(deadline=None)
@given(st.lists(st.one_of(st.sampled_from([*SPECIAL_TOKENS, FAKE, "3", "²", "-1", "a"]), st.text())))
def test_detokenize_never_raises(tokens):
    assert len(detokenize(tokens)) <= sum(1001 * (len(t) + 1) for t in tokens)
