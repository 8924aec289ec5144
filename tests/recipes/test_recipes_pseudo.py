"""A second model learns from what a first one is sure of, and from nothing that is kept aside."""

import numpy as np
import pandas as pd
import pytest
from recipes_tiny import LABELS, TEXTS, TINY

from ulmfit_easy.all import ULMFiT, pseudo_label, toy_texts
from ulmfit_easy.errors import ArgumentError, LabelError, TrainingError

MORE = toy_texts(60, 5)


@pytest.fixture
def fits(monkeypatch):
    """Keep what each fit was given, and train nothing."""
    given = []

    def fit(self, texts, labels, unlabelled, **kwargs):
        given.append((texts, labels, unlabelled, kwargs))
        self.classes_, self.accuracy_ = np.unique(labels), .9
        return self

    monkeypatch.setattr(ULMFiT, "fit", fit)
    monkeypatch.setattr(ULMFiT, "predict_proba", lambda self, texts: np.array(
        [[.97, .03] if i < 3 else [.04, .96] if i < 4 else [.4, .6] for i, _ in enumerate(texts)]))
    return given


def test_the_second_fit_has_the_sure_texts_and_the_same_texts_aside(fits, capsys):
    model = ULMFiT(seed=0)
    found = pseudo_label(model, TEXTS, LABELS, [*MORE, *MORE[:9], TEXTS[0], " "])
    (texts, labels, rest, kept), (texts2, labels2, rest2, kept2) = fits
    texts, texts2 = texts.tolist(), texts2.tolist()
    new = list(dict.fromkeys(text for text in MORE if text not in TEXTS))
    assert rest == new and texts2 == [*texts, *new[:4]] and labels2 == [*labels, "neg", "neg", "neg", "pos"]
    assert rest2 == new[4:] and kept2["X_val"].equals(kept["X_val"]) and kept2["y_val"] == kept["y_val"]
    assert len(texts) + len(kept["X_val"]) == len(TEXTS) and not {*kept["X_val"]} & {*texts2}
    assert kept2["sample_weight"] == [1.0] * len(texts2) and found.n_pseudo_ == 4 and not hasattr(model, "classes_")
    said = capsys.readouterr().out
    assert f"4 of {len(new)} unlabelled texts have a class with a probability of 0.95 or more: neg 3, pos 1." in said
    assert "0.900 before, 0.900 with pseudo-labels" in said


def test_many_pseudo_labels_count_as_much_as_all_labels(fits):
    pseudo_label(ULMFiT(seed=0, verbose=False), TEXTS[:20], LABELS[:20], MORE, threshold=.5)
    weights = fits[1][3]["sample_weight"]
    n = len(fits[0][0])
    assert weights[:n] == [1.0] * n and sum(weights[n:]) == pytest.approx(n)


def test_pairs_keep_the_names_of_their_columns(fits):
    pairs = pd.DataFrame({"question": TEXTS, "answer": TEXTS[::-1]})
    pseudo_label(ULMFiT(seed=0, verbose=False), pairs, LABELS, pd.DataFrame({"question": MORE, "answer": "so"}))
    (texts, _, new, kept), (texts2, *_) = fits
    assert list(texts.columns) == list(kept["X_val"].columns) == list(texts2.columns) == ["question", "answer"]
    assert new[0] == (MORE[0], "so") and len(texts2) == len(texts) + 4


def test_a_model_that_is_sure_of_nothing_is_returned(fits):
    found = pseudo_label(ULMFiT(seed=0, verbose=False), TEXTS, LABELS, MORE, threshold=.99)
    assert len(fits) == 1 and found.n_pseudo_ == 0
    assert pseudo_label(ULMFiT(seed=0, verbose=False), TEXTS, LABELS, []).n_pseudo_ == 0


@pytest.mark.parametrize(("labels", "kwargs", "error", "message"), [
    (LABELS[:-1], {}, LabelError, "E205"), ([["a", "b"]] * len(TEXTS), {}, LabelError, "E207"),
    (LABELS, dict(threshold=2), ArgumentError, "E602.*threshold")])
def test_what_cannot_work_is_refused_before_a_fit(fits, labels, kwargs, error, message):
    with pytest.raises(error, match=message):
        pseudo_label(ULMFiT(), TEXTS, labels, MORE, **kwargs)
    with pytest.raises(TrainingError, match=r"E506.*object as a model.*ULMFiT\(\)"):
        pseudo_label(object(), TEXTS, LABELS, MORE)
    assert not fits


@pytest.mark.slow
def test_two_whole_fits():
    found = pseudo_label(ULMFiT(preset=TINY, seed=0, pretrained=False, blend=None, verbose=False), TEXTS, LABELS, MORE,
                         threshold=.5)
    assert found.n_pseudo_ > 0 and found.n_aside_ == 12 and found.predict(TEXTS[:2]).shape == (2,)
