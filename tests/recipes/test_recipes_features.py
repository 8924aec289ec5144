"""`TextFeatures` is a transformer of scikit-learn, and gives what `learn.features` gives."""

import numpy as np
import pytest
from recipes_tiny import DF, LABELS, TEXTS

from ulmfit_easy.all import AWD_LSTM, TextDataLoaders, TextFeatures, language_model_learner, text_classifier_learner
from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.text.words import BaseTokenizer

CHECKS = ("check_estimator_repr", "check_no_attributes_set_in_init", "check_get_params_invariance", "check_set_params",
          "check_estimator_tags_renamed", "check_valid_tag_types", "check_mixin_order")
CONFIG = dict(emb_sz=8, n_hid=12, n_layers=2)


@pytest.fixture(scope="module")
def lm():
    dls = TextDataLoaders.from_df(DF, text_col="text", is_lm=True, tok_tfm=BaseTokenizer(), min_freq=1, bs=4,
                                  seq_len=6, pretrained=False)
    return language_model_learner(dls, AWD_LSTM, config=CONFIG, pretrained=False, verbose=False)


@pytest.mark.parametrize("check", CHECKS)
def test_it_passes_scikit_learns_check(check, lm):
    from sklearn.utils import estimator_checks

    getattr(estimator_checks, check)("TextFeatures", TextFeatures(lm))


def test_a_pipeline_is_searched_over_layers(lm):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    pipe = make_pipeline(TextFeatures(lm), LogisticRegression())
    search = GridSearchCV(pipe, {"textfeatures__layers": [0, [1, 2]], "textfeatures__pool": ["max"]}, cv=2)
    search.fit(TEXTS[:20], LABELS[:20])
    step = search.best_estimator_[0]
    assert step.model_ is lm  # a clone shares its model
    np.testing.assert_array_equal(step.transform(TEXTS[:3]), lm.features(TEXTS[:3], step.layers, "max"))
    assert search.best_estimator_[:-1].get_feature_names_out()[-1] == f"textfeatures{step.n_features_out_ - 1}"
    assert len(step.get_feature_names_out()) == step.transform(TEXTS[:1]).shape[1]


def test_the_folder_of_a_language_model_gives_its_features(lm, tmp_path):
    lm.path = tmp_path
    found = TextFeatures(lm.export(), layers=[0, 1, 2], pool="concat").transform(TEXTS[:5])
    np.testing.assert_allclose(found, lm.features(TEXTS[:5], [0, 1, 2], "concat"), atol=1e-6)


@pytest.mark.parametrize("given", [dict(pool="sum"), dict(layers=[[1]]), dict(layers=9)])
def test_what_cannot_work_is_refused_by_fit(given, lm):
    model = TextFeatures(lm, **given)
    with pytest.raises(ArgumentError, match=next(iter(given))):
        model.fit()


def test_a_classifier_and_its_folder_give_its_features(lm, tmp_path):
    dls = TextDataLoaders.from_df(DF, text_col="text", label_col="label", pretrained=lm)
    learn = text_classifier_learner(dls, AWD_LSTM, config=CONFIG, pretrained=False, verbose=False, path=tmp_path)
    for model in (learn.predictor, learn.export()):
        np.testing.assert_allclose(TextFeatures(model).transform(TEXTS[:3]), learn.features(TEXTS[:3]), atol=1e-6)


def test_a_place_without_a_model_is_e404(tmp_path):
    with pytest.raises(FileError, match="E404"):
        TextFeatures(tmp_path / "none").fit()
