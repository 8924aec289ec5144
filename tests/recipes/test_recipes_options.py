"""What `ULMFiT` lets its user choose: epochs and rates, texts to validate with, several columns of text."""

from functools import wraps

import numpy as np
import pandas as pd
import pytest
from recipes_tiny import LABELS, TEXTS, TINY

from ulmfit_easy.errors import ArgumentError, FileError, LabelError, TextError
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.recipes import blend
from ulmfit_easy.recipes.best_epoch import BestEpoch
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.recipes.inputs import columns_of

T, L = TEXTS[:24], LABELS[:24]
PAIRS = pd.DataFrame({"question": T, "answer": T[::-1], "label": L})


OPTIONS = {"preset": TINY, "seed": 0, "pretrained": False, "verbose": False, "blend": None}


def tiny(**params):
    return ULMFiT(**{**OPTIONS, **params})


def test_a_preset_is_tuned_in_what_is_tuned_most():
    tuned = TINY.tuned(epochs=3, lr=0.03, bs=4, min_freq=2)
    assert [(phase.epochs, phase.lr) for phase in tuned.clas] == [(1, 0.06), (3, 0.03)]
    assert (tuned.clas_bs, tuned.lm_bs, tuned.min_freq) == (4, 4, 2) and TINY.tuned() == TINY
    assert TINY.tuned(bs=64).lm_bs == TINY.lm_bs
    with pytest.raises(ArgumentError, match="E604.*stage='name'.*pretrain, lm, clas"):
        TINY.tuned("name", epochs=1)
    assert repr(tiny(verbose=True)) == "ULMFiT(preset=Preset('tiny'), pretrained=False, seed=0, blend=None)"


def test_the_classifier_trains_as_long_and_as_fast_as_its_user_says():
    learn = tiny(epochs=2, lr=2e-2, bs=8, min_freq=2, valid_pct=0.2).fit(T, L).learners_[0]
    assert [phase["epochs"] for phase in learn.phases] == [1, 2] and learn.dls.bs == 8
    assert learn.phases[-1]["highest learning rate"] == pytest.approx(2e-2, rel=0.1)


def test_own_texts_to_validate_with_are_measured_with_and_never_learned_from(monkeypatch):
    seen, made, decided = {}, TextDataLoaders.from_df, []

    @wraps(made)
    def spy(df, **kwargs):
        return seen.setdefault(bool(kwargs.get("is_lm")), made(df, **kwargs))

    monkeypatch.setattr(TextDataLoaders, "from_df", spy)
    monkeypatch.setattr(blend, "kinds_for", lambda lang, n, states: decided.append(n) or ["words"])
    X_val, y_val = [f"{text} zebra" for text in TEXTS[24:36]], LABELS[24:36]
    model = tiny(blend="auto").fit(T, L, X_val=X_val, y_val=y_val)
    assert (model.n_texts_, model.n_aside_) == (24, 12) and decided == [24]
    assert "zebra" not in model.learners_[0].dls.text_vocab and seen[True].train.n_rows + seen[True].valid.n_rows == 24
    words = next(m for m in model.blend_.members if m.kind == "words")
    assert not words.probs(words.read(["zebra"]), 2)[0, 0] == pytest.approx(1)
    assert (words.read(["zebra"])[:, words.columns]).nnz == 0


@pytest.mark.slow
def test_a_column_of_a_table_tells_what_to_validate_with():
    X_val, y_val = TEXTS[24:36], LABELS[24:36]
    model = tiny(blend="auto").fit(T, L, X_val=X_val, y_val=y_val)
    df = pd.DataFrame({"text": [*T, *X_val], "label": [*L, *y_val], "valid": [False] * 24 + [True] * 12})
    again = ULMFiT.from_df(df, valid_col="valid", **{**OPTIONS, "blend": "auto"})
    assert (again.predict_proba(T) == model.predict_proba(T)).all() and again.scores_ == model.scores_


def test_without_texts_aside_all_are_learned_from_and_nothing_is_measured(tmp_path):
    model = tiny(valid_pct=0, blend="auto").fit(T, L)
    assert (model.n_texts_, model.n_aside_, model.accuracy_, model.scores_) == (24, 0, None, None)
    shares = model.blend_.shares
    assert shares["model"] == pytest.approx(1 / len(shares))  # nothing tells how good it is
    assert repr(model).endswith("fitted on 24 texts, classes neg/pos)")
    again = ULMFiT.load(model.save(tmp_path / "m"))
    assert (again.predict_proba(T) == model.predict_proba(T)).all() and again.scores_ is None


def test_early_stopping_ends_with_the_best_epoch(monkeypatch):
    losses, kept = [], []

    def after_fit(self, after=BestEpoch.after_fit):
        kept.append(self.weights is not None)
        after(self)
        losses.append((self.recorder.values, self.learn.validate()[0]))

    monkeypatch.setattr(BestEpoch, "after_fit", after_fit)
    tiny(patience=2, epochs=9, lr=0.5, valid_pct=0.3).fit(T, L)
    table, loss = losses[-1]
    valid = [row[1] for row in table]
    assert all(kept) and loss == pytest.approx(min(valid), abs=1e-5)
    assert len(valid) < 9 and int(np.argmin(valid)) == len(valid) - 3


@pytest.mark.parametrize("given", [
    PAIRS[["question", "answer"]], pytest.param(PAIRS[["question", "answer"]].to_numpy(), marks=pytest.mark.slow),
    pytest.param([*zip(PAIRS["question"], PAIRS["answer"], strict=True)], marks=pytest.mark.slow)],
    ids=["table", "array", "tuples"])
def test_several_columns_are_read_as_the_fields_of_one_text(given, tmp_path):
    model = tiny(blend="auto").fit(given, L)
    probs = model.predict_proba(given)
    assert model.learners_[0].dls.prepare.text_cols == (
        ("question", "answer") if isinstance(given, pd.DataFrame) else ("text1", "text2"))
    swapped = [(b, a) for a, b in zip(PAIRS["question"], PAIRS["answer"], strict=True)]
    assert np.abs(model.predict_proba(swapped) - probs).max() > 1e-6
    assert (ULMFiT.load(model.save(tmp_path / "m")).predict_proba(given) == probs).all()
    with pytest.raises(TextError, match="E102"):
        model.predict(T)


@pytest.mark.slow
def test_columns_are_chosen_by_name_and_found_again_in_another_table():
    model = ULMFiT.from_df(PAIRS, ["question", "answer"], **OPTIONS)
    assert model.text_col == ["question", "answer"]
    assert (model.predict(PAIRS[["label", "answer", "question"]]) == model.predict(PAIRS)).all()
    one = tiny(text_col="answer").fit(PAIRS, L)
    assert one.learners_[0].dls.prepare.text_cols == ("answer",) and one.predict(PAIRS).shape == (24,)


@pytest.mark.parametrize(("fit", "code"), [
    (lambda m: m.fit(T, L, X_val=T), (ArgumentError, "E603.*X_val= without y_val=.*pass y_val=")),
    (lambda m: m.fit(T, L, y_val=L), (ArgumentError, "E603.*y_val= without X_val=")),
    (lambda m: m.fit(T, L, X_val=T[:3], y_val=L), (LabelError, "E205.*in y_val")),
    (lambda m: m.fit(T, L, X_val=[*T[:3], 4], y_val=L[:4]), (TextError, "E101.*row 3, in X_val")),
    (lambda m: m.fit(T, L, X_val=T, y_val=[*L[:-1], "neutral"]), (LabelError, "E203.*neutral")),
    (lambda m: m.set_params(patience=1, valid_pct=0).fit(T, L), (ArgumentError, "E603.*patience=1 with valid_pct=0")),
    (lambda m: m.set_params(text_col=["question", "reply"]).fit(PAIRS, L), (TextError, "E102.*'reply'")),
    (lambda m: m.fit(PAIRS, PAIRS["label"]), (TextError, "E102.*labels in its column 'label'.*text_col=")),
    *((lambda m, bad=bad: m.set_params(**bad).fit(T, L), (ArgumentError, f"E60[12].*{[*bad][0]}"))
      for bad in ({"epochs": 0}, {"lr": -1}, {"bs": 2.5}, {"min_freq": "2"}, {"patience": 0}, {"text_col": 1.5j}))])
def test_what_cannot_be_is_refused_before_anything_slow(fit, code, monkeypatch):
    monkeypatch.setattr(TextDataLoaders, "from_df", lambda *a, **kw: 1 / 0)
    with pytest.raises(code[0], match=code[1]):
        fit(tiny())


@pytest.mark.slow
def test_pieces_of_words_are_learned_from_the_texts(tmp_path):
    model = tiny(subword=60, pretrained=True).fit(T, L)
    assert "\u2581" in model.learners_[0].dls.text_vocab
    assert (ULMFiT.load(model.save(tmp_path / "m")).predict_proba(T) == model.predict_proba(T)).all()
    for given in ({"pretrained": tmp_path}, {"encoder": str(tmp_path)}):
        with pytest.raises((ArgumentError, FileError)):
            tiny(subword=True, **{"pretrained": True, **given}).fit(T, L)


def test_a_second_column_of_texts_that_is_not_read_is_told():
    df = pd.DataFrame({"title": ["a", "b", "c"], "text": ["d", "e", "f"], "label": [*"xyx"], "n": [1, 2, 3]})
    with pytest.warns(UserWarning, match="the column 'text' alone is read, and not 'title': .*text_col="):
        assert columns_of(df, df["label"])[1] == ("text",)
    assert columns_of(df, df["label"], ["title", "text"])[1] == ("title", "text")
