import numpy as np
import pytest
from data_toys import Ids
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.data.budget import buckets
from ulmfit_easy.data.classify import ClassifierDataLoader
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.text_data import TextDataLoaders


def loader(lengths, max_tokens, shuffle=True, **kwargs):
    return ClassifierDataLoader(Ids(lengths), range(len(lengths)), np.arange(len(lengths)), shuffle=shuffle, seed=0,
                                max_tokens=max_tokens, **kwargs)


many = st.lists(st.integers(0, 90), min_size=1, max_size=150)


@settings(deadline=None, max_examples=300)
@given(many, st.integers(1, 700), st.booleans())
def test_each_text_comes_once_within_the_budget_and_never_alone_in_training(lengths, max_tokens, shuffle):
    dl = loader(lengths, max_tokens, shuffle)
    for _ in range(2):
        batches = list(dl)
        assert len(batches) == len(dl)
        assert sorted(i for *_, y in batches for i in y.tolist()) == list(range(len(lengths)))
        for ids, _, _ in batches:
            rows, longest = ids.shape
            assert rows * longest <= max_tokens or rows <= (3 if shuffle else 1)
            assert rows > 1 or not shuffle or len(lengths) == 1


@settings(deadline=None, max_examples=300)
@given(many, st.integers(1, 700))
def test_three_rows_over_the_budget_are_the_rare_odd_ones(lengths, max_tokens):
    lengths = np.sort(lengths)[::-1]
    over = 0
    for rows, n in buckets(lengths, max_tokens):
        longest = lengths[rows][0]
        over += sum(len(part) > 2 and len(part) * longest > max_tokens for part in np.array_split(lengths[rows], n))
    assert over <= 1


def test_the_first_batch_is_the_largest_and_the_next_epoch_brings_other_company():
    lengths = np.random.default_rng(0).integers(5, 400, 2000)
    dl = loader(lengths, 4000)
    epochs = [list(dl), list(dl)]
    for batches in epochs:
        sizes = [ids.numel() for ids, *_ in batches]
        assert sizes[0] == max(sizes) > 3600
        assert sum(sizes) < 1.15 * lengths.sum()
        widths = [ids.shape[1] for ids, *_ in batches[1:]]
        assert abs(np.corrcoef(widths, range(len(widths)))[0, 1]) < 0.3
    first, second = ({frozenset(y.tolist()) for *_, y in batches} for batches in epochs)
    assert len(epochs[0]) == len(epochs[1]) == len(dl) and len(first & second) <= 1


def test_validation_goes_from_long_to_short_and_order_puts_results_back():
    lengths = np.random.default_rng(0).integers(5, 400, 300)
    dl = loader(lengths, 2000, shuffle=False)
    assert [i for *_, y in dl for i in y.tolist()] == dl.order.tolist()
    n = [int(n) for _, lengths, _ in dl for n in lengths]
    assert n == sorted(n, reverse=True)


def test_an_epoch_goes_on_at_any_batch():
    lengths = np.random.default_rng(0).integers(5, 100, 200)
    a, b = loader(lengths, 900), loader(lengths, 900)
    batches = [y.tolist() for *_, y in a]
    b.load_state_dict({"seed": 0, "epoch": 1, "position": 7})
    assert [y.tolist() for *_, y in b] == batches[7:]
    assert a.fingerprint() != loader(lengths, 901).fingerprint() != loader(lengths, None).fingerprint()


def test_a_budget_below_one_token_is_refused():
    with pytest.raises(ArgumentError, match="E602.*max_tokens=0"):
        loader([1], 0)


def test_from_df_gives_the_budget_to_every_loader():
    dls = TextDataLoaders.from_df(toy_reviews(200), seed=0, min_freq=1, max_tokens=500)
    new = dls.test_dl(toy_reviews(99, seed=1))
    for dl in (dls.train, dls.valid, new):
        assert all(ids.numel() <= 500 for ids, *_ in dl) and len({len(ids) for ids, *_ in dl}) > 2
    assert {len(ids) for ids, *_ in dls.test_dl(toy_reviews(99, seed=1), bs=9)} == {9}
