from collections import Counter
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from data_toys import Ids
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from ulmfit_easy.data.balance import balanced_rows, class_weights, draw_rows
from ulmfit_easy.data.classify import ClassifierDataLoader
from ulmfit_easy.data.tables import TableOnDisk
from ulmfit_easy.data.targets import TARGETS, CategoryBlock
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import ArgumentError, LabelError, TrainingError
from ulmfit_easy.fastai.block import DataBlock, TextBlock
from ulmfit_easy.fastai.getters import ColReader
from ulmfit_easy.learner.text_data import TextDataLoaders

pytestmark = pytest.mark.filterwarnings("ignore")


def loader(lengths, **kwargs):
    return ClassifierDataLoader(Ids(lengths), range(len(lengths)), np.arange(len(lengths)), shuffle=True, **kwargs)


def rows_of(dl):
    return [y.tolist() for _, _, y in dl]


def fake(targets, task="single", c=2):
    train = SimpleNamespace(targets=torch.as_tensor(targets))
    return SimpleNamespace(train=train, task=task, target=TARGETS[task], c=c)


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=60).filter(lambda y: len(set(y)) > 1))
def test_class_weights_are_those_of_scikit_learn(y):
    classes = sorted(set(y))
    found = class_weights(fake(y, c=6))
    assert found.dtype == torch.float32 and found.shape == (6,)
    theirs = compute_class_weight("balanced", classes=np.array(classes), y=y)
    np.testing.assert_allclose(found[classes], theirs, rtol=1e-6)
    assert (found[[c for c in range(6) if c not in classes]] == 1).all()


def test_class_weights_of_several_classes_weigh_texts_with_against_texts_without():
    y = torch.tensor([[1.0, 0, 1], [1, 0, 0], [1, 0, 0], [0, 0, 0]])
    assert class_weights(fake(y, "multi", 3)).tolist() == [pytest.approx(1 / 3), 1, 3]


def test_what_has_no_classes_has_no_class_weights():
    without = [SimpleNamespace(train=[], task=task, target=TARGETS[task]) for task in ("single", "lm")]
    for dls in (fake([1.0], "regression"), *without):
        with pytest.raises(TrainingError, match="E506"):
            class_weights(dls)


weights = st.lists(st.floats(0, 9), min_size=1, max_size=80).filter(any)


@settings(deadline=None, max_examples=200)
@given(weights, st.integers(0, 99))
def test_each_row_is_drawn_its_share_of_the_weights_rounded_up_or_down(w, seed):
    w = np.array(w)
    counts = np.bincount(draw_rows(w, np.random.default_rng(seed)), minlength=len(w))
    share = len(w) * w / w.sum()
    assert counts.sum() == len(w)
    assert (np.floor(share - 1e-6) <= counts).all() and (counts <= np.ceil(share + 1e-6)).all()
    assert (counts[w == 0] == 0).all()


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=4, max_size=200).filter(lambda y: set(y) == {0, 1, 2, 3}))
def test_balanced_rows_draw_each_class_equally_often(y):
    y = np.array(y)
    drawn = Counter(y[draw_rows(balanced_rows(y), np.random.default_rng(0))].tolist())
    assert set(drawn) == {0, 1, 2, 3} and max(drawn.values()) - min(drawn.values()) <= 2 * 4


def test_an_epoch_of_weighted_batches_keeps_lengths_together_and_copies_of_a_text_apart():
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 300, 3200)
    rare = np.arange(3200) < 64  # each of them comes 25 times
    dl = loader(lengths, bs=64, seed=0, weights=balanced_rows(rare.astype(int)))
    batches = list(dl)
    assert len(batches) == len(dl) == 50 and sum(len(n) for _, n, _ in batches) == 3200
    assert sum(ids.numel() for ids, _, _ in batches) < 1.3 * sum(int(n.sum()) for _, n, _ in batches)
    assert abs(np.mean([rare[y].mean() for _, _, y in batches]) - 0.5) < 0.01
    assert max(Counter(y.tolist()).most_common(1)[0][1] for _, _, y in batches) <= 16
    assert np.std([rare[y].mean() for _, _, y in batches]) < 0.15


def test_the_longest_text_that_was_drawn_is_in_the_first_batch():
    for seed in range(5):
        batches = list(loader(range(100), bs=4, seed=seed, weights=np.arange(100) < 90))
        assert int(batches[0][1].max()) == max(int(n.max()) for _, n, _ in batches) < 90


def test_weighted_epochs_differ_and_are_repeated_by_seed_and_state_from_any_batch_on():
    make = lambda seed: loader(range(1, 60), bs=4, seed=seed, weights=np.linspace(0, 1, 59))  # noqa: E731
    a, b = make(0), make(0)
    first, state, second = rows_of(a), a.state_dict(), rows_of(a)
    assert first != second and rows_of(b) == first and len(first) == len(second) == len(a)
    c = make(9)
    c.load_state_dict(state)
    assert rows_of(c) == second
    c.load_state_dict({**state, "position": 5})
    assert rows_of(c) == first[5:]


def test_a_validation_of_weighted_rows_has_each_row_once():
    dl = loader([3, 1, 2], bs=2, seed=0, weights=[0, 0, 1]).unshuffled()
    assert sum(rows_of(dl), []) == [0, 2, 1]


def test_weighted_loaders_are_another_run_for_a_checkpoint():
    prints = {loader([3, 1, 2], seed=0, weights=w).fingerprint() for w in (None, [1, 1, 2], [1, 2, 2])}
    assert len(prints) == 3


@pytest.fixture(scope="module")
def df():
    table = toy_reviews(200, seed=0)
    return table[(table.label == "pos") | (np.arange(200) % 10 == 0)].reset_index(drop=True)


def test_from_df_balances_training_only(df):
    dls = TextDataLoaders.from_df(df, bs=8, seed=0, min_freq=1, balanced=True)
    y = torch.cat([y for *_, y in dls.train])
    assert abs(float(y.double().mean()) - 0.5) < 0.05 and len(y) == dls.train.n_rows
    assert sorted(torch.cat([y for *_, y in dls.valid]).tolist()) == sorted(dls.valid.targets.tolist())
    assert class_weights(dls)[0] > 2 > 1 > class_weights(dls)[1]


def test_from_df_takes_a_weight_for_each_row(df):
    only = np.zeros(len(df))
    only[df.label == "neg"] = 1
    dls = TextDataLoaders.from_df(df, bs=8, seed=0, min_freq=1, weights=only)
    assert (torch.cat([y for *_, y in dls.train]) == 0).all()


def test_weights_are_those_of_the_rows_of_the_table_also_where_some_are_dropped(df, tmp_path):
    table = df.assign(text=df.text.where(df.index % 7 != 3))
    only = (df.label == "neg").astype(float)
    in_pieces = TableOnDisk(tmp_path / "t.csv", 9)
    in_pieces.pieces = lambda: (table[i:i + 9].reset_index(drop=True) for i in range(0, len(table), 9))
    from_df = partial(TextDataLoaders.from_df, text_col="text", label_col="label", on_missing="drop")
    block = DataBlock((TextBlock.from_df("text", on_missing="drop"), CategoryBlock), get_y=ColReader("label"))
    for door, source in [(from_df, table), (from_df, in_pieces), (block.dataloaders, table)]:
        dls = door(source, bs=8, seed=0, min_freq=1, weights=only)
        assert (torch.cat([y for *_, y in dls.train]) == 0).all()
        with pytest.raises(ArgumentError, match=f"E602.*{len(df)} numbers"):
            door(source, weights=only[:-1])


@pytest.mark.parametrize("kwargs", [{"weights": [1, 2]}, {"weights": [-1.0] * 3}, {"weights": [0] * 3},
                                    {"weights": [1, np.nan, 1]}, {"weights": [1] * 3, "max_tokens": 9}])
def test_weights_that_are_none_are_refused(kwargs):
    with pytest.raises(ArgumentError, match="E60[23]"):
        loader([1, 2, 3], **kwargs)
    with pytest.raises(ArgumentError, match="E603.*shuffle=False"):
        ClassifierDataLoader(Ids([1, 2]), range(2), weights=[1, 1])


def test_what_a_loader_does_not_have_is_refused_at_the_door(df):
    def fails(code="E603", **kwargs):
        with pytest.raises(ArgumentError, match=code):
            TextDataLoaders.from_df(df, min_freq=1, **kwargs)
    fails(balanced=True, weights=[1] * len(df))
    fails("E602", weights=[1, 2])
    fails(is_lm=True, balanced=True)
    fails(is_lm=True, max_tokens=9)
    fails(bptt_jitter=5)
    with pytest.raises(LabelError, match="E207.*balanced"):
        TextDataLoaders.from_df(df.assign(a=1, b=0), label_col=["a", "b"], min_freq=1, balanced=True)
    with pytest.raises(LabelError, match="E207"):
        TextDataLoaders.from_df(df.assign(label=pd.Series(range(len(df))) + 0.5), y_block="regression", balanced=True)
