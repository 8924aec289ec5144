import numpy as np
import pandas as pd
import pytest
import torch

from ulmfit_easy.data.doctor import doctor
from ulmfit_easy.data.targets import (
    CategoryBlock,
    CategoryTarget,
    MultiCategoryBlock,
    MultiCategoryTarget,
    RegressionBlock,
    RegressionTarget,
    read_labels,
)
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import LabelError
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.text.words import BaseTokenizer


def fails(code, match=""):
    return pytest.raises(LabelError, match=rf"\[{code}\].*{match}")


def col(values, name="label", dtype=None):
    return pd.Series(values, name=name, dtype=dtype)


@pytest.mark.parametrize("values, classes", [(["b", "a", "b"], ["a", "b"]), ([10, 9, 10], [9, 10]),
                                             ([True, False], [False, True]), ([2.0, 1.0], [1.0, 2.0]),
                                             (["a/b", "<b>\n", "x" * 300], ["<b>\n", "a/b", "x" * 300])])
def test_classes_are_sorted_python_values_and_come_back(values, classes):
    target, labels = read_labels([col(values)])
    target = target.learned(labels)
    assert target.classes == classes and [type(c) for c in target.classes] == [type(c) for c in classes]
    assert [target.decode(i) for i in target.encode(labels)] == values
    assert target.c == len(classes) and target.encode(labels).dtype == np.int64


def test_one_class_is_e201():
    with fails("E201", "'a'"):
        CategoryTarget.learned(["a", "a"])
    with fails("E201"):
        CategoryTarget.learned(["a", "a"], classes=["a", "b"])
    with fails("E201"):
        MultiCategoryTarget.learned([[], []])


@pytest.mark.parametrize("value, dtype", [(None, object), (np.nan, object), (pd.NA, object), (np.nan, float),
                                          (None, "str"), ("", object), (pd.NA, "Int64"), (None, "category")])
def test_missing_labels_are_e202_with_their_rows(value, dtype):
    values = [1, value, 2, value] if dtype in (float, "Int64") else ["1", value, "2", value]
    if dtype == "str" and pd.Series(["a"], dtype="str").dtype == object:
        pytest.skip("this pandas has no str dtype")
    with fails("E202", "2 missing labels, rows 1, 3"):
        read_labels([col(values, dtype=dtype)])


def test_a_label_that_training_never_saw_is_e203_unless_all_are_given():
    with fails("E203", "'new'.*1 time, row 1"):
        CategoryTarget.learned(["a", "b"]).encode(["a", "new"])
    given = CategoryTarget.learned(["a", "b"], classes=["new", "b", "a"])
    assert given.encode(["a", "new"]).tolist() == [2, 0]
    with fails("E203", "2 times, rows 70, 90"):
        MultiCategoryTarget.learned([["a"]]).encode([["a", "z"], [], ["y"]], rows=[70, 80, 90])
    with fails("E203", "'b'"):
        CategoryTarget.learned(["a", "b"], classes=["a", "c"]).encode(["a", "b"])
    with fails("E203", "'z'"):
        MultiCategoryTarget.learned([["a"]]).encode([["a", "z"]])


def test_a_number_and_its_digits_are_told_apart_with_a_hint():
    target = CategoryTarget.learned([0, 1])
    with fails("E203", "1 in training is int"):
        target.encode(["1"])
    assert CategoryTarget.learned([1, "1"]).classes == [1, "1"]


def test_a_new_label_in_a_test_set_counts_as_wrong_with_a_warning():
    with pytest.warns(UserWarning, match="'new'"):
        assert CategoryTarget(["a", "b"]).encode(["b", "new"], unseen=-100).tolist() == [1, -100]
    with pytest.warns(UserWarning, match="'new'"):
        y = MultiCategoryTarget(["a", "b"]).encode([["b", "new"], []], unseen=-100)
    assert y.tolist() == [[0, 1], [0, 0]]


def test_a_delimiter_splits_labels_and_nothing_is_an_empty_set():
    target, labels = read_labels([col(["a; b", "", "b;", "c"])], delim=";")
    assert target is MultiCategoryTarget and labels == [["a", "b"], [], ["b"], ["c"]]
    target = target.learned(labels)
    y = target.encode(labels)
    assert y.dtype == np.float32 and y.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert [target.decode(row) for row in y] == labels


@pytest.mark.parametrize("zero, one", [(0, 1), (False, True), (0.0, 1.0), ("0", "1")])
def test_several_label_columns_are_zeros_and_ones(zero, one):
    target, labels = read_labels([col([one, zero], "good"), col([one, one], "bad")])
    assert target is MultiCategoryTarget and labels == [["good", "bad"], ["bad"]]


def test_lists_of_labels_need_no_delimiter():
    assert read_labels([col([["a", "b"], []])], y_block="multi")[1] == [["a", "b"], []]


def test_several_columns_with_other_values_are_e207():
    for kind in (None, "category"):
        with fails("E207"):
            read_labels([col([0, 2]), col([1, 1], "b")], y_block=kind)


def test_fractions_must_be_called_numbers_or_classes():
    with fails("E207", "regression"):
        read_labels([col([0.5, 1.0])])
    assert read_labels([col([0.5, 1.0])], y_block=CategoryBlock())[0] is CategoryTarget
    assert read_labels([col([0.5, 1.0])], y_block=RegressionBlock)[0] is RegressionTarget
    with fails("E207", "category"):
        read_labels([col([0.5, 1.0])], y_block="classes")


def test_regression_gives_floats_of_one_or_more_columns():
    target, labels = read_labels([col(["1.5", "2"])], y_block="regression")
    y = target.learned(labels).encode(labels)
    assert y.shape == (2,) and y.dtype == np.float32 and y.tolist() == [1.5, 2.0]
    target, labels = read_labels([col([1, 2]), col([3, 4], "b")], y_block="regression")
    target = target.learned(labels)
    assert target.c == 2 and target.encode(labels).tolist() == [[1, 3], [2, 4]]
    assert target.decode(target.encode(labels)[0]) == [1, 3]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "much", None])
def test_a_target_that_is_no_finite_number_is_e204_with_its_row(bad):
    for values in ([1.0, bad, 2.0], [(1.0, 1.0), (1.0, bad), (2.0, 2.0)]):
        with fails("E204", "row 7"):
            RegressionTarget.learned(values).encode(values, rows=[6, 7, 8])


def test_a_block_may_ask_for_the_order_in_which_classes_come_first():
    target = CategoryTarget.learned(["b", "c", "a", "b"], None, CategoryBlock(sort=False))
    assert target.classes == ["b", "c", "a"]
    assert CategoryTarget.learned(["b", "a"], ["b", "a"], CategoryBlock()).classes == ["b", "a"]


def test_a_class_for_what_is_missing_or_was_never_seen():
    block = CategoryBlock(add_na=True)
    _, labels = read_labels([col(["b", None, "a", np.nan], dtype=object)], y_block=block)
    target = CategoryTarget.learned(labels, None, block)
    assert target.classes == ["#na#", "a", "b"] and target.encode([*labels, "new"]).tolist() == [2, 0, 1, 0, 0]
    again = CategoryTarget(target.classes)  # from a file
    assert again.encode(["new", "b"], unseen=-100).tolist() == [0, 2]
    block = MultiCategoryBlock(add_na=True)
    _, labels = read_labels([col(["a b", None], dtype=object)], delim=" ", y_block=block)
    target = MultiCategoryTarget.learned(labels, None, block)
    assert target.classes == ["#na#", "a", "b"]
    assert target.encode([*labels, ["new", "a"]]).tolist() == [[0, 1, 1], [1, 0, 0], [1, 1, 0]]


def test_a_block_may_say_how_many_numbers_there_must_be():
    assert RegressionTarget.learned([[1, 2]], None, RegressionBlock(2)).c == 2
    with fails("E207", "n_out=2"):
        RegressionTarget.learned([1.0], None, RegressionBlock(n_out=2))


@pytest.mark.parametrize("y_block", [None, "category", CategoryBlock()])
def test_lists_of_labels_are_no_class_but_several(y_block):
    lists = pd.Series([["a", "b"], ["a"]])
    with pytest.raises(LabelError, match='E207.*lists.*y_block="multi"'):
        read_labels([lists], y_block=y_block)
    assert read_labels([lists], y_block="multi")[1] == [["a", "b"], ["a"]]


@pytest.mark.parametrize("several", [list, tuple, set, frozenset, np.array, pd.Series])
def test_a_list_of_one_label_is_that_label_and_of_more_is_none(several):
    kind, labels = read_labels([[several(["pos"]), several(["neg"])]])
    assert kind is CategoryTarget and labels == ["pos", "neg"]
    with fails("E207", "lists of labels"):
        read_labels([[several(["pos"]), several(["neg", "pos"])]])
    found = read_labels([[several([1, 2]), several([2])]], y_block="multi")[1]
    assert list(map(sorted, found)) == [[1, 2], [2]]


def test_whole_numbers_are_labels_of_their_own_where_there_may_be_several():
    assert read_labels([[1, "1;2", 2.0]], delim=";")[1] == [["1"], ["1", "2"], ["2.0"]]
    assert read_labels([[1, 2]], y_block="multi")[1] == [[1], [2]]


@pytest.mark.parametrize("labels", [
    [(1, 2), (3, 4)], [pd.Timestamp(2020, 1, 1), pd.Timestamp(2021, 1, 1)], ["a\0", "b"], ["a\ud800", "b"],
    [float("inf"), 1.0], [np.datetime64("2020"), np.datetime64("2021")]])
def test_labels_that_no_file_can_hold_are_refused_at_once(labels):
    with fails("E207", "as a class"):
        CategoryTarget.learned(labels)


def test_names_of_classes_come_once():
    with fails("E207", "names that differ.*Fix: name each class once"):
        CategoryTarget.learned(["a", "b"], classes=["a", "b", "a"])


def test_a_categorical_column_tells_classes_only_of_one_label_a_text():
    df = toy_reviews(24).assign(tags=["a;b", "a", "b"] * 8, x=[0, 1] * 12, y=[1, 1, 0] * 8)
    options = {"tok_tfm": BaseTokenizer(), "seed": 0, "min_freq": 1, "bs": 4}
    for kwargs in ({"label_col": "tags", "label_delim": ";"}, {"label_col": ["x", "y"]}):
        plain, category = (TextDataLoaders.from_df(frame, text_col="text", **kwargs, **options)
                           for frame in (df, df.astype({"tags": "category", "x": "category", "y": "category"})))
        assert category.classes == plain.classes


@pytest.mark.parametrize("names", [["x", "y"], ("x", "y"), {"y", "x"}, np.array(["x", "y"]), pd.Index(["x", "y"]),
                                   pd.Series(["x", "y"]), [np.str_("x"), "y"], [2, np.int64(3)]])
def test_columns_are_named_by_any_list(names):
    df = toy_reviews(24)[["text", "label"]].assign(x=[0, 1] * 12, y=[1, 1, 0] * 8)
    options = {"tok_tfm": BaseTokenizer(), "seed": 0, "min_freq": 1, "bs": 4}
    assert TextDataLoaders.from_df(df, text_col="text", label_col=names, **options).classes == ["x", "y"]
    assert "classes" in doctor(df, "text", names).figures


def test_labels_that_look_alike_are_warned_of():
    df = toy_reviews(24).assign(label=["pos", "pos ", "Pos", "neg"] * 6)
    with pytest.warns(UserWarning, match="look alike: 'Pos', 'pos', 'pos '"):
        TextDataLoaders.from_df(df, text_col="text", label_col="label", tok_tfm=BaseTokenizer(), min_freq=1, bs=4)


@pytest.mark.parametrize("several", [list, tuple, np.array, torch.tensor, pd.Series])
def test_several_numbers_may_come_in_any_list(several):
    kind, labels = read_labels([[several([1.5, 2.5]), several([3, 4])]], y_block="regression")
    assert kind.learned(labels).encode(labels).tolist() == [[1.5, 2.5], [3, 4]]
