"""Doubtful labels, spread over seeds, and a search of the settings: each through the call that a user makes."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from recipes_tiny import DF, LABELS, TEXTS, TINY

from ulmfit_easy.all import ULMFiT, label_issues, repeat, toy_reviews, tune
from ulmfit_easy.errors import ArgumentError, FileError, LabelError, TextError, TrainingError
from ulmfit_easy.recipes.compare import Scores
from ulmfit_easy.recipes.label_issues import out_of_sample
from ulmfit_easy.recipes.stages import lm_data, new_lm


@pytest.fixture(scope="module")
def lm():
    return new_lm(lm_data(TEXTS, TINY, pretrained=False), TINY, verbose=False)


def words():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(TfidfVectorizer(), LogisticRegression())


class Remembers:
    """Is sure of what it has read, and torn about anything else."""

    def __init__(self):
        self.known = {}

    def get_params(self, deep=True):
        return {}

    def fit(self, texts, labels):
        self.known, self.classes_ = dict(zip(texts, labels, strict=True)), np.unique(labels)
        return self

    def predict_proba(self, texts):
        return np.array([[.5, .5] if text not in self.known else [1, 0] for text in texts])


@pytest.mark.parametrize("name, call", [("cleanlab", lambda: label_issues(words(), DF)), ("optuna", lambda: tune(DF))])
def test_a_missing_package_is_named(monkeypatch, name, call):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, f"{name}.filter", None)
    with pytest.raises(TrainingError, match=rf"\[E507\].*pip install {name}"):
        call()


def test_wrong_labels_are_found():
    pytest.importorskip("cleanlab", reason="cleanlab is not installed")
    df, wrong = toy_reviews(300, 0), [3, 40, 77, 140, 200]
    df.loc[wrong, "label"] = df.loc[wrong, "label"].map({"pos": "neg", "neg": "pos"})
    df.index = df.index + 1000
    found = label_issues(words(), df)
    assert len({i + 1000 for i in wrong} & set(found.index)) > 3 and len(found) < 30
    assert found["quality"].is_monotonic_increasing and (found["suggested"] != found["label"]).all()
    pd.testing.assert_frame_equal(found, label_issues(words(), df))
    answers = ["reject" if i - 1000 in wrong else "accept" for i in df.index]
    with pytest.warns(UserWarning, match="5 of 300 rows were left out"):
        assert not {i + 1000 for i in wrong} & set(label_issues(words(), df.assign(answer=answers)).index)


def test_rows_that_were_rejected_are_not_judged(monkeypatch):
    class EachRow:
        @staticmethod
        def find_label_issues(labels, probs, **_):
            return np.arange(len(labels))

    monkeypatch.setattr(sys.modules[out_of_sample.__module__], "optional_package", lambda name: EachRow)
    df = DF[:20].assign(answer=["reject"] * 3 + ["accept"] * 17)
    with pytest.warns(UserWarning, match="3 of 20 rows were left out"):
        found = label_issues(words(), df, folds=2)
    assert found.index.tolist() == [*range(3, 20)]


@pytest.mark.parametrize("column", ["quality", "suggested"])
def test_a_column_that_the_answer_has_is_never_overwritten(column, monkeypatch):
    monkeypatch.setattr(sys.modules[out_of_sample.__module__], "optional_package", lambda name: None)
    with pytest.raises(ArgumentError, match=f"E603.*'{column}'"):
        label_issues(words(), DF[:20].assign(**{column: 1}))
    with pytest.raises(FileError, match="E407"):
        label_issues(words(), [["a", "b"]])


def test_no_row_is_judged_by_a_model_that_has_read_it():
    texts = pd.Series([*TEXTS[:30], *TEXTS[:10]])
    _, probs = out_of_sample(Remembers(), texts, LABELS[:30] + LABELS[:10])
    assert (probs == .5).all()


def out_of_sample_of(model):
    classes, probs = out_of_sample(model, pd.Series(TEXTS), [{"pos": 1, "neg": 0}[y] for y in LABELS], folds=2)
    assert classes == [0, 1]
    np.testing.assert_allclose(probs.sum(1), 1)
    return probs


def test_columns_are_those_of_the_sorted_classes():
    probs = out_of_sample_of(words())
    assert np.mean(probs.argmax(1) == [int(y == "pos") for y in LABELS]) > .7


@pytest.mark.slow
def test_copies_of_an_estimator_are_trained():
    model = ULMFiT(preset=TINY, pretrained=False, blend=None, seed=0)
    out_of_sample_of(model)
    assert not hasattr(model, "learners_") and model.verbose


@pytest.mark.parametrize(("model", "labels", "error", "message"), [
    (words(), [*"ab", *"a" * 38], LabelError, "E206.*one text"), (object(), LABELS[:40], TrainingError, "E506")])
def test_what_no_fold_can_learn_is_refused(model, labels, error, message):
    with pytest.raises(error, match=message):
        out_of_sample(model, pd.Series(TEXTS[:40]), labels)


def test_scores_are_repeated_with_their_spread(capsys):
    found = repeat(lambda seed: {"right": seed / 10, "drawn": np.random.rand()}, n=3)
    assert found.loc[["0", "1", "2", "mean", "std"], "right"].round(4).tolist() == [0, .1, .2, .1, .1]
    said = capsys.readouterr().out.splitlines()
    assert said[1].startswith("seed 1: right 0.1000, drawn") and "right 0.1000 ± 0.1000" in said[3]
    again = repeat(lambda seed: np.random.rand(), seeds=[2, 0])
    assert again.loc[["2", "0"], "score"].tolist() == found.loc[["2", "0"], "drawn"].tolist()


def test_an_estimator_has_scores_of_its_own():
    fitted = SimpleNamespace(scores_=Scores(.9, macro_f1=.8, p_value=.1))
    assert repeat(lambda seed: fitted, n=2).loc["mean"].tolist()[:2] == [.9, .8]


@pytest.mark.slow
def test_an_estimator_and_a_learner_are_fitted_with_each_seed(lm):
    found = repeat(lambda seed: lm.fit(1, 1e-2) or lm, n=2)
    assert [*found][:2] == ["train_loss", "valid_loss"] and found.loc["std"].notna().all()
    found = repeat(lambda seed: ULMFiT(preset=TINY, pretrained=False, blend=None, seed=seed, verbose=False).fit(
        TEXTS, LABELS), n=2)
    assert [*found] == ["accuracy", "macro_f1", "baseline_accuracy", "seconds"] and found.loc["std"].notna().all()


@pytest.mark.parametrize(("train", "kwargs", "message"), [
    (lambda seed: "good", {}, "E602.*returned str"), (lambda seed: None, {}, "E602"),
    (lambda seed: SimpleNamespace(scores_=None), {}, "E602.*kept aside.*valid_pct"),
    (lambda seed: 1, dict(n=1), "E602.*n=1"), (lambda seed: 1, dict(seeds=[1, 1]), "E602.*seeds"), (3, {}, "E601")])
def test_what_has_no_spread_is_refused(train, kwargs, message):
    with pytest.raises(ArgumentError, match=message):
        repeat(train, **kwargs)


@pytest.mark.slow
def test_the_best_trial_is_a_preset_to_fit_with(lm, capsys):
    pytest.importorskip("optuna", reason="optuna is not installed")
    found = tune(DF, pretrained=lm, preset=TINY, n_trials=3)
    assert len(found.trials) == 3 and found.trials["accuracy"].is_monotonic_decreasing
    assert "trial 1: " in (said := capsys.readouterr().out) and "24 rows kept aside" in said
    first = found.trials[found.trials["lr"] == 1].iloc[0]
    assert (first["epochs"], first["drop_mult"], first["wd"]) == (1, TINY.clas_drop_mult, TINY.clas_wd)
    best = found.trials.iloc[0]
    assert found.preset.clas[0].lr == pytest.approx(TINY.clas[0].lr * best["lr"])
    assert found.preset == replace(found.preset, lm=TINY.lm) and found.preset.clas_wd == best["wd"]
    again = tune(DF, pretrained=lm, preset=TINY, n_trials=3).trials
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), found.trials.drop(columns="seconds"))


@pytest.mark.slow
def test_pairs_are_searched_too(lm):
    pytest.importorskip("optuna", reason="optuna is not installed")
    assert len(tune(DF, text_col=["text", "topic"], pretrained=lm, preset=TINY, n_trials=1).trials) == 1


def test_a_column_that_is_not_there_is_named_before_stage_2(lm):
    pytest.importorskip("optuna", reason="optuna is not installed")
    with pytest.raises(TextError, match="E102.*body"):
        tune(DF, text_col="body", pretrained=lm)
