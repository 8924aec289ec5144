"""`ULMFiT` keeps scikit-learn's rules for estimators, as far as they are about texts and not about matrices."""

import pickle
import shutil
from copy import deepcopy

import numpy as np
import pytest
from recipes_tiny import LABELS, TEXTS, TINY

from ulmfit_easy.errors import ArgumentError, TextError, TrainingError
from ulmfit_easy.recipes.estimator import ULMFiT, ULMFiTRegressor

# scikit-learn's own checks whose data is no matrix; `check_estimator` runs the first alone for estimators of texts
CHECKS = ("check_estimator_cloneable", "check_estimator_repr", "check_no_attributes_set_in_init",
          "check_parameters_default_constructible", "check_get_params_invariance", "check_set_params",
          "check_do_not_raise_errors_in_init_or_set_params", "check_estimator_tags_renamed", "check_valid_tag_types",
          "check_mixin_order")

FEW = TEXTS[:30], LABELS[:30]


def tiny(**params):
    return ULMFiT(**{"preset": TINY, "seed": 0, "pretrained": False, "verbose": False, "blend": None, **params})


@pytest.mark.parametrize("cls", [ULMFiT, ULMFiTRegressor])
@pytest.mark.parametrize("check", CHECKS)
def test_it_passes_scikit_learns_check(check, cls):
    from sklearn.utils import estimator_checks

    getattr(estimator_checks, check)(cls.__name__, cls(preset=TINY, seed=0))


@pytest.mark.parametrize("cls", [ULMFiT, ULMFiTRegressor])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_it_passes_check_estimator(cls):
    from sklearn.utils.estimator_checks import check_estimator

    results = check_estimator(cls(preset=TINY, seed=0), on_fail="raise")
    assert "check_estimator_cloneable" in {r["check_name"] for r in results if r["status"] == "passed"}
    assert not [r for r in results if r["status"] == "failed"]


@pytest.mark.slow
def test_it_is_searched_and_cross_validated_in_a_pipeline():
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    lower = FunctionTransformer(lambda texts: [t.lower() for t in texts])
    pipe = make_pipeline(lower, tiny())
    assert np.isfinite(cross_val_score(pipe, *FEW, cv=2)).all()
    search = GridSearchCV(pipe, {"ulmfit__seed": [0, 1], "ulmfit__valid_pct": [0.2]}, cv=2).fit(*FEW)
    assert set(search.best_params_) == {"ulmfit__seed", "ulmfit__valid_pct"}
    assert search.predict(TEXTS[:3]).shape == (3,) and 0 <= search.best_score_ <= 1


def test_fit_leaves_its_parameters_and_its_input_alone():
    texts, labels, model = list(FEW[0]), np.array(FEW[1]), tiny()
    before = dict(model.get_params())
    model.fit(texts, labels)
    assert model.get_params() == before and (texts, labels.tolist()) == FEW
    assert all(name.endswith("_") for name in set(vars(model)) - set(before))


def test_a_second_fit_forgets_the_first():
    once = tiny().fit(*FEW)
    twice = tiny().fit(TEXTS[40:80], ["x" if label == "pos" else "y" for label in LABELS[40:80]]).fit(*FEW)
    assert np.array_equal(once.predict_proba(TEXTS), twice.predict_proba(TEXTS))


def test_pickles_of_all_kinds_need_no_cache(tmp_path):
    import joblib

    model = tiny().fit(TEXTS[:40], LABELS[:40])
    expected, store = model.predict_proba(TEXTS[:5]), model.learners_[0].dls.train.ids.store.path
    pickled = pickle.dumps(model)
    joblib.dump(model, tmp_path / "model.joblib")
    shutil.rmtree(store)
    for again in (model, deepcopy(model), pickle.loads(pickled), joblib.load(tmp_path / "model.joblib")):
        assert np.array_equal(again.predict_proba(TEXTS[:5]), expected)


def test_rows_of_probabilities_sum_to_one_as_float64_do():
    probs = tiny().fit(*FEW).predict_proba(TEXTS)
    assert probs.dtype == np.float64 and np.abs(probs.sum(1) - 1).max() < 1e-15


def test_errors_are_scikit_learns_and_ours():
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError, match="E506") as e:
        tiny().predict(["a"])
    assert isinstance(e.value, TrainingError) and str(pickle.loads(pickle.dumps(e.value))) == str(e.value)
    with pytest.raises(ValueError, match="E604.*'epoch'"):
        tiny().set_params(epoch=3)
    with pytest.raises(TextError, match="E104"):
        tiny(verbose=False).fit(*FEW).score([], [])


@pytest.mark.parametrize("given", [None, 3])
def test_what_holds_no_texts_is_a_coded_error(given):
    with pytest.raises(TextError, match="E101"):
        tiny().fit(given, LABELS)


@pytest.mark.parametrize("share", ["0.1", None, -1, 1, float("nan")])
def test_a_share_that_is_no_fraction_is_a_coded_error(share):
    with pytest.raises(ArgumentError, match="E60.*valid_pct"):
        tiny(valid_pct=share).fit(TEXTS, LABELS)


def test_no_fix_names_an_argument_of_another_function():
    with pytest.raises(TextError) as e:
        tiny().fit([*TEXTS[:-1], None], LABELS)
    assert "on_missing" not in str(e.value) and "drop these rows" in str(e.value)
