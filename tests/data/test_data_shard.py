"""Parts of loaders for several processes: together they are the loader of the whole batch, and no row is in two."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.data.classify import ClassifierDataLoader
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.lm import LMDataLoader
from ulmfit_easy.errors import ArgumentError, TrainingError


class Ids:
    """Document i has as many tokens as asked; no two of all documents are the same."""

    pad_id = 0

    def __init__(self, lengths):
        self.lengths = np.array(lengths, dtype=np.int64)
        self.ends = np.cumsum(self.lengths)

    def read(self, doc, start, stop):
        return np.arange(start, stop) + self.ends[doc] - self.lengths[doc] + 1

    def __getitem__(self, doc):
        return self.read(doc, 0, self.lengths[doc])


def parts(dl, world):
    return [list(dl.shard(rank, world)) for rank in range(world)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_each_process_has_whole_streams_of_the_whole_batch(lengths, bs, world, shuffle):
    def streams(rows):
        return LMDataLoader(Ids([3, *lengths]), np.arange(len(lengths) + 1), bs=rows, seq_len=5, seed=1)

    alone = streams(bs * world)
    alone.shuffle = shuffle
    dl = streams(bs)
    dl.shuffle = shuffle
    if shuffle and alone.bs < world:
        with pytest.raises(ArgumentError, match="E603.*fewer processes"):
            dl.shard(0, world)
        return
    own = [[x for x, _ in part] for part in parts(dl, world) if part]  # none has a stream of a short validation
    assert len(own) == min(world, alone.bs)
    for n, (x, _) in enumerate(alone):
        assert torch.cat([part[n] for part in own]).equal(x)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(1, 60), min_size=8, max_size=90), st.integers(1, 5), st.integers(2, 5), st.booleans(),
       st.sampled_from([None, 40, 200]))
def test_each_row_is_in_one_part_and_every_process_has_some_of_each_batch(lengths, bs, world, shuffle, max_tokens):
    dl = ClassifierDataLoader(Ids(lengths), np.arange(len(lengths)), np.arange(len(lengths)), bs=bs, shuffle=shuffle,
                              seed=3, max_tokens=max_tokens)
    for epoch in range(2):
        dl.epoch = epoch
        found = parts(dl, world)
        assert {len(part) for part in found} == {len(dl.shard(0, world))}
        assert sorted(int(i) for part in found for _, _, y in part for i in y) == list(range(len(lengths)))
        for batches in zip(*found, strict=True):
            rows = sorted(len(y) for _, _, y in batches)
            assert 1 <= rows[0] and rows[-1] - rows[0] <= 1
            n = sorted((int(i) for _, lens, _ in batches for i in lens), reverse=True)
            dealt = [sorted((int(i) for i in lens), reverse=True) for _, lens, _ in batches]
            assert dealt == [n[rank::world] for rank in range(world)]
            assert not max_tokens or all(x.numel() <= max_tokens + 2 * x.shape[1] for x, *_ in batches)


def test_parts_of_two_are_the_batches_of_one_process_with_twice_the_rows():
    lengths = np.random.default_rng(0).integers(1, 50, 203)
    one, two = (ClassifierDataLoader(Ids(lengths), np.arange(203), np.arange(203), bs=bs, shuffle=True, seed=3)
                for bs in (16, 8))
    together = [sorted([*a[2].tolist(), *b[2].tolist()]) for a, b in zip(*parts(two, 2), strict=True)]
    assert together == [sorted(y.tolist()) for _, _, y in one]


@pytest.mark.parametrize("shuffle", [True, False])
def test_fewer_rows_than_processes(shuffle):
    dl = ClassifierDataLoader(Ids([3, 2]), np.arange(2), bs=4, shuffle=shuffle, seed=0)
    if shuffle:
        with pytest.raises(ArgumentError, match="E603.*3 processes.*fewer processes"):
            dl.shard(0, 3)
    else:
        assert [len(list(dl.shard(rank, 3))) for rank in range(3)] == [1, 1, 0]


def test_a_part_is_asked_for_all_rows_out_of_training():
    dl = ClassifierDataLoader(Ids([3, 2, 4]), np.arange(3), np.arange(3), bs=1, shuffle=True, seed=0)
    assert sum(len(ids) for ids, *_ in dl.shard(0, 2).unshuffled()) == 3
    lm = LMDataLoader(Ids([9, 9]), np.arange(2), bs=1, seq_len=5, shuffle=True, seed=0)
    assert next(iter(lm.shard(0, 2).unshuffled()))[0].shape == (2, 5)


def test_what_cannot_be_divided():
    dl = ClassifierDataLoader(Ids([3, 2]), np.arange(2), bs=4, shuffle=True, seed=0)
    with pytest.raises(ArgumentError, match="E603.*whole loader"):
        dl.shard(0, 2).shard(0, 2)
    dls = DataLoaders([torch.zeros(2)], [])
    with pytest.raises(TrainingError, match="E506.*plain loaders.*TextDataLoaders"):
        dls.shard(0, 2)
