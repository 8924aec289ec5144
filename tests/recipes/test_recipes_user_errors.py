"""Errors of users with the estimators and the functions near them: the real cause is said, and a fix that works."""

import datetime
import re
from tempfile import mkdtemp

import numpy as np
import pandas as pd
import pytest
from recipes_tiny import LABELS, TEXTS, TINY
from scipy.sparse import csr_matrix

from ulmfit_easy.errors import UlmfitError
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.recipes.baseline import baseline
from ulmfit_easy.recipes.ensemble import ensemble
from ulmfit_easy.recipes.estimator import ULMFiT, ULMFiTRegressor

T, L = TEXTS[:12], LABELS[:12]
PAIRS = pd.DataFrame({"question": T, "answer": T[::-1]})
DF = PAIRS.assign(label=L)
X = np.random.default_rng(0).random((12, 5))
OPTIONS = {"preset": TINY, "seed": 0, "pretrained": False, "verbose": False}


def new(**params):
    return ULMFiT(**{**OPTIONS, "blend": None, **params})


def numbers(**params):
    return ULMFiTRegressor(**{**OPTIONS, **params})


@pytest.fixture(scope="module")
def one():
    return new().fit(pd.Series(T, name="review"), L)


@pytest.fixture(scope="module")
def two():
    return new().fit(PAIRS, L)


FIT = {  # a call, the code, what the message says of the cause, and of the fix
    "a sparse matrix of features": (lambda: new().fit(csr_matrix(X), L), "E101", "(12, 5)", "the texts themselves"),
    "a matrix of features": (lambda: new().fit(X, L), "E101", "without text", "not features such as TF-IDF"),
    "three dimensions": (lambda: new().fit(np.array(T).reshape(2, 3, 2), L), "E101", "(2, 3, 2)", "the texts"),
    "one string": (lambda: new().fit("a text", ["pos"]), "E101", "one str", "pass [text]"),
    "a dict": (lambda: new().fit({"text": T}, L), "E101", "one dict", "column of the table"),
    "no texts": (lambda: new().fit([], []), "E104", "no texts", ""),
    "blank texts": (lambda: new().fit([" "] * 12, L), "E104", "12 rows, none of them with a text", ""),
    "a NaN among texts": (lambda: new().fit([*T[:-1], float("nan")], L), "E101", "missing text, row 11", "drop these"),
    "numbers among texts": (lambda: new().fit([*T[:-1], 3], L), "E101", "type int, row 11", "astype(str)"),
    "lists of words": (lambda: new().fit([t.split() for t in T], L), "E101", "type list", '" ".join(words)'),
    "no labels": (lambda: new().fit(T, None), "E205", "12 texts and 0 labels", "same length"),
    "fewer labels": (lambda: new().fit(T, L[:5]), "E205", "12 texts and 5 labels", "same length"),
    "labels in a set": (lambda: new().fit(T, set(L)), "E207", "labels in a set", "a list"),
    "labels in a string": (lambda: new().fit(T, "positive"), "E207", "labels in a str", "a list"),
    "a missing label": (lambda: new().fit(T, [None, *L[1:]]), "E202", "missing label, row 0", "drop or fill"),
    "a missing label after a blank text": (lambda: new().fit(["", *T[1:]], [None, L[1], None, *L[3:]]), "E202",
                                           "1 missing label, row 2", "drop or fill"),
    "a NaN for a label": (lambda: new().fit(T, [*L[:3], float("nan"), *L[4:]]), "E202", "row 3", "drop or fill"),
    "dicts for labels": (lambda: new().fit(T, [{"a": 1}, {"b": 1}] * 6), "E207", "dict", ""),
    "copies of two texts": (lambda: new().fit(T[:2] * 20, ["x", "y"] * 20), "E206", "2 different texts in 40 rows", ""),
    "two texts": (lambda: new().fit(T[:2], ["x", "y"]), "E206", "", ""),
    "one class": (lambda: new().fit(T, ["a"] * 12), "E201", "1 class", "two classes or more"),
    "numbers for labels": (lambda: new().fit(T, [i / 7 for i in range(12)]), "E207", "fractions", "ULMFiTRegressor"),
    "row numbers for labels": (lambda: new().fit(T, list(range(12))), "E207", "a label of its own", "ULMFiTRegressor"),
    "labels before texts": (lambda: new().fit(L, T), "E207", "a label of its own", "texts first and then their labels"),
    "dates for labels": (lambda: new().fit(T, [datetime.date(2020, 1, 1)] * 12), "E207", "type date", "strings first"),
    "labels of two types": (lambda: new().fit(T, [1, "1"] * 6), "E207", "int, str", "strings first"),
    "columns without zeros and ones": (lambda: new().fit(T, np.full((12, 2), 3)), "E207", "0 and 1, rows 0", "a list"),
    "a list and a single label": (lambda: new().fit(T, [["a", "b"], "a"] * 6), "E207", "none in rows 1, 3", "lists"),
    "no class at all": (lambda: new().fit(T, [[]] * 12), "E201", "no class at all", "check that"),
    "words for numbers": (lambda: numbers().fit(T, L), "E204", "12 targets without a finite number", "drop or fill"),
    "infinity for a number": (lambda: numbers().fit(T, [1.0] * 11 + [np.inf]), "E204", "row 11", "drop or fill"),
    "rows of two lengths": (lambda: numbers().fit(T, [[1, 2]] * 11 + [[1]]), "E207", "different lengths", "fewer"),
    "the whole table for texts": (lambda: new().fit(DF, DF["label"]), "E102", "labels in its column", "text_col="),
    "a column that is not there": (lambda: new(text_col="txt").fit(DF, L), "E102", "question, answer", ""),
    "few weights": (lambda: new().fit(T, L, sample_weight=[1, 2]), "E602", "sample_weight=[1, 2]", "for each row"),
    "weights below 0": (lambda: new().fit(T, L, sample_weight=[-1] * 12), "E602", "from 0 on", "sample_weight="),
    "a word for weights": (lambda: new().fit(T, L, sample_weight="balanced"), "E602", "12 numbers", "sample_weight="),
    "texts to validate without labels": (lambda: new().fit(T, L, X_val=T), "E603", "without y_val=", "pass y_val="),
    "a class to validate with alone": (lambda: new().fit(T, L, X_val=T, y_val=["odd", *L[1:]]), "E203",
                                       "'odd', row 0, in y_val", "leave these rows out"),
    "a file to resume from": (lambda: new().fit(T, L, resume=__file__), "E411", "a file", "resume="),
    "a number to resume from": (lambda: new().fit(T, L, resume=3), "E601", "resume=3", "resume="),
    "a hub's name": (lambda: new(encoder="bert-base-uncased").fit(T, L), "E604", "bert-base", "nothing is downloaded"),
    "a misspelt encoder": (lambda: new(encoder="AWD_LSTN").fit(T, L), "E604", "AWD_LSTN", "mean 'AWD_LSTM'"),
    "a misspelt preset": (lambda: new(preset="laptp").fit(T, L), "E604", "laptp", "mean 'laptop'"),
    "no such folder": (lambda: new(pretrained="/nowhere").fit(T, L), "E404", "/nowhere", "check the spelling"),
    "a misspelt class": (lambda: new(class_weight={"poss": 2}).fit(T, L), "E604", "'poss'", "mean 'pos'"),
    "the name of a language": (lambda: new(lang="English").fit(T, L), "E602", "'English'", "lang="),
    "a percentage": (lambda: new(valid_pct=20).fit(T, L), "E602", "valid_pct=20", "valid_pct="),
    "text for epochs": (lambda: new(epochs="3").fit(T, L), "E601", "epochs='3'", "epochs="),
    "a rate of 0": (lambda: new(lr=0).fit(T, L), "E602", "lr=0", "lr="),
    "patience without texts aside": (lambda: new(patience=2, valid_pct=0).fit(T, L), "E603", "valid_pct=0", "X_val="),
    "pieces of words beside a model": (lambda: new(subword=True, pretrained="/x").fit(T, L), "E603", "/x", "subword="),
    "an unknown parameter": (lambda: new().set_params(epoch=3), "E604", "'epoch'", "mean 'epochs'"),
    "a missing text without a label": (lambda: new().fit(T, L, ["fine", None]), "E101", "row 1", ""),
    "one text without labels": (lambda: new().fit(T, L, "more"), "E101", "one str", "[text]"),
    "an answer before the fit": (lambda: new().predict(T), "E506", "not fitted", "fit(texts, labels)"),
    "a regression before its fit": (lambda: numbers().predict(T), "E506", "ULMFiTRegressor", "ULMFiTRegressor.load"),
    "saving before the fit": (lambda: new().save("/tmp/m"), "E506", "not fitted", "fit(texts, labels)"),
    "a folder without an estimator": (lambda: ULMFiT.load("/"), "E404", "without estimator.json", "load_learner"),
    "a list for a table": (lambda: ULMFiT.from_df([T, L]), "E407", "list as a table", "pd.DataFrame("),
    "a misspelt column": (lambda: ULMFiT.from_df(DF, "question", "lable"), "E102", "'lable'", "mean 'label'"),
    "a column to validate by": (lambda: ULMFiT.from_df(DF, "question", valid_col="val"), "E102", "'val'", ""),
    "few labels for a baseline": (lambda: baseline(T, L[:3]), "E205", "12 texts and 3 labels", "same length"),
    "an ensemble of none": (lambda: ensemble([], T), "E601", "models=[]", "learners_"),
}
ASK = {  # a call with a model of texts, or of pairs
    "a model of classes for numbers": ("one", lambda m: ULMFiTRegressor.load(m.save(mkdtemp() + "/m")), "E402",
                                       "an estimator of classes", "ULMFiT.load(path) reads it"),
    "one string": ("one", lambda m: m.predict("one text"), "E101", "one str", "pass [text]"),
    "a row": ("one", lambda m: m.predict(DF.iloc[0].rename({"question": "review"})), "E101", "one Series", "[text]"),
    "a dict": ("one", lambda m: m.predict({"text": "one string"}), "E101", "one dict", "pass [text]"),
    "a number": ("one", lambda m: m.predict(3), "E101", "one int", ""),
    "None": ("one", lambda m: m.predict_proba(None), "E101", "one NoneType", ""),
    "bytes": ("one", lambda m: m.predict([b"a"]), "E101", "type bytes, row 0", ""),
    "a set": ("one", lambda m: m.predict({"a", "b"}), "E101", "one set", "several in a list"),
    "a sparse matrix": ("one", lambda m: m.predict(csr_matrix(X)), "E101", "(12, 5)", "the texts themselves"),
    "other columns": ("one", lambda m: m.predict(PAIRS), "E102", "question, answer. Expected 'review'", "rename"),
    "no texts to score": ("one", lambda m: m.score([], []), "E104", "no texts", ""),
    "few labels to score": ("one", lambda m: m.score(T, L[:3]), "E205", "12 texts and 3 labels", "same length"),
    "labels of another type": ("one", lambda m: m.score(T, [1] * 12), "E203", "type int, such as 1", "in training"),
    "lists for single labels": ("one", lambda m: m.score(T, [["a", "b"]] * 12), "E207", "lists", "one class"),
    "an estimator in an ensemble": ("one", lambda m: ensemble([m], T), "E601", "models=[ULMFiT", "model.learners_"),
    "a renamed column": ("two", lambda m: m.predict(PAIRS.rename(columns={"question": "q"})), "E102",
                         "without the columns 'question'", "rename"),
    "single texts for pairs": ("two", lambda m: m.predict(T), "E102", "not 2 fields, rows 0, 1", "a tuple for each"),
    "triples for pairs": ("two", lambda m: m.predict([("a", "b", "c")]), "E102", "not 2 fields, row 0", "a tuple"),
    "one pair alone": ("two", lambda m: m.predict(("a", "b")), "E101", "one tuple", "a list of rows"),
}


def check(call, code, cause, fix):
    with pytest.raises(UlmfitError) as e:
        call()
    said = str(e.value)
    assert e.value.code == code and cause in said and fix in e.value.fix, said
    assert isinstance(e.value, ValueError | OSError | TypeError)
    assert not re.search(r"on_missing|y_block|label_col", said)  # arguments of other functions


@pytest.mark.parametrize("row", FIT.values(), ids=FIT)
def test_a_wrong_call_is_answered_before_anything_slow(row, monkeypatch):
    monkeypatch.setattr(TextDataLoaders, "from_df", lambda *args, **kwargs: 1 / 0)
    check(*row)


@pytest.mark.parametrize("row", ASK.values(), ids=ASK)
def test_a_wrong_question_is_answered(row, request):
    which, ask, *expected = row
    model = request.getfixturevalue(which)
    check(lambda: ask(model), *expected)
