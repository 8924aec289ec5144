"""An estimator answers in the form of its labels: one class, a list of classes, a column for each, or numbers."""

import numpy as np
import pandas as pd
import pytest
from recipes_tiny import LABELS, TEXTS, TINY

from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import FileError, LabelError
from ulmfit_easy.recipes.baseline import baseline
from ulmfit_easy.recipes.compare import compare
from ulmfit_easy.recipes.compare_numbers import compare_numbers
from ulmfit_easy.recipes.estimator import ULMFiT, ULMFiTRegressor
from ulmfit_easy.recipes.kinds import Indicator, Kind, Several, kind_of_labels

T, L = TEXTS[:24], LABELS[:24]
LISTS = [["good", "long"] if label == "pos" else {"long"} if i % 2 else [] for i, label in enumerate(L)]
FLAGS = pd.DataFrame({"long": [int("long" in each) for each in LISTS], "good": [int("good" in each) for each in LISTS]})
WORDS = ["film good", "film dull", "film bad"]
STARS = [4.5 if label == "pos" else 1.0 + i % 2 for i, label in enumerate(L)]
OPTIONS = {"preset": TINY, "seed": 0, "pretrained": False, "verbose": False, "valid_pct": 0.2}


@pytest.mark.parametrize(("labels", "kind", "classes"), [
    (["a", "b"], Kind, None), ([["a"], ["b"]], Kind, None), (np.array([["a"], ["b"]]), Kind, None),
    ([["a", "b"], []], Several, None), ([{"a"}, {"a", "b"}], Several, None), (pd.Series([["a"], []]), Several, None),
    (FLAGS, Indicator, ["long", "good"]), (FLAGS.to_numpy(), Indicator, [0, 1]), ([[1, 0], [0, 0]], Indicator, [0, 1]),
    (FLAGS[["good"]], Kind, None), ([[1, 0], [0]], Several, None)])
def test_labels_tell_what_is_to_be_answered(labels, kind, classes):
    found = kind_of_labels(labels)
    assert type(found) is kind and found.classes == classes


def test_several_classes_come_back_as_lists(tmp_path):
    model = ULMFiT(**OPTIONS).fit(T, LISTS)
    probs, said = model.predict_proba(T), model.predict(T)
    assert model.classes_.tolist() == ["good", "long"] and model.blend_ is None and probs.shape == (24, 2)
    assert said.tolist() == [[name for name, p in zip(model.classes_, row, strict=True) if p > 0.5] for row in probs]
    assert model.score(T, LISTS) == np.mean([set(a) == set(b) for a, b in zip(said, LISTS, strict=True)])
    assert model.score(T, said.tolist()) == 1 and 0 <= model.macro_f1_ <= 1 and model.baseline_accuracy_ is not None
    again = ULMFiT.load(model.save(tmp_path / "m"))
    assert (again.predict_proba(T) == probs).all() and again.predict(T).tolist() == said.tolist()
    assert again.scores_ == model.scores_ and again.score(T, LISTS) == model.score(T, LISTS)


def test_columns_of_classes_come_back_as_columns(tmp_path):
    from scipy.sparse import csr_matrix
    from sklearn.metrics import accuracy_score

    model = ULMFiT(**OPTIONS).fit(T, FLAGS)
    assert model.classes_.tolist() == ["long", "good"] and model.predict(T).shape == (24, 2)
    for given in (FLAGS, FLAGS.to_numpy(), csr_matrix(FLAGS.to_numpy())):
        assert model.score(T, given) == accuracy_score(FLAGS, model.predict(T))
    again = ULMFiT.load(model.save(tmp_path / "m"))
    assert (again.predict(T) == model.predict(T)).all() and again.classes_.tolist() == ["long", "good"]
    for given in (np.zeros((24, 3), int), L, [[1, 0], [1]] * 12):
        with pytest.raises(LabelError, match="E205.*columns?. Expected 2, as in training"):
            model.score(T, given)


@pytest.mark.slow
def test_columns_of_a_table_are_labels_too():
    df = pd.concat([pd.Series(T, name="text"), FLAGS], axis=1)
    model = ULMFiT.from_df(df, label_col=["long", "good"], **OPTIONS)
    assert (model.predict_proba(T) == ULMFiT(**OPTIONS).fit(T, FLAGS).predict_proba(T)).all()


@pytest.mark.slow
def test_scikit_learn_searches_over_columns_and_numbers():
    from sklearn.model_selection import GridSearchCV, cross_val_score

    search = GridSearchCV(ULMFiT(**OPTIONS), {"epochs": [1, 2]}, cv=2).fit(T, FLAGS)
    assert search.predict(T[:2]).shape == (2, 2) and search.best_params_["epochs"] in (1, 2)
    assert np.isfinite(cross_val_score(ULMFiTRegressor(**OPTIONS), np.array(T), STARS, cv=2)).all()
    weights = np.ones(24)
    assert cross_val_score(ULMFiT(**OPTIONS, blend=None), pd.DataFrame({"a": T, "b": T}), L, cv=2,
                           params={"sample_weight": weights}).shape == (2,)


def test_a_regression_answers_within_the_range_of_its_labels(tmp_path):
    from sklearn.base import clone, is_regressor
    from sklearn.metrics import mean_absolute_error, r2_score

    model = ULMFiTRegressor(**OPTIONS).fit(T, STARS)
    said = model.predict(T)
    assert said.shape == (24,) and said.dtype == np.float64 and (said >= 1 - 3.5 / 20).all() and (said <= 4.675).all()
    assert model.score(T, STARS) == pytest.approx(r2_score(STARS, said)) and is_regressor(model)
    assert model.mae_ is not None and model.baseline_r2_ is not None and not hasattr(model, "accuracy_")
    again = ULMFiTRegressor.load(model.save(tmp_path / "m"))
    assert (again.predict(T) == said).all() and again.scores_ == model.scores_
    assert "fitted on 20 texts, r2" in repr(again) and "mean absolute error" in (tmp_path / "m/README.md").read_text()
    with pytest.raises(FileError, match="E402.*estimator of numbers.*ULMFiTRegressor.load"):
        ULMFiT.load(tmp_path / "m")
    assert not hasattr(clone(model), "learners_") and mean_absolute_error(STARS, said) < 3
    assert model.predict([]).shape == (0,)
    for ask in (model.score, lambda X, y: model.fit(T, STARS, X_val=X, y_val=y)):
        with pytest.raises(LabelError, match="E205.*2 columns.*Expected 1"):
            ask(T, np.ones((24, 2)))


@pytest.mark.slow
def test_several_numbers_are_several_columns():
    targets = np.array([[a, 10.0 * a] for a in STARS])
    model = ULMFiTRegressor(**OPTIONS).fit(T, targets)
    assert model.predict(T).shape == (24, 2) and np.isfinite(model.score(T, targets))


def test_texts_of_weight_zero_are_never_read(monkeypatch):
    weights = [float(i % 3 > 0) for i in range(24)]
    model = ULMFiT(**OPTIONS, blend=None).fit(T, L, sample_weight=weights)
    train = model.learners_[0].dls.train
    assert (train.weights > 0).tolist() == [weights[row] > 0 for row in train.rows]
    said = model.predict(T) == np.array(L)
    assert model.score(T, L, sample_weight=weights) == pytest.approx(np.average(said, weights=weights))
    heavy = baseline(WORDS, ["x", "y", "y"], sample_weight=[9, 1, 1])
    assert heavy.predict_proba(["film"])[0, 0] > baseline(WORDS, ["x", "y", "y"]).predict_proba(["film"])[0, 0]


@pytest.mark.filterwarnings("ignore:Label 0 is present")
def test_the_baselines_of_several_classes_and_of_numbers_are_scikit_learns():
    from sklearn.metrics import f1_score, r2_score

    df = toy_reviews(n=60, seed=1)
    valid = np.arange(60) >= 40
    lists = [["x"] if label == "pos" else ["x", "y"] for label in df["label"]]
    scores = compare(df.assign(label=lists, valid=valid), lists[40:])
    assert scores.accuracy == scores.macro_f1 == 1 and scores.baseline_accuracy > 0.7
    flags = np.array([[1, int("y" in each)] for each in lists])
    theirs = baseline(df["text"][:40], flags[:40]).predict(df["text"][40:])
    assert scores.baseline_macro_f1 == f1_score(flags[40:], theirs, average="macro", zero_division=0)
    numbers = [float(label == "pos") for label in df["label"]]
    found = compare_numbers(df.assign(label=numbers, valid=valid), np.array(numbers[40:]))
    assert (found.r2, found.mae) == (1, 0) and 0 < found.baseline_r2 < 1 and found.baseline_mae > 0
    by_characters = compare_numbers(df.assign(label=numbers, valid=valid), np.array(numbers[40:]), "zh")
    assert by_characters.baseline_r2 != found.baseline_r2
    assert r2_score(numbers[40:], numbers[40:]) == 1
    heavy = df.assign(label=numbers, valid=valid, weight=[9.0 if i % 3 else 0.1 for i in range(60)])
    assert compare_numbers(heavy, np.array(numbers[40:])).baseline_r2 != found.baseline_r2
    smileys = pd.DataFrame({"text": ["!"] * 4, "label": [1.0, 2.0, 1.0, 2.0], "valid": [False, False, True, True]})
    assert compare_numbers(smileys, np.array([1.0, 2.0])).baseline_r2 is None
