"""New texts are compared with those of the training by figures that a saved model keeps."""

import numpy as np
import pytest
from recipes_tiny import DF, TEXTS

from ulmfit_easy.all import AWD_LSTM, TextDataLoaders, drift, keep_reference, load_learner, text_classifier_learner
from ulmfit_easy.bundle.parts import check_parts
from ulmfit_easy.errors import FileError, TextError, TrainingError
from ulmfit_easy.recipes.drift import Drift, stability_index
from ulmfit_easy.text.words import BaseTokenizer

VALID = np.arange(0, 120, 2)


@pytest.fixture(scope="module")
def learn(tmp_path_factory):
    dls = TextDataLoaders.from_df(DF, text_col="text", label_col="label", tok_tfm=BaseTokenizer(), min_freq=1,
                                  cache_dir=False, splitter=lambda df: (VALID + 1, VALID), pretrained=False)
    return text_classifier_learner(dls, AWD_LSTM, config=dict(emb_sz=8, n_hid=12, n_layers=1), pretrained=False,
                                   verbose=False, path=tmp_path_factory.mktemp("drift"))


def test_texts_of_the_validation_have_not_moved(learn):
    found = drift(learn, DF.iloc[VALID])
    assert learn.reference is None  # only `keep_reference` keeps one
    assert found.psi == pytest.approx(0, abs=1e-9) and found.class_psi == 0 and not found.drifted
    assert found.counts == found.counts_before and sum(found.counts) == 60 and len(found.counts) == 10
    assert found.unknown == pytest.approx(found.unknown_before)
    assert "no more than by chance" in repr(found) and "Nothing here asks for a new model" in repr(found)


def test_texts_of_other_words_have_moved(learn):
    found = drift(learn, ["qua qua qub"] * 30)
    assert found.drifted and found.unknown > .5 and found.new_words == {"qua": 60, "qub": 30}
    assert found.psi > found.chance and "have moved much" in repr(found) and "New words: qua, qub." in repr(found)


def test_a_folder_has_the_figures_and_no_text(learn):
    keep_reference(learn)
    assert learn.reference.keys() == {"edges", "counts", "classes", "unknown"}
    again = load_learner(learn.export("with"))
    assert again.reference == learn.reference and not len(again.dls.valid)
    assert drift(again, TEXTS).psi == pytest.approx(drift(learn, TEXTS).psi)


def test_figures_of_the_weights_before_a_fit_are_forgotten(learn):
    keep_reference(learn)
    learn.lr_find(num_it=2, show_plot=False)
    assert learn.reference is not None
    learn.fit(0)
    assert learn.reference is None


def test_a_folder_without_them_asks_for_texts(learn):
    kept, learn.reference = learn.reference, None
    again = load_learner(learn.export("without"))
    learn.reference = kept
    with pytest.raises(TrainingError, match=r"E506.*keep_reference\(model, texts\)"):
        drift(again, TEXTS)
    keep_reference(again, TEXTS[:50])
    assert drift(again, TEXTS[:50]).psi == 0


@pytest.mark.parametrize("change", [{"counts": [1]}, {"counts": [0] * 10}, {"edges": ["a"]}, {"classes": [1] * 5},
                                    {"unknown": 2}, {"more": 1}])
def test_a_folder_with_wrong_figures_is_refused(learn, change):
    keep_reference(learn)
    config = learn._check_exportable()
    with pytest.raises(FileError, match="E40[12]"):
        check_parts({**config, "reference": {**config["reference"], **change}}, "x")


def test_the_index_is_that_of_the_shares():
    p, q = np.array([60.5, 40.5]) / 101, np.array([20.5, 80.5]) / 101
    assert stability_index([60, 40], [20, 80]) == pytest.approx(((p - q) * np.log(p / q)).sum())
    assert stability_index([5, 0], [5, 0]) == 0 < stability_index([500, 0], [0, 500]) < 20


@pytest.mark.parametrize(("psi", "chance", "word", "drifted"), [
    (.05, .01, "no more", False), (.2, .1, "somewhat", False), (.3, .1, "much", True), (.3, .4, "no more", False)])
def test_few_texts_move_by_chance(psi, chance, word, drifted):
    found = Drift(psi, None, chance, .01, .01, {}, [3], [4])
    assert f"moved {word}" in repr(found) and found.drifted is drifted


@pytest.mark.parametrize(("model", "texts", "error", "message"), [
    (object(), TEXTS, TrainingError, "E506"), (None, [], TextError, "E104"), (None, "a", TextError, "E101")])
def test_what_cannot_be_compared_is_refused(learn, model, texts, error, message):
    with pytest.raises(error, match=message):
        drift(model or learn, texts)
