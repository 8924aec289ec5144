"""The mixture of a model with linear ones: its weights, what it predicts, its file, and the estimator that has one."""

import copy
import json
import pickle
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from recipes_tiny import TINY
from safetensors.numpy import load_file

from ulmfit_easy.apps.attribute import explain
from ulmfit_easy.apps.calibration import calibrate
from ulmfit_easy.apps.cli import main
from ulmfit_easy.bundle import shipped
from ulmfit_easy.bundle.artefact import load_weights, write_weights
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import ArgumentError, FileError, TrainingError
from ulmfit_easy.recipes import blend, bundled, members
from ulmfit_easy.recipes.blend import PRIOR, Blend, folds_of, mixing_weights, prior_weights
from ulmfit_easy.recipes.bundled import bundled_lm
from ulmfit_easy.recipes.estimate import blend_seconds
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.recipes.features import TextFeatures
from ulmfit_easy.recipes.kinds import Kind
from ulmfit_easy.recipes.labelled import Labelled
from ulmfit_easy.recipes.members import Member
from ulmfit_easy.text.vectors import WordVectors

TABLE = toy_reviews(60)
TEXTS, LABELS = TABLE["text"].tolist(), (TABLE["label"] == "pos").to_numpy().astype(int)
VECTORS_OF = members.vectors_of  # before a fixture takes its place
ASIDE = np.arange(60) % 5 == 0
OWN = np.full((12, 2), 0.5)  # of a model that knows nothing


@pytest.fixture(scope="module", autouse=True)
def vectors():
    words = sorted({word for text in TEXTS for word in text.lower().split()})
    rows = np.random.default_rng(0).normal(size=(len(words), 20)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        found = WordVectors({word: i for i, word in enumerate(words)}, rows)
        patch.setattr(members, "vectors_of", lambda lang: found if lang == "en" else None)
        patch.setattr(members, "bundled_lm", lambda lang: Letters("0") if lang == "en" else None)
        yield


class Letters(NamedTuple):
    """In place of a language model: how often a text has "a" and "e"."""

    sha256: str

    def states(self, texts):
        return np.array([[text.count("a"), text.count("e")] for text in texts], np.float32)


@pytest.fixture(scope="module")
def learned(vectors):
    return Blend.learned(TEXTS, LABELS, ASIDE, OWN)


def test_without_texts_the_weights_are_those_of_the_prior():
    assert mixing_weights(np.zeros((3, 0)), np.array([0.5, 0.3, 0.2])) == pytest.approx([0.5, 0.3, 0.2])


def test_of_two_members_the_one_that_is_right_more_often_weighs_more():
    assert prior_weights([0.7, 0.7, 0.7], 100) == pytest.approx([0.25] * 4)
    model, better, worse = prior_weights([0.8, 0.7], 100)  # one is 0.1 = 1 / sqrt(100) above the other
    assert model == pytest.approx(1 / 3) and model + better + worse == pytest.approx(1)
    assert better / worse == pytest.approx(np.e)
    assert prior_weights([], 100) == pytest.approx([1])


def test_few_texts_are_cross_validated(monkeypatch):
    noise = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    monkeypatch.setattr(Member, "read", lambda self, texts, read=Member.read: (
        noise if self.kind == "vectors" else read(self, texts)))
    few, many = (Blend.learned(TEXTS, LABELS, np.zeros(60, bool), OWN[:0], n=n)[0].shares for n in (299, 300))
    assert few["model"] == pytest.approx(1 / 5) and few["words"] > 2 * few["vectors"]
    assert list(many.values()) == pytest.approx([1 / 4] * 4)


@pytest.mark.parametrize("copies", [1, 5])
def test_cross_validation_answers_with_members_that_have_not_read_the_text(copies):
    guesses = np.random.default_rng(0).permutation(LABELS)  # nothing can be learned but the texts by heart
    texts = [f"{text} number{i}" for i, text in enumerate(TEXTS)] * copies
    member, weights = Member("words"), np.ones(60 * copies)
    x, labels, truth = member.read(texts), np.tile(guesses, copies), np.tile(LABELS, copies)
    assert member.fit(x, labels) and (member.probs(x, 2).argmax(1) == labels).all()
    assert blend._cross_validated(member, x, labels, weights, folds_of(texts, labels)) < 0.7
    assert blend._cross_validated(member, x, truth, weights, folds_of(texts, truth)) > 0.8


def test_each_class_is_spread_over_the_folds():
    labels = np.arange(50) % 5  # as many classes as folds, in turns
    folds = folds_of([f"text {i}" for i in range(50)], labels)
    assert {*zip(labels, folds, strict=True)} == {(label, fold) for label in range(5) for fold in range(5)}
    assert folds_of(["a", "b", "a"], np.zeros(3, int)).tolist() == [0, 1, 0] and not folds_of([], labels[:0]).size


def test_texts_of_weight_0_are_not_learned_from():
    weights = np.where(np.arange(60) < 30, 1.0, 0.0)
    wrong = np.where(weights > 0, LABELS, 1 - LABELS)
    found, expected = (Blend.learned(TEXTS, labels, ASIDE & (weights > 0), OWN[:6], weights=weights)[0]
                       for labels in (wrong, LABELS))
    assert found.shares == expected.shares
    assert np.array_equal(found.members[0].linear.coef_, expected.members[0].linear.coef_)
    alone = np.where(np.arange(60) == 1, 1.0, 0.0)  # one text that counts: nothing to learn
    assert list(Blend.learned(TEXTS, LABELS, ASIDE, OWN, weights=alone)[0].shares) == ["model"]


def test_classes_without_a_given_weight_count_once():
    df = pd.DataFrame({"text": [*TEXTS, "a single one"], "label": [*TABLE["label"], "rare"]})
    params = {"preset": TINY, "pretrained": False, "seed": 0, "verbose": False, "class_weight": {"rare": 5.0}}
    assert list(ULMFiT(**params).fit(df["text"], df["label"]).classes_) == ["neg", "pos", "rare"]


def test_a_member_that_is_surer_of_the_truth_weighs_more_with_each_text():
    few, many = (mixing_weights(np.array([[0.9] * n, [0.5] * n, [0.1] * n]), np.full(3, 1 / 3)) for n in (5, 500))
    for weights in (few, many):
        assert weights.sum() == pytest.approx(1) and weights[0] > weights[1] > weights[2] > 0
    assert few[0] < 0.7 < 0.95 < many[0]


def test_the_weights_are_the_most_probable_ones():
    rng = np.random.default_rng(0)
    probs = rng.uniform(0.01, 1, (3, 40))
    prior = np.array([0.5, 0.3, 0.2])
    found = mixing_weights(probs, prior)

    def posterior(weights):
        return np.log(weights @ probs).sum() + PRIOR * (prior @ np.log(weights))

    for _ in range(50):
        other = found * np.exp(rng.normal(0, 0.1, 3))
        assert posterior(found) >= posterior(other / other.sum()) - 1e-6


def test_a_model_that_knows_nothing_weighs_less_than_members_that_do(learned):
    blend, probs = learned
    assert list(blend.shares) == ["model", "words", "characters", "vectors", "states"]
    assert blend.weights[0] < 1 / 5 < blend.shares["words"]
    assert (probs.argmax(1) == LABELS[ASIDE]).mean() > 0.8


def test_the_texts_aside_are_judged_by_members_that_have_not_read_them():
    labels = np.where(ASIDE, 1 - LABELS, LABELS)  # wrong ones, which only members that read them would give
    probs = Blend.learned(TEXTS, labels, ASIDE, OWN)[1]
    assert (probs.argmax(1) == LABELS[ASIDE]).mean() > 0.8


def test_no_text_aside_is_judged_with_weights_that_were_found_on_it():
    truth = np.eye(2)[LABELS[ASIDE]]
    judged = Blend.learned(TEXTS, LABELS, ASIDE, OWN)[1]
    wrong = OWN.copy()
    wrong[0] = 1 - truth[0]  # the model is wrong about the first text, so the weights of the others change
    changed = Blend.learned(TEXTS, LABELS, ASIDE, wrong)[1]
    same = np.isclose(judged, changed).all(1)
    assert same[5] and same[10] and not same[1:5].any()  # the first fifth has weights of the others, as before


def test_a_mixture_is_the_weighted_mean(learned):
    blend, own = learned[0], np.array([[0.2, 0.8], [1.0, 0.0]])
    parts = [own, *(member.probs(member.read(TEXTS[:2]), 2) for member in blend.members)]
    expected = sum(weight * part for weight, part in zip(blend.weights, parts, strict=True))
    assert blend.mixed(own, TEXTS[:2]) == pytest.approx(expected)
    assert blend.mixed(own, TEXTS[:2]).sum(1) == pytest.approx(1)


def test_a_text_is_judged_alike_in_any_company(learned, monkeypatch):
    blend = learned[0]
    together = blend.mixed(np.full((60, 2), 0.5), TEXTS)
    assert blend.mixed(OWN[:1], TEXTS[7:8])[0] == pytest.approx(together[7], abs=1e-6)
    monkeypatch.setattr("ulmfit_easy.recipes.blend.PIECE", 7)
    assert blend.mixed(np.full((60, 2), 0.5), TEXTS) == pytest.approx(together)


@pytest.mark.parametrize("texts", [["", "  "], ["?!", "\U0001f600"], ["half \ud800", "\ud800"]],
                         ids=["empty", "no words", "half a character"])
def test_texts_without_words_are_judged_too(learned, texts):
    assert learned[0].mixed(np.full((2, 2), 0.5), texts).sum(1) == pytest.approx(1)


def test_members_that_find_nothing_to_learn_are_left_out():
    blend, probs = Blend.learned(["!"] * 4, np.array([0, 1, 0, 1]), np.array([False, False, True, True]), OWN[:2])
    assert "words" not in blend.shares and np.isfinite(probs).all()
    alone, probs = Blend.learned(TEXTS, LABELS, ~(np.arange(60) == 0), np.full((59, 2), 0.5))
    assert alone.shares == {"model": 1.0} and (probs == 0.5).all()


@pytest.mark.parametrize(("lang", "kinds"), [("fr", "words characters"), ("ko", "character_bigrams jamo"),
                                            ("zh", "character_bigrams characters")])
def test_a_language_without_vectors_has_two_members(lang, kinds):
    assert list(Blend.learned(TEXTS, LABELS, ASIDE, OWN, lang=lang)[0].shares) == ["model", *kinds.split()]


@pytest.mark.parametrize(("kind", "texts"), [("character_bigrams", "싫어요 좋아요 좋았다"),
                                             ("jamo", "오세요 가세요 갔다")])
def test_characters_tell_what_words_with_endings_do_not(kind, texts):
    for member, known in ((Member(kind), True), (Member("words"), False)):
        x = member.read(texts.split())  # the last text has the verb of the second one, with another ending
        member.fit(x[:2], np.array([0, 1]))
        assert (member.probs(x[2:], 2)[0, 1] > 0.55) == known


def test_a_class_that_only_texts_aside_have_gets_no_probability_of_members():
    labels = np.where(ASIDE, 2, LABELS)
    probs = Blend.learned(TEXTS, labels, ASIDE, np.full((12, 3), [1 / 2, 1 / 2, 0]))[1]
    assert probs.shape == (12, 3) and not probs[:, 2].any()


@pytest.mark.parametrize(("n_classes", "lang", "kinds"), [(2, "en", None), (3, "en", None), (2, "ko", None),
                                                          (2, "ko", ["words", "characters"])])  # as of old
def test_a_mixture_is_saved_and_loaded(n_classes, lang, kinds, tmp_path, monkeypatch):
    labels = np.arange(60) % n_classes
    with monkeypatch.context() as patch:
        if kinds:
            patch.setattr("ulmfit_easy.recipes.blend.kinds_for", lambda *args: kinds)
        blend = Blend.learned(TEXTS, labels, ASIDE, np.full((12, n_classes), 1 / n_classes), lang=lang)[0]
    loaded = Blend.load(tmp_path / "blend.safetensors", n_classes, blend.save(tmp_path / "blend.safetensors"))
    own = np.full((60, n_classes), 1 / n_classes)
    assert np.array_equal(loaded.mixed(own, TEXTS), blend.mixed(own, TEXTS)) and loaded.shares == blend.shares


def test_a_file_holds_no_word_of_the_texts(learned, tmp_path):
    learned[0].save(tmp_path / "blend.safetensors")
    content = (tmp_path / "blend.safetensors").read_bytes()
    assert not [word for text in TEXTS for word in text.split() if len(word) > 4 and word.encode() in content]


def changed(path, name, value):
    tensors, said = load_weights(path)
    said = {"shares": said["shares"], "lang": said["lang"]}
    return write_weights(path, {**tensors, name: value(tensors[name])}, said)


@pytest.mark.parametrize(("name", "value"), [
    ("words.columns", lambda t: t.flip(0)), ("words.columns", lambda t: t + 2**20),
    ("words.columns", lambda t: t - 2**20), ("words.columns", lambda t: t.float()),
    ("words.scale", lambda t: t[1:]), ("vectors.mean", lambda t: t * float("nan")),
    ("characters.coef", lambda t: t[:, 1:]), ("characters.intercept", lambda t: t.repeat(2))],
    ids=["order", "large", "negative", "fractions", "short", "nan", "width", "classes"])
def test_numbers_that_do_not_fit_are_refused(learned, tmp_path, name, value):
    learned[0].save(path := tmp_path / "blend.safetensors")
    with pytest.raises(FileError, match="E401"):
        Blend.load(path, 2, changed(path, name, value))


def test_the_file_of_another_estimator_is_refused(learned, tmp_path):
    learned[0].save(path := tmp_path / "blend.safetensors")
    assert load_file(path)
    with pytest.raises(FileError, match="E402.*of another estimator"):
        Blend.load(path, 2, "0" * 64)


@pytest.mark.parametrize(("name", "found"), [
    ("vectors_of", None), ("vectors_of", WordVectors({"film": 0}, np.zeros((1, 19), np.float32))),
    ("bundled_lm", None), ("bundled_lm", Letters("1"))])
def test_a_mixture_needs_what_it_has_learned_from(learned, tmp_path, monkeypatch, name, found):
    sha256 = learned[0].save(path := tmp_path / "blend.safetensors")
    monkeypatch.setattr(members, name, lambda lang: found)
    with pytest.raises(FileError, match="E404.*(word vectors|language model) of the language 'en'"):
        Blend.load(path, 2, sha256)


def test_many_texts_need_no_language_model(monkeypatch):
    for more in (False, True):
        monkeypatch.setattr(members, "FEW", len(TEXTS) + more)
        assert ("states" in Blend.learned(TEXTS, LABELS, ASIDE, OWN)[0].shares) == more


def test_a_reader_gives_the_features_of_the_bundled_language_model(shipped_weights, monkeypatch):
    monkeypatch.setattr(shipped, "WEIGHTS", shipped_weights)
    expected = TextFeatures("en", layers=[1, 2]).transform(TEXTS[:3])
    assert bundled_lm("en").states(TEXTS[:3]) == pytest.approx(expected) and bundled_lm("en") is bundled_lm("en")
    assert bundled_lm("de") is None


def test_reading_a_language_model_draws_no_random_number(shipped_weights, monkeypatch):
    monkeypatch.setattr(shipped, "WEIGHTS", shipped_weights)
    monkeypatch.setattr(bundled, "LOADED", {})
    before = torch.get_rng_state()
    assert bundled_lm("en") and torch.equal(torch.get_rng_state(), before)


def test_a_copy_of_a_member_reads_with_no_other_language_model(learned, monkeypatch):
    states = pickle.loads(pickle.dumps(learned[0].members[-1]))
    assert states.read(TEXTS[:1]).shape == (1, 2)
    monkeypatch.setattr(members, "bundled_lm", lambda lang: Letters("1"))
    with pytest.raises(FileError, match="E404.*language model"):
        states.read(TEXTS[:1])


def test_word_vectors_that_are_installed_later_are_found(monkeypatch):
    found = iter([None, WordVectors({"film": 0}, np.zeros((1, 2), np.float32))])
    monkeypatch.setattr(members, "VECTORS", {})
    monkeypatch.setattr(members, "shipped_vectors", lambda lang: next(found))
    assert [VECTORS_OF("en") is None for _ in range(3)] == [True, False, False]


def test_a_rarer_word_counts_for_more_in_the_mean_vector(monkeypatch):
    found = WordVectors({"the": 0, "film": 1}, np.eye(2, dtype=np.float32))
    monkeypatch.setattr(members, "vectors_of", lambda lang: found)
    mean, none = Member("vectors").read(["The film", "xyz"])
    assert mean == pytest.approx(np.log([10, 11]) / np.log(110)) and not none.any()


def test_rare_columns_are_left_out_of_many_texts(monkeypatch):
    monkeypatch.setattr("ulmfit_easy.recipes.members.RARE", 60)
    few, many = Member("words"), Member("words")
    few.fit(few.read(TEXTS[:59]), LABELS[:59])
    many.fit(many.read(TEXTS), LABELS)
    assert len(many.columns) < len(few.columns)


@pytest.mark.parametrize("kind", ["words", "characters"])
def test_products_of_rows_give_the_coefficients_of_a_plain_fit(kind):
    texts, labels = [*TEXTS, *TEXTS[:3], ""], np.arange(64) % 3  # copies, and a text without words
    weights = np.random.default_rng(0).uniform(0.5, 2, 64)
    fast, plain = Member(kind), Member(kind, by_products=False)
    for member in (fast, plain):
        member.linear.set_params(tol=1e-8)  # each stops at its own step
    x = fast.read(texts)
    fast.fit(x, labels, weights)
    plain.fit(x, labels, weights)
    assert fast.linear.coef_ == pytest.approx(plain.linear.coef_, abs=1e-5)
    assert fast.probs(x, 3) == pytest.approx(plain.probs(x, 3), abs=1e-6)


# --- in the estimator ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(vectors):
    params = {"preset": TINY, "pretrained": False, "seed": 0, "verbose": False}
    return ULMFiT(**params).fit(TEXTS, TABLE["label"])


def test_an_estimator_mixes_by_itself_and_says_with_what(fitted, capsys):
    own = ULMFiT(preset=TINY, pretrained=False, seed=0, blend=None).fit(TEXTS, TABLE["label"])
    assert "states" not in fitted.blend_.shares  # it starts from nothing pretrained
    assert own.blend_ is None and "Mixed" not in capsys.readouterr().out
    again = ULMFiT(preset=TINY, pretrained=False, seed=0).fit(TEXTS, TABLE["label"])
    assert "Mixed with linear models: this model 0." in capsys.readouterr().out
    expected = again.blend_.mixed(own.predict_proba(TEXTS), TEXTS)
    assert again.predict_proba(TEXTS) == pytest.approx(expected)
    assert np.array_equal(again.predict_proba(TEXTS), fitted.predict_proba(TEXTS))


@pytest.mark.parametrize("i", [0, 1])
def test_the_accuracy_is_that_of_the_mixture_on_texts_aside(fitted, monkeypatch, i):
    assert fitted.n_aside_ == 6
    always = np.eye(2)[[i] * 12]  # a mixture that has one answer
    monkeypatch.setattr(ULMFiT, "_blended", lambda self, df, probs, relearn: (fitted.blend_, always))
    model = copy.copy(fitted)
    model._finish(Labelled(TABLE.assign(valid=ASIDE), len(TABLE), [], ("text",), "label", Kind()))
    assert model.accuracy_ == pytest.approx((TABLE["label"][ASIDE] == fitted.classes_[i]).mean())


def test_classes_may_weigh_by_name(fitted):
    params = {"preset": TINY, "pretrained": False, "seed": 0, "verbose": False}
    model = ULMFiT(**params, class_weight={"pos": 100.0}).fit(TEXTS, TABLE["label"])
    heavy, alike = (m.blend_.members[0].probs(m.blend_.members[0].read(TEXTS), 2)[:, 1] for m in (model, fitted))
    assert (heavy > alike).all()


def test_an_estimator_with_a_mixture_is_saved_and_loaded(fitted, tmp_path):
    loaded = ULMFiT.load(fitted.save(tmp_path / "m"))
    assert np.array_equal(loaded.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
    assert sorted(p.name for p in fitted.save(tmp_path / "m").iterdir()) == [
        "README.md", "blend.safetensors", "estimator.json", "forwards", "training.json"]


def test_the_command_predicts_by_the_mixture(fitted, tmp_path, capsys):
    pd.DataFrame({"text": TEXTS}).to_csv(tmp_path / "new.csv", index=False)
    main(["predict", str(fitted.save(tmp_path / "m")), str(tmp_path / "new.csv"), "--out", str(tmp_path / "out.csv")])
    found = pd.read_csv(tmp_path / "out.csv")
    assert found["probability"].to_numpy() == pytest.approx(fitted.predict_proba(TEXTS).max(1), abs=1e-4)


def test_a_folder_without_its_mixture_is_refused(fitted, tmp_path):
    folder = fitted.save(tmp_path / "m")
    assert json.loads((folder / "estimator.json").read_text())["blend"]
    (folder / "blend.safetensors").unlink()
    with pytest.raises(FileError, match="E404.*blend.safetensors"):
        ULMFiT.load(folder)


@pytest.mark.parametrize("blend", ["mean", True, 1])
def test_other_mixtures_are_refused(blend):
    with pytest.raises(ArgumentError, match="blend"):
        ULMFiT(blend=blend).fit(TEXTS, TABLE["label"])


def test_an_explanation_of_an_estimator_is_of_its_mixture(fitted):
    text = TEXTS[0]
    first = text.split()[0]
    probs = fitted.predict_proba([text, text.removeprefix(first + " ")])
    found = explain(fitted, text, "pos")
    odds = np.log(probs[:, 1] / probs[:, 0])
    assert found.tokens == text.split() and found.label == "pos" and found.evidence == pytest.approx(odds[0])
    assert found.scores[0] == pytest.approx(odds[0] - odds[1], abs=1e-5)
    with pytest.raises(ArgumentError, match=r"E603.*no gradients.*learners_\[0\]"):
        explain(fitted, text, method="gradients")
    with pytest.raises(ArgumentError, match="E604.*target='good'"):
        explain(fitted, text, "good")
    with pytest.raises(TrainingError, match="E506.*CalibratedClassifierCV"):
        calibrate(fitted)


def test_the_time_that_linear_models_take_is_estimated_by_a_sample():
    texts, labels = TEXTS * 40, [*TABLE["label"]] * 40
    assert blend_seconds(texts, labels, "en") > blend_seconds(TEXTS, labels[:len(TEXTS)], "en") == 0
    assert blend_seconds(texts, ["same"] * len(texts), "en") == 0
