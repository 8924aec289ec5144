"""Which tokens are hidden from a masked language model."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.data.masked import MaskedDataLoader
from ulmfit_easy.data.targets import MaskedToken
from ulmfit_easy.errors import ArgumentError, TextError, VocabError
from ulmfit_easy.text.vocab import MemoryIds, Vocab

SPECIALS = {"unk": "[UNK]", "pad": "[PAD]", "bos": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
VOCAB = Vocab([*SPECIALS.values(), *map(str, range(995))], SPECIALS)
UNK, PAD, CLS, SEP, MASK = range(5)


def documents(*lengths, seed=0, words=False):
    """Documents of so many tokens between [CLS] and [SEP], in which no token is there twice; words of three tokens."""
    rng = np.random.default_rng(seed)
    docs = [np.array([CLS, *rng.permutation(np.arange(5, 1000))[:n], SEP], np.int32) for n in lengths]
    places = [np.array([-1, *np.arange(n) // 3, -1]) for n in lengths] if words else ()
    return MemoryIds(docs, PAD, (), places)


def loader(ids, seq_len=40, **kwargs):
    return MaskedDataLoader(ids, np.arange(len(ids.docs)), VOCAB, **{"seq_len": seq_len, "bs": 4, "seed": 0, **kwargs})


def rows(batch):
    """Yield each piece of a batch as it was, as it is shown, and which of its tokens were chosen, (T,) each."""
    ids, lengths, at, y = batch
    whole, chosen = ids.flatten().clone(), torch.zeros(ids.numel(), dtype=torch.bool)
    whole[at], chosen[at] = y[0], True
    for was, shown, these, n in zip(whole.view_as(ids), ids, chosen.view_as(ids), lengths, strict=True):
        yield was[:n].numpy(), shown[:n].numpy(), these[:n].numpy()


def equal(one, other):
    return len(one) == len(other) and all(map(torch.equal, one, other))


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(0, 90), min_size=1, max_size=6).filter(any), seq_len=st.integers(3, 50),
       shuffle=st.booleans(), backwards=st.booleans())
def test_pieces_hold_every_token_once_and_special_tokens_are_never_hidden(lengths, seq_len, shuffle, backwards):
    ids = documents(*lengths)
    dl, seen = loader(ids, seq_len, shuffle=shuffle, backwards=backwards), []
    for batch in dl:
        for was, shown, chosen in rows(batch):
            was, shown, chosen = (each[::-1] if backwards else each for each in (was, shown, chosen))
            assert len(was) <= seq_len and (was[0], was[-1]) == (CLS, SEP)
            assert chosen.any() and not chosen[[0, -1]].any() and (was[~chosen] == shown[~chosen]).all()
            assert chosen.sum() == max(1, round(0.15 * (len(was) - 2)))
            assert (shown[chosen] >= MASK).all()
            seen += was[1:-1].tolist()
    assert sorted(seen) == sorted(token for doc in ids.docs for token in doc[1:-1].tolist())
    assert len(list(dl)) == len(dl)


def test_of_15_percent_80_are_masked_10_are_others_and_10_stay():
    n, kinds = 0, np.zeros(3)
    for batch in loader(documents(*[500] * 60), seq_len=102):
        for was, shown, chosen in rows(batch):
            n += len(was) - 2
            of = was[chosen], shown[chosen]
            masked, kept = of[1] == MASK, of[1] == of[0]
            kinds += masked.sum(), (~masked & ~kept).sum(), kept.sum()
    assert kinds.sum() / n == pytest.approx(0.15, abs=0.002)
    assert kinds / kinds.sum() == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_words_are_hidden_whole(share):
    n = total = 0
    for batch in loader(documents(*[300] * 30, words=True), seq_len=302, whole_words=True, share=share):
        for _, _, chosen in rows(batch):
            words = chosen[1:-1].reshape(-1, 3)
            assert (words.all(1) == words.any(1)).all()
            n, total = n + chosen.sum(), total + chosen.size - 2
    assert n / total == pytest.approx(share, abs=0.01)


def test_tokens_whose_words_are_not_known_are_words_of_their_own():
    ids = documents(200, words=True)
    ids.places[0][:] = -1
    [(_, _, chosen)] = rows(next(iter(loader(ids, seq_len=202, whole_words=True))))
    assert chosen.sum() == 30


def test_the_choice_is_new_in_each_epoch_and_the_same_for_a_seed():
    made = [loader(documents(30, 70, 9, 55), shuffle=True) for _ in range(2)]
    first, again = ([[*dl], [*dl]] for dl in made)
    for epoch, same in zip(first, again, strict=True):
        assert all(map(equal, epoch, same))
    hidden = [sorted(int(was) for batch in epoch for was in batch[3][0]) for epoch in first]
    assert hidden[0] != hidden[1]


def test_validation_hides_the_same_in_each_epoch_whatever_the_batch_size():
    dl = loader(documents(30, 70, 9, 55))
    once, twice = [*dl], [*dl]
    assert all(map(equal, once, twice))

    def pieces(dl):
        return sorted((was.tolist(), shown.tolist()) for batch in dl for was, shown, _ in rows(batch))

    assert pieces(dl) == pieces(loader(documents(30, 70, 9, 55), bs=1))


@pytest.mark.parametrize("n_batches", [None, 5])
def test_an_epoch_that_was_interrupted_goes_on_with_the_same_batches(n_batches):
    whole, resumed = (loader(documents(*range(20, 60)), shuffle=True, n_batches=n_batches) for _ in range(2))
    for _ in range(2):
        expected = [*whole]
    state = {**whole.state_dict(), "position": 3}
    resumed.load_state_dict(state)
    assert all(map(equal, resumed, expected[3:]))
    assert len(expected) == len(whole) == (n_batches or whole.pass_len)


def test_an_epoch_of_so_many_batches_reads_on_in_the_next():
    dl, once = (loader(documents(*range(20, 40)), shuffle=True, n_batches=n) for n in (3, None))
    assert all(map(equal, [*dl, *dl, *dl][:len(once)], once))


def test_options_change_the_fingerprint():
    prints = {loader(documents(50), **kwargs).fingerprint() for kwargs in ({}, {"share": 0.2}, {"seq_len": 20},
                                                                            {"whole_words": True})}
    assert len(prints) == 4


def test_a_document_of_unknown_tokens_alone_still_makes_a_batch():
    ids, _, at, y = next(iter(loader(MemoryIds([np.array([CLS, UNK, SEP], np.int32)], PAD))))
    assert at.tolist() == [0] and y.tolist() == [[CLS]] and ids.tolist() == [[CLS, UNK, SEP]]


@pytest.mark.parametrize("kwargs", [{"share": 0}, {"share": 1.0}, {"seq_len": 0}, {"whole_words": 2}], ids=str)
def test_settings_that_cannot_work_are_refused(kwargs):
    with pytest.raises(ArgumentError, match="E60[12]"):
        loader(documents(9), **kwargs)


def test_documents_without_a_token_are_e103():
    with pytest.raises(TextError, match="E103"):
        loader(documents(0, 0))


def test_a_vocabulary_without_a_mask_is_e303_and_gets_one():
    specials = {role: token for role, token in SPECIALS.items() if role != "mask"}
    without = Vocab([*specials.values(), "a", "b"], specials)
    with pytest.raises(VocabError, match="E303.*without a mask.*vocab_for"):
        MaskedDataLoader(documents(9), [0], without)
    found = MaskedToken().vocab_for(without)
    assert found.specials == {**specials, "mask": "[MASK]"} and list(found)[:6] == list(without)
    assert MaskedToken().vocab_for(found) is found
