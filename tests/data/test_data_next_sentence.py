"""Pairs of parts of text, of which half follow each other."""

import numpy as np
import pytest
import torch

from ulmfit_easy.data.next_sentence import NextSentenceDataLoader
from ulmfit_easy.data.targets.next_sentence import NextSentence
from ulmfit_easy.errors import ArgumentError, TextError
from ulmfit_easy.text.vocab import MemoryIds, Vocab

SPECIALS = {"unk": "[UNK]", "pad": "[PAD]", "bos": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
SIZE, CLS, SEP, STOP = 50, 2, 3, 5  # tokens of a document at most
VOCAB = Vocab([*SPECIALS.values(), ".", *map(str, range(30 * SIZE))], SPECIALS)


def documents(*lengths, stops=False, words=False):
    """Documents that share no token: number k has the tokens from 6 + 50 k on, in their order. Words are of two."""
    docs = [np.arange(6 + k * SIZE, 6 + k * SIZE + n) for k, n in enumerate(lengths)]
    docs = [np.insert(doc, range(4, len(doc), 4), STOP) if stops else doc for doc in docs]
    places = [np.array([-1, *np.arange(len(doc)) // 2, -1]) for doc in docs] if words else ()
    return MemoryIds([np.array([CLS, *doc, SEP], np.int32) for doc in docs], 1, (), places)


def loader(ids, **kwargs):
    return NextSentenceDataLoader(ids, np.arange(len(ids.docs)), VOCAB, **{"seq_len": 20, "bs": 8, "seed": 0, **kwargs})


def pairs(dl):
    """Yield both parts of each pair as they were before tokens were hidden, and whether the second one follows."""
    for ids, lengths, at, follows, y in dl:
        was = ids.flatten().clone()
        was[at] = y[0]
        for row, n, answer in zip(was.view_as(ids), lengths, follows, strict=True):
            row = row[:n].numpy()
            (end, last), begins = np.flatnonzero(row == SEP), row[0] == CLS
            assert begins and last == n - 1
            yield row[1:end], row[end + 1:last], bool(answer)


@pytest.mark.parametrize("stops", [False, True])
def test_half_of_the_pairs_follow_and_the_others_are_of_two_documents(stops):
    dl, answers = loader(documents(*[SIZE] * 30, stops=stops), shuffle=True), []
    for a, b, follows in [pair for _ in range(2) for pair in pairs(dl)]:
        assert len(a) and len(b) and len(a) + len(b) + 3 <= 20
        (doc,), (other,) = ({*(part[part != STOP] - 6) // SIZE} for part in (a, b))
        assert (doc == other) == follows
        if follows and not stops:
            assert b[0] == a[-1] + 1
        if stops:
            assert a[-1] == STOP != b[0]
        answers.append(follows)
    assert np.mean(answers) == pytest.approx(0.5, abs=0.08)


def test_pairs_are_new_in_each_epoch_the_same_for_a_seed_and_fixed_in_validation():
    def epochs(**kwargs):
        dl = loader(documents(*range(20, 40)), **kwargs)
        return [[*dl], [*dl]]

    def same(one, other):
        return all(all(map(torch.equal, a, b)) for a, b in zip(one, other, strict=True))

    first, again, fixed = epochs(shuffle=True), epochs(shuffle=True), epochs()
    assert same(first[0], again[0]) and same(first[1], again[1]) and same(*fixed)
    assert [follows.tolist() for *_, follows, _ in first[0]] != [follows.tolist() for *_, follows, _ in first[1]]


def test_words_of_either_part_are_hidden_whole():
    for ids, _, at, _, y in loader(documents(*[SIZE] * 30, words=True), whole_words=True, share=0.4):
        was, hidden = ids.flatten().clone(), torch.zeros(ids.numel(), dtype=torch.bool)
        was[at], hidden[at] = y[0], True
        part = (was == SEP).cumsum(0)  # no two parts of a batch have one number
        words = {*zip(part.tolist(), (was // 2).tolist(), strict=True)}  # a document begins at an even number
        assert all(len({*hidden[(part == p) & (was // 2 == w) & (was > STOP)].tolist()}) < 2 for p, w in words)
        assert 0.3 < hidden[was > STOP].float().mean() < 0.5


@pytest.mark.parametrize("lengths", [(40,), (40, 1, 0), (1, 1)], ids=str)
def test_one_document_is_e103(lengths):
    with pytest.raises(TextError, match='E103.*two documents or more.*objective="mlm"'):
        loader(documents(*lengths))


def test_the_target_brings_a_separator_and_reads_forwards():
    classic = Vocab(["[UNK]", "[PAD]", "a"], {"unk": "[UNK]", "pad": "[PAD]"})
    found = NextSentence().vocab_for(classic)
    assert {*found.specials} == {"unk", "pad", "mask", "sep"} and NextSentence().vocab_for(found) is found
    with pytest.raises(ArgumentError, match='E603.*backwards=True.*"mlm\\+nsp"'):
        NextSentence().loader(documents(9, 9), np.arange(2), vocab=VOCAB, seq_len=20, backwards=True)
    assert loader(documents(9, 9)).fingerprint() != loader(documents(9, 9), seq_len=19).fingerprint()
