import warnings
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.data.lm import LMDataLoader
from ulmfit_easy.data.targets.next_token import NextToken, end_of
from ulmfit_easy.errors import ArgumentError, TextError
from ulmfit_easy.text.vocab import MemoryIds, Vocab


class Ids:
    """Documents whose tokens are all different, so that a token says where it comes from."""

    def __init__(self, lengths):
        self.lengths = np.array(lengths, dtype=np.int64)
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.reads, self.tokens_read = 0, 0

    def read(self, doc, start, stop):
        self.reads, self.tokens_read = self.reads + 1, self.tokens_read + stop - start
        assert 0 <= start <= stop <= self.lengths[doc]
        return np.arange(self.starts[doc] + start, self.starts[doc] + stop, dtype=np.int32)


def loader(lengths, rows=None, **kwargs):
    return LMDataLoader(Ids(lengths), range(len(lengths)) if rows is None else rows, **kwargs)


def streams(dl):
    """(B, row_len) inputs and targets, with all batches put side by side."""
    xs, ys = zip(*dl, strict=True)
    return torch.cat(xs, 1), torch.cat(ys, 1)


lengths_of_documents = st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(lambda x: sum(x) > 1)


@settings(deadline=None, max_examples=200)
@given(lengths_of_documents, st.integers(1, 8), st.integers(1, 12), st.booleans(), st.booleans(),
       st.sampled_from([None, 10**6]))
def test_rows_continue_from_batch_to_batch_and_are_the_documents(lengths, bs, seq_len, shuffle, backwards, end):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dl = loader(lengths, bs=bs, seq_len=seq_len, shuffle=shuffle, backwards=backwards, seed=1, end=end)
    order = dl.order_of(0).tolist()
    docs = [np.append(np.arange(n)[::-1 if backwards else 1] + dl.ids.starts[i], [] if end is None else [end])
            for i, n in enumerate(lengths)]
    stream = np.concatenate([docs[i] for i in order])
    batches = list(dl)
    assert len(batches) == len(dl) >= 1
    assert all(x.shape == y.shape == (dl.bs, seq_len) for x, y in batches[:-1])
    assert all(x.dtype == y.dtype == torch.int64 for x, y in batches)
    x, y = torch.cat([b[0] for b in batches], 1), torch.cat([b[1] for b in batches], 1)
    n = (len(stream) - 1) // dl.bs
    assert x.numpy().ravel().tolist() == stream[:n * dl.bs].tolist()
    assert y.numpy().ravel().tolist() == stream[1:n * dl.bs + 1].tolist()
    assert sorted(order) == list(range(len(lengths)))


def test_only_the_rows_asked_for_are_read():
    x, _ = streams(loader([5, 5, 5], rows=[2, 0], bs=1, seq_len=4))
    assert x[0].tolist() == [10, 11, 12, 13, 14, 0, 1, 2, 3]


@pytest.mark.parametrize("n_docs", [100, 100_000])
def test_a_batch_reads_no_more_of_a_large_corpus_than_of_a_small_one(n_docs):
    dl = loader([50] * n_docs, bs=4, seq_len=20, shuffle=True, seed=0)
    next(iter(dl))
    assert dl.ids.tokens_read == 4 * 21 and dl.ids.reads <= 8


def test_each_epoch_has_a_new_order_that_the_seed_repeats():
    a, b, c = (loader([7] * 20, bs=2, seq_len=9, shuffle=True, seed=s) for s in (0, 0, 1))
    first, second = streams(a)[0], streams(a)[0]
    assert not torch.equal(first, second)
    assert torch.equal(streams(b)[0], first) and torch.equal(streams(b)[0], second)
    assert not torch.equal(streams(c)[0], first)


def test_state_goes_on_where_it_was_taken():
    a = loader([7] * 20, bs=2, seq_len=9, shuffle=True, seed=0)
    list(a)
    state = a.state_dict()
    second, third = streams(a)[0], streams(a)[0]
    b = loader([7] * 20, bs=2, seq_len=9, shuffle=True, seed=5)
    b.load_state_dict(state)
    assert torch.equal(streams(b)[0], second) and torch.equal(streams(b)[0], third)


def same(batches, others) -> bool:
    return len(batches) == len(others) and all(torch.equal(a, b) for pair in zip(batches, others, strict=True)
                                               for a, b in zip(*pair, strict=True))


@settings(deadline=None, max_examples=100)
@given(lengths_of_documents, st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_virtual_epochs_put_end_to_end_are_the_real_passes(lengths, bs, seq_len, n_batches, shuffle):
    def make(**kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return loader(lengths, bs=bs, seq_len=seq_len, shuffle=shuffle, seed=1, **kwargs)
    whole, virtual = make(), make(n_batches=n_batches)
    passes = [batch for _ in range(3) for batch in whole]
    assert len(virtual) == n_batches and virtual.pass_len == len(whole)
    n_epochs = len(passes) // n_batches
    epochs = [list(virtual) for _ in range(n_epochs)]
    assert all(len(epoch) == n_batches for epoch in epochs)
    assert same([batch for epoch in epochs for batch in epoch], passes[:n_epochs * n_batches])


@settings(deadline=None, max_examples=100)
@given(st.data(), st.integers(1, 3), st.sampled_from([None, 4, 11]))
def test_a_start_in_the_middle_of_an_epoch_equals_skipping_once(data, epoch, n_batches):
    make = partial(loader, [7] * 20, bs=2, seq_len=9, shuffle=True, n_batches=n_batches)  # 8 batches a pass
    a, b = make(seed=0), make(seed=5)
    position = data.draw(st.integers(0, len(a)))
    for _ in range(epoch):
        batches = list(a)
    following = batches if position == 0 else list(a)
    b.load_state_dict({"seed": 0, "epoch": epoch - (position == 0), "position": position})
    assert b.state_dict()["position"] == position and len(b) == len(a)
    assert same(list(b), batches[position:]) and b.state_dict() == {"seed": 0, "epoch": epoch, "position": 0}
    if position:
        assert same(list(b), following)


@pytest.mark.parametrize("n_batches", [None, 200])
def test_a_start_in_the_middle_reads_nothing_of_what_came_before(n_batches):
    dl = loader([50] * 10_000, bs=4, seq_len=20, shuffle=True, seed=0, n_batches=n_batches)
    dl.load_state_dict({"seed": 0, "epoch": 30, "position": 150})
    next(iter(dl))
    assert dl.ids.tokens_read == 4 * 21 and dl.ids.reads <= 8


def test_an_unshuffled_copy_is_one_pass_and_leaves_the_virtual_epochs_alone():
    dl = loader([7] * 20, bs=2, seq_len=9, shuffle=True, seed=0, n_batches=3)
    next(iter(dl))
    dl.load_state_dict({**dl.state_dict(), "position": 2})
    before = dl.state_dict()
    assert same(list(dl.unshuffled()), list(loader([7] * 20, bs=2, seq_len=9))) and dl.state_dict() == before


@pytest.mark.parametrize("options", [{"n_batches": 0}, {"seq_len": 0}, {"seq_len": -5}, {"bs": 0}])
def test_an_epoch_without_batches_is_refused(options):
    with pytest.raises(ArgumentError, match="E602"):
        loader([7] * 20, **options)


@pytest.mark.parametrize("bs", [1, 3, 16, 1000])
def test_other_rows_a_batch_are_those_of_a_new_loader(bs):
    changed = loader([7] * 20, bs=8, seq_len=5)
    changed.bs = bs
    expected = loader([7] * 20, bs=bs, seq_len=5)
    assert changed.bs == expected.bs and all(map(torch.equal, streams(changed), streams(expected)))


def test_a_fingerprint_tells_data_apart_and_not_seeds():
    same_data = {loader([7, 8, 9], shuffle=shuffle, seed=seed).fingerprint() for shuffle in (True, False)
                 for seed in (0, 1)}
    others = {loader([7, 8, 9], rows=rows).fingerprint() for rows in ([0, 1], [0, 2], [2, 1, 0])}
    assert len(same_data) == 1 and len(same_data | others | {loader([7, 9, 8]).fingerprint()}) == 5


def test_the_global_seed_decides_where_no_seed_is_given():
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        found.append(streams(loader([7] * 20, bs=2, seq_len=9, shuffle=True))[0])
    assert torch.equal(*found)


@pytest.mark.parametrize("shuffle", [True, False])
def test_no_amount_of_text_gives_an_empty_loader_in_silence(shuffle):
    for n in range(201):
        if n < 2:
            with pytest.raises(TextError, match="E103"):
                loader([n], bs=8, seq_len=16, shuffle=shuffle)
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            dl = loader([n], bs=8, seq_len=16, shuffle=shuffle)
        assert len(dl) == len(list(dl)) >= 1
        assert len(caught) == (shuffle and n < 8 * 16 + 1)
        assert dl.bs == (8 if n > 8 * 16 else max(1, (n - 1) // 16))
        assert next(iter(dl))[0].shape == (dl.bs, min(16, n - 1))


def test_a_store_on_disk_can_be_read_like_this(tmp_path):
    from ulmfit_easy.text.store import TokenStore
    from ulmfit_easy.text.tokenizers import Tokenizer
    from ulmfit_easy.text.vocab import Vocab, make_vocab

    store = TokenStore.build(["one two three", "", "four five"], Tokenizer(), cache_dir=tmp_path)
    vocab = Vocab(make_vocab(store.count(), min_freq=1))
    x, _ = streams(LMDataLoader(store.numericalize(vocab), [0, 1, 2], bs=1, seq_len=3, backwards=True))
    words = " ".join(vocab[i] for i in x[0].tolist())
    assert words == "three two one xxbos xxbos five four"


@settings(deadline=None, max_examples=200)
@given(lengths_of_documents, st.integers(1, 4), st.integers(1, 30), st.sampled_from([0.5, 5, 20]), st.booleans())
def test_batches_of_varying_length_are_the_same_streams_cut_elsewhere(lengths, bs, seq_len, jitter, shuffle):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a, b, c = (loader(lengths, bs=bs, seq_len=seq_len, shuffle=shuffle, seed=1, bptt_jitter=j)
                   for j in (0, jitter, jitter))
    batches = list(b)
    assert len(batches) == len(b) and all(x.shape == y.shape and x.shape[1] > 0 for x, y in batches)
    assert all(t.equal(u) for t, u in zip(streams(a), streams(c), strict=True))


def test_lengths_of_batches_are_those_of_the_paper_and_new_in_each_epoch():
    dl = loader([280_001], bs=4, seq_len=70, seed=0, bptt_jitter=5, shuffle=True)
    first, second = ([x.shape[1] for x, _ in dl] for _ in range(2))
    assert first != second and len(first) == len(second) == len(dl) == 1026 and sum(first) == sum(second) == 70_000
    short = [n for n in first if n < 52]
    assert 0.03 < len(short) / len(first) < 0.08 and abs(np.mean(short) - 35) < 2
    usual = [n for n in first if n >= 52]
    assert abs(np.mean(usual) - 70) < 1 and abs(np.std(usual) - 5) < 0.5


def test_an_epoch_of_varying_batches_goes_on_anywhere_and_validation_does_not_vary():
    def make(seed, **kwargs):
        return loader([300, 400], bs=2, seq_len=20, seed=seed, shuffle=True, bptt_jitter=5, **kwargs)
    for kwargs in ({}, {"n_batches": 7}):
        a, b = make(0, **kwargs), make(9, **kwargs)
        batches = [x.tolist() for x, _ in a] + [x.tolist() for x, _ in a]
        b.load_state_dict({"seed": 0, "epoch": 1, "position": 4})
        assert [x.tolist() for x, _ in b] + [x.tolist() for x, _ in b] == batches[4:]
    assert {x.shape[1] for x, _ in make(0).unshuffled()} <= {20, 9} and len(make(0).unshuffled()) == 18
    assert make(0).fingerprint() != loader([300, 400], bs=2, seq_len=20).fingerprint()


@pytest.mark.parametrize("jitter", [-1, float("nan")])
def test_a_jitter_below_zero_is_refused(jitter):
    with pytest.raises(ArgumentError, match="E602.*bptt_jitter"):
        loader([30], bptt_jitter=jitter)


@pytest.mark.parametrize(("docs", "roles", "end"), [
    ([[5, 6], [7]], ["unk", "pad", "bos", "sep"], 3), ([[], [5, 6]], ["unk", "pad", "sep"], 2),
    ([[2, 5, 6], [2, 7]], ["unk", "pad", "bos", "sep"], None), ([[5, 3], [6, 3]], ["unk", "pad", "bos", "sep"], None),
    ([[5, 6]], ["unk", "pad", "bos"], None), ([], ["unk", "pad", "sep"], None)], ids=str)
def test_a_mark_is_read_after_documents_that_bring_none(docs, roles, end):
    vocab = Vocab("abcdefgh", {role: "abcd"[i] for i, role in enumerate(roles)})
    ids = MemoryIds([np.array(doc, np.int32) for doc in docs], 1)
    assert end_of(ids, np.arange(len(docs)), vocab) == end
    if end is not None:
        dl = NextToken().loader(ids, np.arange(len(docs)), vocab=vocab, seq_len=9, bs=1)
        x, y = streams(dl)
        assert [*x[0].tolist(), int(y[0, -1])] == [token for doc in docs for token in [*doc, end]]
        assert dl.fingerprint() != LMDataLoader(ids, np.arange(len(docs)), seq_len=9, bs=1).fingerprint()
