"""The texts to label next are those of which a model is least sure, or those that differ most."""

import numpy as np
import pandas as pd
import pytest
from recipes_tiny import DF, TEXTS

from ulmfit_easy.all import AWD_LSTM, TextDataLoaders, ULMFiT, query, text_classifier_learner
from ulmfit_easy.errors import ArgumentError, TextError, TrainingError
from ulmfit_easy.recipes.query import k_centers, uncertainty
from ulmfit_easy.text.words import BaseTokenizer

PROBS = {"sure": [.9, .1, 0], "torn": [.5, .5, 0], "lost": [.4, .3, .3], "Sure": [.8, .1, .1]}


class Stub:
    """Knows the probabilities of a few texts."""

    def predict_proba(self, texts):
        return np.array([PROBS[text] for text in texts])


def learner(**kwargs):
    dls = TextDataLoaders.from_df(DF, **{"text_col": "text", **kwargs}, tok_tfm=BaseTokenizer(), min_freq=1, seed=0,
                                  cache_dir=False)
    return text_classifier_learner(dls, AWD_LSTM, config=dict(emb_sz=8, n_hid=12, n_layers=1), pretrained=False,
                                   verbose=False)


@pytest.fixture(scope="module")
def learn():
    return learner(label_col="label")


@pytest.mark.parametrize(("strategy", "order", "scores"), [
    ("entropy", ["lost", "torn", "Sure", "sure"], [.9912, .6309, .5817, .2959]),
    ("margin", ["torn", "lost", "Sure", "sure"], [1, .9, .3, .2])])
def test_the_least_sure_texts_come_first_each_once(strategy, order, scores):
    pool = pd.DataFrame({"text": ["sure", "torn", "torn", " ", None, "lost", "Sure"], "id": range(7)}, [*"abcdefg"])
    found = query(Stub(), pool, 9, strategy)
    assert found["text"].tolist() == order and found["score"].round(4).tolist() == scores
    assert found.index.tolist() == [{"sure": "a", "torn": "b", "lost": "f", "Sure": "g"}[text] for text in order]
    assert query(Stub(), pool["text"], 2, strategy).index.tolist() == found.index[:2].tolist()
    assert query(Stub(), ["sure", "sure", "torn"], 1, strategy).to_dict() == {
        "text": {2: "torn"}, "score": {2: found.loc["b", "score"]}}


def test_of_equal_scores_the_first_text_comes_first():
    assert query(Stub(), [*PROBS] * 2, 4, "entropy").index.tolist() == [2, 1, 3, 0]
    PROBS.update(a=[.5, .5, 0], b=[.5, .5, 0])
    assert query(Stub(), ["b", "a", "torn"], 2)["text"].tolist() == ["b", "a"]


def test_several_labels_have_a_distribution_each():
    probs = np.array([[[.5, .5], [1, 0]], [[.9, .1], [.8, .2]]])
    np.testing.assert_allclose(uncertainty(probs, "margin"), [1, .4])
    np.testing.assert_allclose(uncertainty(probs), [.5, (.4690 + .7219) / 2], atol=1e-4)


@pytest.mark.parametrize(("centers", "order", "distances"), [
    ([[0.]], [3, 1, 2], [10, 5, 2]), (None, [3, 0, 1], [6.4, 10, 5]), ([[0.], [10.]], [1, 2, 0], [5, 2, 0])])
def test_each_center_is_the_farthest_from_those_before(centers, order, distances):
    x = np.array([[0.], [5.], [3.], [10.], [0.]])
    chosen, found = k_centers(x, None if centers is None else np.array(centers), 3)
    assert chosen.tolist() == order
    np.testing.assert_allclose(found, distances)


def test_kcenter_takes_texts_that_differ_from_those_with_labels(learn):
    pool = [*TEXTS[:8], *TEXTS[:3]]
    found = query(learn, pool, 99, "kcenter", labelled=TEXTS[:4])
    assert sorted(found.index) == [*range(8)] and set(found.index[:4]) == {4, 5, 6, 7}
    np.testing.assert_allclose(found["score"][:4].to_numpy()[0], max(np.linalg.norm(
        learn.features(TEXTS[:4]) - row, axis=1).min() for row in learn.features(TEXTS[4:8])), rtol=1e-5)
    pd.testing.assert_frame_equal(found, query(learn, pool, 99, "kcenter", labelled=TEXTS[:4]))


def test_a_learner_and_an_estimator_are_asked_alike(learn):
    probs = np.stack([p.probs for p in learn.predict(TEXTS)])
    found = query(learn, TEXTS, 5, "margin")
    assert found["score"].is_monotonic_decreasing
    np.testing.assert_allclose(found["score"], 1 - np.abs(probs[found.index, 0] - probs[found.index, 1]), atol=1e-6)
    model = ULMFiT(seed=0)
    model.learners_, model.classes_ = [learn], np.array(learn.dls.classes)
    assert query(model, TEXTS, 5, "margin").index.tolist() == found.index.tolist()
    assert query(model, TEXTS, 3, "kcenter").index.tolist() == query(learn, TEXTS, 3, "kcenter").index.tolist()


def test_pairs_are_asked_by_their_columns():
    pool = DF[:9].assign(topic=["a", "b", "a"] * 3)
    for strategy in ("margin", "kcenter"):
        found = query(learner(text_col=["text", "topic"], label_col="label"), pool, 4, strategy)
        assert len(found) == 4 and found["topic"].equals(pool.loc[found.index, "topic"])


def test_a_learner_of_several_labels_and_one_of_none(learn):
    found = query(learner(label_col="label", y_block="multi"), TEXTS, 3, "margin")
    assert len(found) == 3 and found["score"].between(0, 1).all()
    with pytest.raises(TrainingError, match="E506"):
        query(object(), TEXTS)
    with pytest.raises(TrainingError, match="E506.*features"):
        query(Stub(), ["sure"], strategy="kcenter")


@pytest.mark.parametrize(("pool", "kwargs", "error", "message"), [
    (["", " "], {}, TextError, "E104"), ([], {}, TextError, "E104"), ("sure", {}, TextError, "E101"),
    (["sure"], dict(k=0), ArgumentError, "E602.*k=0"), (["sure"], dict(strategy="best"), ArgumentError, "E602.*margin"),
    (pd.DataFrame({"a": ["x"], "b": ["y"]}), {}, TextError, "E102"),
    (pd.DataFrame({"text": ["sure"], "score": [5]}), {}, ArgumentError, "E603.*'score'"),
    (["sure"], dict(labelled=["torn"]), ArgumentError, "E603.*strategy=margin.*pass strategy=kcenter")])
def test_what_cannot_work_is_refused(pool, kwargs, error, message):
    with pytest.raises(error, match=message):
        query(Stub(), pool, **kwargs)
