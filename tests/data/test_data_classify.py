import numpy as np
import pytest
import torch
from data_toys import Ids
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.data.classify import ClassifierDataLoader


def loader(lengths, rows=None, targets=None, **kwargs):
    rows = np.arange(len(lengths)) if rows is None else np.array(rows)
    return ClassifierDataLoader(Ids(lengths), rows, targets, **kwargs)


def documents(batch):
    return [int(i - 10) // 100 for i in batch[0].max(1).values]


many = st.lists(st.integers(1, 90), min_size=1, max_size=120)


@settings(deadline=None, max_examples=150)
@given(many, st.integers(1, 9), st.booleans(), st.booleans())
def test_each_text_comes_once_whole_with_its_length_and_target(lengths, bs, shuffle, backwards):
    dl = loader(lengths, targets=np.arange(len(lengths)), bs=bs, shuffle=shuffle, backwards=backwards, seed=0)
    batches, seen = list(dl), []
    assert len(batches) == len(dl) and dl.n_rows == len(lengths)
    for ids, n, y in batches:
        assert ids.dtype == n.dtype == y.dtype == torch.int64 and ids.shape[1] == n.max()
        for row, length, i in zip(ids, n.tolist(), y.tolist(), strict=True):
            text = dl.ids[i][::-1] if backwards else dl.ids[i]
            assert row[:length].tolist() == text.tolist() and (row[length:] == dl.ids.pad_id).all()
        seen += y.tolist()
    assert sorted(seen) == list(range(len(lengths)))


@settings(deadline=None)
@given(many, st.integers(1, 9))
def test_order_puts_results_back(lengths, bs):
    rows = np.arange(len(lengths))[::-1]
    dl = loader(lengths, rows, bs=bs)
    found = [i for batch in dl for i in documents(batch)]
    back = np.empty(len(found), dtype=int)
    back[dl.order] = found
    assert back.tolist() == rows.tolist()
    n = [int(n) for batch in dl for n in batch[1]]
    assert n == sorted(n, reverse=True)


def test_the_longest_text_is_in_the_first_training_batch_of_each_epoch():
    lengths = [3] * 500 + [90] + [5] * 499
    dl = loader(lengths, bs=4, shuffle=True, seed=0)
    assert all(int(next(iter(dl))[1].max()) == 90 for _ in range(5))


def test_training_batches_hold_texts_of_like_length_in_random_order():
    lengths = np.random.default_rng(0).integers(1, 90, 2000)
    batches = [n for _, n in loader(lengths, bs=16, shuffle=True, seed=0)]
    padded = sum(len(n) * int(n.max()) for n in batches)
    assert padded < 1.05 * lengths.sum()
    means = [float(n.float().mean()) for n in batches[1:]]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.3


@pytest.mark.parametrize("n, sizes", [(9, [4, 5]), (8, [4, 4]), (10, [2, 4, 4]), (1, [1]), (5, [5])])
def test_no_training_batch_is_one_row_alone(n, sizes):
    dl = loader([2] * n, bs=4, shuffle=True, seed=0)
    assert sorted(len(b[0]) for b in dl) == sizes and len(dl) == len(sizes)
    assert [len(b[0]) for b in loader([2] * n, bs=4)] == [4] * (n // 4) + [n % 4] * (n % 4 > 0)


def test_each_epoch_has_a_new_order_that_the_seed_and_the_state_repeat():
    def epoch(dl):
        return [documents(batch) for batch in dl]
    lengths = list(range(1, 60))
    a, b = (loader(lengths, bs=4, shuffle=True, seed=0) for _ in range(2))
    first, state, second = epoch(a), a.state_dict(), epoch(a)
    assert first != second and epoch(b) == first
    c = loader(lengths, bs=4, shuffle=True, seed=9)
    c.load_state_dict(state)
    assert epoch(c) == second


def test_without_targets_a_batch_is_ids_and_lengths():
    assert [t.shape for t in next(iter(loader([3, 2], bs=2)))] == [(2, 3), (2,)]


def test_targets_of_any_shape_keep_to_their_rows():
    y = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32)
    ids, _, got = next(iter(loader([1, 3, 2], targets=y, bs=3)))
    assert got.tolist() == [[0, 1], [1, 1], [1, 0]]


def test_a_text_without_tokens_is_a_row_of_padding():
    ids, n = next(iter(loader([0], bs=2)))
    assert ids.tolist() == [[Ids.pad_id]] and n.tolist() == [0]


def test_an_unshuffled_loader_has_a_fixed_order_and_leaves_the_other_as_it_was():
    dl = loader([3, 1, 2, 5, 4], bs=2, shuffle=True, seed=0)
    before = dl.state_dict()
    fixed = dl.unshuffled()
    assert torch.cat([lengths for _, lengths in fixed]).tolist() == [5, 4, 3, 2, 1]
    assert dl.state_dict() == before and dl.shuffle


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("position", [1, 7, 14, 15])
def test_a_start_in_the_middle_of_an_epoch_equals_skipping_and_reads_no_skipped_text(shuffle, position):
    a, b = (loader(list(range(1, 60)), bs=4, shuffle=shuffle, seed=seed) for seed in (0, 9))
    batches, following = list(a), list(a)
    b.load_state_dict({"seed": 0, "epoch": 1, "position": position})
    read, ids = [], b.ids
    b.ids = type("Counted", (Ids,), {"__getitem__": lambda _, i: read.append(i) or ids[i]})([])
    found = list(b)
    assert [t.tolist() for batch in found for t in batch] == [t.tolist() for batch in batches[position:] for t in batch]
    assert len(read) == sum(len(ids) for ids, _ in found) and len(b) == len(batches)
    assert [documents(batch) for batch in b] == [documents(batch) for batch in following]
