from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.data.splits import (
    ColSplitter,
    DefaultSplitter,
    FolderSplitter,
    IndexSplitter,
    RandomSplitter,
    StratifiedSplitter,
    checked_split,
)
from ulmfit_easy.errors import ArgumentError, LabelError
from ulmfit_easy.fastai.splits import (
    EndSplitter,
    FileSplitter,
    FuncSplitter,
    GrandparentSplitter,
    MaskSplitter,
    RandomSubsetSplitter,
    TrainTestSplitter,
)


@settings(deadline=None)
@given(st.integers(2, 300), st.floats(0.01, 0.9), st.integers(0, 9))
def test_a_random_split_is_a_partition_with_something_on_both_sides(n, pct, seed):
    train, valid = RandomSplitter(pct, seed)(range(n))
    assert sorted([*train, *valid]) == list(range(n))
    assert len(train) and len(valid) == max(1, int(pct * n))


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=200), st.floats(0.05, 0.95), st.integers(0, 9))
def test_a_stratified_split_leaves_each_class_in_training_and_in_proportion(labels, pct, seed):
    train, valid = StratifiedSplitter(labels, pct, seed)(labels)
    assert sorted([*train, *valid]) == list(range(len(labels)))
    assert {labels[i] for i in train} == set(labels)
    held, wanted = Counter(labels[i] for i in valid), max(1, int(pct * len(labels)))
    assert len(valid) <= wanted
    for label, n in Counter(labels).items():
        assert held[label] <= n * wanted / len(labels) + 1
    if min(Counter(labels).values()) > 4:
        assert len(valid) == wanted


def test_few_rows_are_stratified_and_many_are_drawn_like_fastai_unless_a_class_would_be_lost():
    few = ["a"] * 90 + ["b"] * 10
    assert Counter(few[i] for i in DefaultSplitter(few, 0.2, 0)(few)[1]) == {"a": 18, "b": 2}
    many = ["a"] * 600 + ["b"] * 600
    assert (DefaultSplitter(many, 0.2, 5)(many)[1] == RandomSplitter(0.2, 5)(many)[1]).all()
    rare = ["a"] * 1999 + ["b"] * 2
    for seed in range(40):
        assert "b" in {rare[i] for i in DefaultSplitter(rare, 0.5, seed)(rare)[0]}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), min_size=4, max_size=120), st.integers(0, 9),
       st.booleans())
@pytest.mark.filterwarnings("ignore:.*one example each")
def test_copies_of_a_text_stay_on_one_side_and_no_class_is_lost(rows, seed, labelled):
    texts, labels = [f"text {text}" for text, _ in rows], [label for _, label in rows] if labelled else None
    train, valid = DefaultSplitter(labels, 0.3, seed, texts)(texts)
    assert sorted([*train, *valid]) == list(range(len(texts)))
    if labels:
        assert {labels[i] for i in train} == set(labels)
    for_train = {texts[i] for i in train}
    if for_train & {texts[i] for i in valid}:  # nothing else was left to validate with
        assert len(set(texts)) <= 2 * len(set(labels or "1"))


@pytest.mark.parametrize("n", [30, 1200])
def test_copies_follow_the_first_one_which_is_drawn_as_if_it_were_alone(n):
    labels = ["a", "b", "b"] * (n // 3)
    texts = [f"text {i}" for i in range(n)]
    before = DefaultSplitter(labels, 0.2, 3)(texts)
    after = DefaultSplitter(labels + labels[:9], 0.2, 3, texts + texts[:9])(texts + texts[:9])
    for rows, more in zip(before, after, strict=True):
        assert more.tolist() == [*rows, *(n + i for i in range(9) if i in rows)]
    empty = DefaultSplitter(None, 0.5, 0, [""] * 10)(range(10))
    assert len(empty[0]) == len(empty[1]) == 5  # nothing is copied there


def test_a_class_with_one_example_goes_to_training_with_a_warning():
    labels = ["a"] * 10 + ["b"] * 10 + ["once"]
    for seed in range(20):
        with pytest.warns(UserWarning, match="once"):
            train, _ = DefaultSplitter(labels, 0.5, seed)(labels)
        assert 20 in train


@pytest.mark.parametrize("flags", [[True, False, True], [1, 0, 1], ["True", "False", "true"], ["1", "0", "1"],
                                   [1.0, 0.0, 1.0], ["yes", "no", " Yes "], np.array([True, False, True])])
def test_a_column_of_flags_splits_whatever_its_type(flags):
    train, valid = ColSplitter("v")(pd.DataFrame({"v": flags}))
    assert train.tolist() == [1] and valid.tolist() == [0, 2]


@pytest.mark.parametrize("flag", ["maybe", "", None, 2, float("nan")])
def test_a_flag_that_is_neither_true_nor_false_is_named(flag):
    with pytest.raises(LabelError, match="row 1") as e:
        ColSplitter("v")(pd.DataFrame({"v": pd.Series([True, flag], dtype=object)}))
    assert e.value.code == "E206"


def test_folders_split_files():
    names = "train/pos/1.txt", "valid/pos/1.txt", "test/pos/1.txt", "train/2.txt"
    files = [Path("x", name) for name in names]
    assert [rows.tolist() for rows in GrandparentSplitter()(files)] == [[0], [1]]
    assert [rows.tolist() for rows in FolderSplitter("x")(files)] == [[0, 3], [1]]


def test_index_and_scikit_learn_splits():
    train, valid = IndexSplitter([3, 1])(range(5))
    assert train.tolist() == [0, 2, 4] and valid.tolist() == [3, 1]
    labels = ["a"] * 8 + ["b"] * 2
    train, valid = TrainTestSplitter(0.5, random_state=0, stratify=labels)(labels)
    assert Counter(labels[i] for i in valid) == {"a": 4, "b": 1} and len(train) == 5


@pytest.mark.parametrize("position", [-1, 5, -5])
def test_a_position_where_no_row_is_is_e206_and_not_a_row_counted_from_the_end(position):
    for splitter in (IndexSplitter([1, position]), lambda items: ([0, position], [1])):
        with pytest.raises(LabelError, match=rf"1 positions where no row is: {position}\.") as e:
            checked_split(splitter, range(5))
        assert e.value.code == "E206"


@pytest.mark.parametrize("rows", [([], [0]), ([0], []), ([0, 1], [1])])
def test_a_split_without_rows_or_with_shared_rows_is_e206(rows):
    with pytest.raises(LabelError) as e:
        checked_split(lambda items: rows, range(2))
    assert e.value.code == "E206"


def rows(splitter, items):
    return [part.tolist() for part in splitter(items)]


def test_splitters_by_end_mask_function_and_file_hold_out_the_rows_they_name(tmp_path):
    assert rows(EndSplitter(0.25), range(8)) == [[0, 1, 2, 3, 4, 5], [6, 7]]
    assert rows(EndSplitter(0.25, valid_last=False), range(8)) == [[2, 3, 4, 5, 6, 7], [0, 1]]
    assert rows(EndSplitter(0.1), range(3)) == [[0, 1], [2]]
    assert rows(MaskSplitter([True, False, 1]), "abc") == [[1], [0, 2]]
    assert rows(FuncSplitter(str.isupper), ["a", "B", "c"]) == [[0, 2], [1]]
    assert rows(FuncSplitter(lambda row: row.year > 2000), pd.DataFrame({"year": [1999, 2001, 2000]})) == [[0, 2], [1]]
    (tmp_path / "valid.txt").write_text("2.txt\n3.txt\n")
    assert rows(FileSplitter(tmp_path / "valid.txt"), [Path("a/1.txt"), Path("b/2.txt")]) == [[0], [1]]
    with pytest.raises(LabelError, match="E206.*mask of 2"):
        MaskSplitter([True, False])("abc")


def test_a_random_subset_leaves_rows_out_and_a_seed_gives_those_that_fastai_draws():
    train, valid = RandomSubsetSplitter(0.5, 0.2, seed=42)(range(10))  # compared with fastai 2.8.12
    assert (train.tolist(), valid.tolist()) == ([2, 6, 1, 8, 4], [5, 0])
    train, valid = RandomSubsetSplitter(0.5, 0.2)(range(10))
    assert len({*train, *valid}) == 7
    for sizes in ((0, 0.5), (0.6, 0.6), (0.5, -0.1)):
        with pytest.raises(ArgumentError, match="E60"):
            RandomSubsetSplitter(*sizes)


def test_a_column_may_name_what_stands_for_validation():
    df = pd.DataFrame({"part": ["a", "b", "c", "a"], "fold": [1, 2, 3, 1]})
    assert rows(ColSplitter("part", on="a"), df) == [[1, 2], [0, 3]]
    assert rows(ColSplitter("fold", on=[2, 3]), df) == [[0, 3], [1, 2]]


def test_several_folders_may_be_for_training_or_validation():
    files = [Path(folder) / "pos" / "1.txt" for folder in ("train", "extra", "test", "valid", "unsup")]
    split = GrandparentSplitter(train_name=["train", "extra"], valid_name=("test", "valid"))
    assert rows(split, files) == [[0, 1], [2, 3]]
