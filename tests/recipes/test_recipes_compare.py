"""Scores on the texts kept aside come with their uncertainty, and with the baseline's on the same texts."""

import numpy as np
import pandas as pd
import pytest

from ulmfit_easy.recipes.compare import Scores, compare, in_sentences, mcnemar, wilson

GOOD, BAD = "a lovely film number {}", "an awful film number {}"


def table(n_good, n_bad, aside=5):
    rows = [(GOOD.format(i), "pos") for i in range(n_good)] + [(BAD.format(i), "neg") for i in range(n_bad)]
    df = pd.DataFrame(rows, columns=["text", "label"])
    return df.assign(valid=df.index % aside == 0)


@pytest.mark.parametrize(("k", "n", "low", "high"), [  # published values, of Newcombe 1998, table I
    (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718),
    (20, 20, 0.8389, 1.0)])
def test_the_interval_is_wilsons(k, n, low, high):
    assert wilson(k, n) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("ahead", "behind", "p"), [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 2 / 32), (6, 0, 2 / 64), (3, 3, 1),
                                                    (0, 6, 2 / 64), (8, 1, 20 / 512)])
def test_two_models_are_compared_on_the_texts_where_they_differ(ahead, behind, p):
    ours = np.array([True] * ahead + [False] * behind + [True] * 20 + [False] * 5)
    theirs = np.array([False] * ahead + [True] * behind + [True] * 20 + [False] * 5)
    assert mcnemar(ours, theirs) == pytest.approx(p)


def test_the_baseline_is_scored_on_the_same_texts_and_cross_validated_on_all():
    df = table(60, 40)
    scores = compare(df, ["pos"] * 20)
    assert scores.accuracy == 0.6 and scores.low < 0.6 < scores.high
    assert scores.macro_f1 == pytest.approx(0.375)  # F1 of .75 and of 0
    assert scores[4:7] == (1.0, 1.0, 1.0) and scores.p_value == pytest.approx(2 / 2**8)
    assert compare(table(600, 400), ["pos"] * 200).baseline_cv_accuracy is None
    assert compare(table(60, 1, aside=7), ["pos"] * 9).baseline_cv_accuracy is None  # one of a class is no fold


def test_copies_are_left_out_of_the_cross_validation():
    df = pd.concat([table(6, 6), table(6, 6)])
    scores = compare(df.assign(text=[f"word{i}" for i in range(12)] * 2), ["pos"] * 6)  # none tells of another text
    assert scores.baseline_cv_accuracy < 0.8  # 1.0 with the copies
    assert "in cross-validation on the 12 different ones" in in_sentences(scores, df["label"], 6, 12)


def test_numbers_are_labels_too():
    df = table(60, 40).replace({"label": {"pos": 1, "neg": 0}})
    assert compare(df, np.ones(20, np.int64)).accuracy == 0.6


@pytest.mark.parametrize(("ours", "theirs", "p", "verdict"), [
    (0.9, 0.8, 0.2, "The difference between the two is within noise (McNemar's exact test, p = 0.2)"),
    (0.8, 0.8, 1.0, "The two are equal. To tell which is better,"),
    (0.7, 0.8, 0.05, "The difference between the two is within noise"),
    (0.9, 0.7, 0.01, "This model is better than the baseline (McNemar"),
    (0.7, 0.9, 0.01, "This model is worse than the baseline (McNemar")])
def test_a_difference_within_noise_is_called_that(ours, theirs, p, verdict):
    text = in_sentences(Scores(ours, 0.6, 0.95, 0.5, theirs, 0.4, 0.75, p), ["a", "b"] * 50, 10, 100)
    assert f"Accuracy on 10 texts kept aside: {ours:.3f} (95% interval 0.600 to 0.950).\n" in text
    assert f"{theirs:.3f} on the same texts; 0.750 in cross-validation on all 100.\n{verdict}" in text


@pytest.mark.parametrize(("labels", "is_told"), [(["a", "b"] * 9, False), (["a", "a", "b"] * 9, False),
                                                 ([1, 1, 1, 1, 0], True)])
def test_macro_f1_is_told_if_classes_are_unequal(labels, is_told):
    text = in_sentences(Scores(0.9, 0.8, 0.95, 0.5, 0.9, 0.4, None, 1.0), labels, 10, 18)
    assert [word in text for word in (", macro-F1 0.500", ", macro-F1 0.400")] == [is_told] * 2


def test_texts_without_a_word_have_no_baseline_to_compare_with():
    df = table(10, 10).assign(text="...")
    scores = compare(df, ["neg"] * 4)
    assert scores.baseline_accuracy is scores.p_value is None and scores.accuracy == 0.5
    assert "has no words to count" in in_sentences(scores, df["label"], 4, 8)
