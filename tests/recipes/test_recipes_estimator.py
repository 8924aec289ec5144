"""`ULMFiT` is a scikit-learn estimator that keeps its promises about labels, seeds, files and silence."""

import json
import random
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from copy import copy, deepcopy
from dataclasses import replace
from functools import wraps

import numpy as np
import pandas as pd
import pytest
import torch
from recipes_tiny import DF, LABELS, TEXTS, TINY

from ulmfit_easy.bundle import shipped
from ulmfit_easy.errors import ArgumentError, FileError, TextError, TrainingError, UlmfitError
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.recipes import compare
from ulmfit_easy.recipes.drift import drift
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.recipes.saved import sealed
from ulmfit_easy.recipes.stages import new_lm
from ulmfit_easy.recipes.training import Training

FEW = TEXTS[:30], LABELS[:30]  # for what a model of all texts would not show better


def tiny(**params):
    return ULMFiT(**{"preset": TINY, "seed": 0, "pretrained": False, "verbose": False, "blend": None, **params})


@pytest.fixture(scope="module")
def model():
    return tiny().fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def pair():
    return tiny(bidir=True).fit(TEXTS, LABELS)


@pytest.fixture
def no_training(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("something slow began before the error")

    monkeypatch.setattr(TextDataLoaders, "from_df", fail)


def test_predictions_are_class_names_with_probabilities_in_their_order(model):
    probs, found = model.predict_proba(TEXTS), model.predict(TEXTS)
    assert model.classes_.tolist() == ["neg", "pos"]
    assert probs.shape == (120, 2) and probs.sum(1) == pytest.approx(1)
    assert isinstance(found, np.ndarray) and (found == model.classes_[probs.argmax(1)]).all()
    assert model.score(TEXTS, LABELS) == (found == np.array(LABELS)).mean()
    assert 0 <= model.accuracy_ <= 1 and 0 <= model.baseline_accuracy_ <= 1


def test_it_learns():
    better = replace(TINY, pretrain=(replace(TINY.pretrain[0], epochs=2),),
                     clas=(*TINY.clas, replace(TINY.clas[-1], epochs=8, lr=3e-2)))
    assert tiny(preset=better).fit(TEXTS, LABELS).score(TEXTS, LABELS) > 0.8


@pytest.mark.parametrize("names", [(7, -3), (False, True), ("b", "a")])
def test_labels_come_back_as_they_were_given(names):
    labels = [names[label == "pos"] for label in FEW[1]]
    model = tiny().fit(FEW[0], labels)
    assert model.classes_.tolist() == sorted(names)
    assert {type(c) for c in model.predict(TEXTS[:9]).tolist()} == {type(names[0])}
    assert model.score(FEW[0], labels) == np.mean([a == b for a, b in zip(model.predict(FEW[0]), labels, strict=True)])


def global_state():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def test_the_same_seed_gives_the_same_model_and_leaves_global_randomness_alone(model):
    torch.manual_seed(123)
    before = global_state()
    again = tiny(seed=np.uint8(0)).fit(TEXTS, LABELS)  # a seed of numpy is a seed
    assert global_state() == before
    assert np.array_equal(again.predict_proba(TEXTS), model.predict_proba(TEXTS))


@pytest.fixture(scope="module")
def of_few():
    return tiny().fit(*FEW)


def test_another_seed_gives_another_model(of_few):
    assert not np.array_equal(tiny(seed=1).fit(*FEW).predict_proba(TEXTS), of_few.predict_proba(TEXTS))


def a_series(values):
    return pd.Series(values, index=np.arange(len(values))[::-1] * 7)


@pytest.mark.parametrize("kinds", [(iter, np.array), (a_series, tuple), (tuple, a_series)])
def test_any_kind_of_sequence_gives_the_same_model(of_few, kinds):
    texts, labels = kinds
    again = tiny().fit(texts(FEW[0]), labels(FEW[1]))
    assert np.array_equal(again.predict_proba(texts(TEXTS)), of_few.predict_proba(TEXTS))
    assert again.score(texts(TEXTS), labels(LABELS)) == of_few.score(TEXTS, LABELS)


def test_both_directions_are_two_learners_whose_probabilities_are_averaged(pair):
    assert [learn.dls.backwards for learn in pair.learners_] == [False, True]
    each = [torch.stack([p.probs for p in learn.predict(TEXTS[:9])]).double().numpy() for learn in pair.learners_]
    assert pair.predict_proba(TEXTS[:9]) == pytest.approx((each[0] + each[1]) / 2, abs=1e-6)
    assert np.abs(each[0] - each[1]).max() > 1e-6


def test_backwards_reads_from_the_end():
    assert [learn.dls.backwards for learn in tiny(backwards=True).fit(*FEW).learners_] == [True]


# --- which texts are read by whom ---------------------------------------------------------------------------------


@pytest.fixture
def read(monkeypatch):
    """The texts of each pair of loaders that a fit makes."""
    seen, made = {}, TextDataLoaders.from_df

    @wraps(made)
    def spy(df, **kwargs):
        seen["lm" if kwargs.get("is_lm") else "classifier"] = df
        if not kwargs.get("is_lm"):
            seen["aside"] = df["text"].iloc[kwargs["splitter"](df)[1]]
        return made(df, **kwargs)

    monkeypatch.setattr(TextDataLoaders, "from_df", spy)
    return seen


def test_unlabelled_texts_reach_the_language_model_only(read):
    tiny().fit(TEXTS, LABELS, unlabelled=(t for t in ["one more text", "and another"]))
    assert {"one more text", "and another"} <= set(read["lm"]["text"])
    assert read["classifier"]["text"].tolist() == TEXTS


def test_no_stage_reads_a_text_that_is_kept_aside_even_if_it_is_among_the_unlabelled(read):
    tiny().fit(TEXTS, LABELS, unlabelled=[*TEXTS, "one more text"])
    aside = read["aside"]
    assert len(aside) == 12 and not set(aside) & set(read["lm"]["text"])
    assert read["lm"]["text"].is_unique and len(read["lm"]) == len(set(TEXTS)) - len(set(aside)) + 1


def test_a_pretrained_language_model_is_fine_tuned(read, tmp_path, capsys):
    dls = TextDataLoaders.from_df(DF, text_col="text", is_lm=True, bs=8, seq_len=16, min_freq=1, seed=0)
    folder = new_lm(dls, replace(TINY, config={"emb_sz": 12, "n_hid": 20, "n_layers": 2})).export(tmp_path / "lm")
    model = tiny(pretrained=folder).fit(*FEW)
    assert capsys.readouterr() == ("", "")
    assert model.learners_[0].encoder.state_dict()["encoder.weight"].shape[1] == 12
    with pytest.raises(ArgumentError, match=r"E603.*bidir=True.*two models with pretrained="):
        tiny(pretrained=folder, bidir=True).fit(TEXTS, LABELS)
    with pytest.raises(FileError, match="E402.*backwards"):
        tiny(pretrained=folder, backwards=True).fit(TEXTS, LABELS)
    back = TextDataLoaders.from_df(DF, text_col="text", is_lm=True, bs=8, seq_len=16, min_freq=1, seed=0,
                                             backwards=True)
    folders = folder, new_lm(back, TINY).export(tmp_path / "back")
    both = tiny(pretrained=folders, bidir=True).fit(*FEW)
    assert [learn.encoder.state_dict()["encoder.weight"].shape[1] for learn in both.learners_] == [12, 16]
    again = ULMFiT.load(both.save(tmp_path / "model"))
    assert again.pretrained == [str(f) for f in folders]


@pytest.mark.slow
def test_what_comes_with_the_library_is_the_default_for_its_language(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    for backwards, name in ((False, "awd_lstm-fwd"), (True, "awd_lstm-bwd")):
        dls = TextDataLoaders.from_df(DF, text_col="text", is_lm=True, bs=8, seq_len=16, min_freq=1, seed=0,
                                      backwards=backwards)
        sizes = {"emb_sz": 12 + backwards, "n_hid": 20, "n_layers": 1}
        new_lm(dls, replace(TINY, config=sizes), verbose=False).export(tmp_path / name, half=True)
    default = {"preset": TINY, "seed": 0, "blend": None}

    def sizes_of(**params):
        model = ULMFiT(**default, **params).fit(*FEW)
        return [learn.encoder.state_dict()["encoder.weight"].shape[1] for learn in model.learners_]

    assert sizes_of() == [12] and "fine-tuned on your texts" in capsys.readouterr().out
    assert sizes_of(bidir=True) == [12, 13]
    assert sizes_of(lang="de") == sizes_of(pretrained=False) == sizes_of(pretrained=None) == [16]
    assert "learned from your texts alone" in capsys.readouterr().out


def test_words_that_a_pretrained_model_knows_are_kept_for_later_texts(tmp_path):
    more = pd.DataFrame({"text": [*TEXTS, *(f"zebra zebra {i}" for i in range(30))]})
    dls = TextDataLoaders.from_df(more, text_col="text", is_lm=True, bs=8, seq_len=16, min_freq=1, seed=0)
    model = tiny(pretrained=new_lm(dls, TINY, verbose=False).export(tmp_path / "lm")).fit(*FEW)
    assert "zebra" in model.learners_[0].dls.text_vocab
    assert model.predict_proba(["zebra"]) != pytest.approx(model.predict_proba(["unheardof"]))


# --- errors, all of them before anything slow ---------------------------------------------------------------------


@pytest.mark.parametrize("params", [
    {"valid_pct": -0.1}, {"valid_pct": 1.0}, {"preset": "nonsense"}, {"preset": 3}, {"backwards": "no"},
    {"bidir": None}, {"verbose": 2}, {"lang": "english"}, {"pretrained": 3}, {"bidir": True, "pretrained": 3},
    {"class_weight": 3}, {"class_weight": {"pos": -1.0}}, {"class_weight": {"pos": float("nan")}},
    {"class_weight": {"pos": 0.0, "neg": 0.0}}, {"class_weight": "balancd"}, {"seed": -1}, {"seed": 1.5},
    {"seed": "3"}], ids=repr)
def test_a_parameter_that_cannot_work_is_a_coded_error(no_training, params):
    with pytest.raises(ArgumentError, match=f"E60[1-4].*{[*params][0]}"):
        tiny(**params).fit(TEXTS, LABELS)


def test_no_texts_give_no_predictions(model):
    assert model.predict([]).shape == (0,) and model.predict_proba(iter(())).shape == (0, 2)


def test_a_label_that_is_no_class_counts_as_wrong(model):
    assert model.score(TEXTS[:2], ["unheard of", "2"]) == 0


@pytest.mark.parametrize("which", ["model", "pair"])
def test_texts_without_a_known_word_are_told_once_with_their_rows(request, which):
    model = request.getfixturevalue(which)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.predict(["", *TEXTS[:2], "qwxz!?", "QWXZ", "\u2028", f"qwxz {TEXTS[0]}"])
        model.predict(TEXTS[:3])
    expected = "4 texts without a known word (rows 0, 3, 4, 5): the prediction is no more than a guess"
    assert [str(w.message) for w in told] == [expected]


# --- what is printed ----------------------------------------------------------------------------------------------


def test_verbose_tells_the_time_first_and_a_bad_result_last(capsys):
    poor = replace(TINY, pretrain=(replace(TINY.pretrain[0], lr=1e-6),), clas=(replace(TINY.clas[0], lr=1e-6),))
    model = tiny(preset=poor, verbose=True, valid_pct=0.4).fit(TEXTS, LABELS)
    out = capsys.readouterr().out
    assert model.accuracy_ < model.baseline_accuracy_
    time = "Training takes less than a minute on this machine"
    assert out.index(time) < out.index("train_loss") < out.index("worse than the baseline")
    assert f"{model.accuracy_:.3f}" in out and f"{model.baseline_accuracy_:.3f}" in out


def test_a_quiet_estimator_prints_and_warns_nothing_even_about_odd_data(capfd):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        tiny(preset=replace(TINY, min_freq=3)).fit(FEW[0] * 2, FEW[1] + FEW[1][::-1])  # doubled, contradicting texts
    assert capfd.readouterr() == ("", "") and not told
    with pytest.warns(UserWarning, match="another label") as told:
        tiny(verbose=True).fit(FEW[0] * 2, FEW[1] + FEW[1][::-1])
    assert not any("training texts too" in str(w.message) for w in told)


# --- scikit-learn -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("was_fitted", [False, True])
def test_a_fit_that_is_stopped_at_the_baseline_leaves_what_was_before(model, pair, monkeypatch, tmp_path, was_fitted):
    def stop(*args):
        raise KeyboardInterrupt

    model = copy(model) if was_fitted else tiny()
    before, probs = dict(vars(model)), model.predict_proba(TEXTS[:3]) if was_fitted else None
    monkeypatch.setattr(compare, "baseline", stop)
    monkeypatch.setattr(Training, "run", lambda self, *args, **kw: self.learners.append(pair.learners_[1]) or
                        pair.learners_[1])
    with pytest.raises(KeyboardInterrupt) as told:
        model.fit(TEXTS, LABELS)
    assert told.value.__notes__[0].startswith("Stopped. The estimator is as it was before; keep_stopped() makes")
    model.__dict__.pop("stopped_", None)
    if not was_fitted:
        with pytest.raises(TrainingError, match="E506.*not fitted"):
            model.predict(TEXTS[:1])
        return
    assert vars(model) == before
    again = ULMFiT.load(model.save(tmp_path / "m"))
    assert again.scores_ == model.scores_ and (again.predict_proba(TEXTS[:3]) == probs).all()


def test_threads_leave_the_filters_of_warnings(model, monkeypatch):
    """All threads share them: one that puts back what it found may find what another has set."""
    before, seen = list(warnings.filters), []

    def look(*args, **kwargs):
        seen.append(list(warnings.filters))
        raise ZeroDivisionError

    monkeypatch.setattr(Training, "run", look)
    with ThreadPoolExecutor(2) as pool:
        fits = [pool.submit(tiny().fit, TEXTS, LABELS) for _ in range(2)]
        asked = [pool.submit(model.predict, ["zzz"]) for _ in range(4)]
    assert all(isinstance(fit.exception(), ZeroDivisionError) for fit in fits) and not any(a.exception() for a in asked)
    assert seen == [before, before] and warnings.filters == before


def test_texts_without_a_word_have_no_baseline(tmp_path, capsys):
    smileys = [f"{face} {i // 10} {i % 10}" for i in range(20) for face in "😀😠"]
    model = tiny(verbose=True).fit(smileys, ["pos", "neg"] * 20)
    assert model.baseline_accuracy_ is None and "logistic regression has no words to count." in capsys.readouterr().out
    assert ULMFiT.load(model.save(tmp_path / "m")).baseline_accuracy_ is None


def test_weights_of_classes_are_saved_whatever_the_classes_are(tmp_path):
    numbers = [int(label == "pos") for label in FEW[1]]
    model = tiny(class_weight={np.int64(0): 2.0, np.int64(1): 1.0}).fit(FEW[0], numbers)
    assert ULMFiT.load(model.save(tmp_path / "m")).class_weight == {0: 2.0, 1: 1.0}


def test_every_language_model_is_read_before_anything_slow(lm_folder, no_training, tmp_path):
    for pair, code in (((lm_folder, tmp_path / "none"), "E404"), ((lm_folder, lm_folder), "E402.*reads forwards")):
        with pytest.raises(FileError, match=code):
            tiny(bidir=True, pretrained=pair).fit(TEXTS, LABELS)


@pytest.fixture
def lm_folder(tmp_path):
    dls = TextDataLoaders.from_df(DF, text_col="text", is_lm=True, seed=0, bs=8, min_freq=1, seq_len=16)
    return new_lm(dls, TINY, verbose=False).export(tmp_path / "lm")


def test_parameters_set_after_the_fit_change_nothing_of_what_is_saved(pair, tmp_path):
    expected = pair.predict_proba(TEXTS[:4])
    later = deepcopy(pair).set_params(bidir=False, backwards=True)
    assert np.array_equal(ULMFiT.load(later.save(tmp_path / "m")).predict_proba(TEXTS[:4]), expected)


def test_scikit_learn_takes_it_for_a_classifier(model):
    from sklearn.base import clone, is_classifier
    from sklearn.utils.validation import check_is_fitted

    assert is_classifier(model)
    check_is_fitted(model)
    copy = clone(model)
    assert copy.get_params() == model.get_params() and not hasattr(copy, "learners_")
    assert copy.set_params(seed=5, bidir=True) is copy and copy.seed == 5 and copy.bidir
    with pytest.raises(ArgumentError, match="E604.*sead.*mean 'seed'"):
        copy.set_params(sead=1)


def test_repr_tells_the_parameters_and_what_it_was_fitted_on(model, tmp_path):
    shown = repr(ULMFiT(seed=3))
    assert shown == "ULMFiT(seed=3)"  # what differs from the defaults, as scikit-learn shows it
    fitted = f", fitted on 108 texts, classes neg/pos, accuracy {model.accuracy_:.3f} on 12 kept aside)"
    assert len(TEXTS) == 120 and repr(model).endswith(fitted)
    assert repr(ULMFiT.load(model.save(tmp_path / "m"))).endswith(fitted)


def test_from_df_names_columns(model):
    again = ULMFiT.from_df(DF, "text", "label", preset=TINY, seed=0, verbose=False, blend=None)
    assert np.array_equal(again.predict_proba(TEXTS), model.predict_proba(TEXTS))
    with pytest.raises(TextError, match="E102.*did you mean 'label'"):
        ULMFiT.from_df(DF, "text", "labels", preset=TINY)


# --- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["model", "pair"])
def test_a_saved_model_answers_the_same(request, tmp_path, which):
    model = request.getfixturevalue(which)
    folder = model.save(tmp_path / "new" / "folder")
    again = ULMFiT.load(folder)
    assert np.array_equal(again.predict_proba(TEXTS), model.predict_proba(TEXTS))
    assert again.get_params() == model.get_params() and again.classes_.tolist() == model.classes_.tolist()
    assert again.scores_ == model.scores_ and again.macro_f1_ == model.macro_f1_ is not None
    assert again.accuracy_interval_ == model.accuracy_interval_


def test_a_relative_name_is_relative_to_here(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (model.save("here") / "forwards" / "vocab.json").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["here"]


def test_an_older_model_is_replaced_and_nothing_else_ever_is(model, pair, tmp_path):
    pair.save(tmp_path / "m")
    model.save(tmp_path / "m")
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "README.md", "estimator.json", "forwards", "training.json"]
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").write_text("precious")
    for place in (tmp_path / "holiday", tmp_path, tmp_path / "holiday" / "photo.jpg"):
        with pytest.raises(FileError, match="E412.*something is"):
            model.save(place)
    assert (tmp_path / "holiday" / "photo.jpg").read_text() == "precious"


def test_a_saved_model_has_a_card_with_what_was_done_and_a_card_that_a_user_changed_is_kept(tmp_path):
    names = ["bad|<b>" if label == "neg" else "good" for label in LABELS]
    model = tiny().fit(pd.Series(TEXTS, name="re`view"), names)
    folder = model.save(tmp_path / "m")
    card, record = (folder / "README.md").read_text(), json.loads((folder / "training.json").read_text())
    n = [names.count(name) for name in ("bad|<b>", "good")]
    for part in ("ulmfit predict m new.csv", f"accuracy: {model.accuracy_:.4g}\n", "* training texts: 108\n",
                 "* text column: re view\n", f"baseline accuracy: {model.baseline_accuracy_:.4g}\n", "torch ",
                 f"* highest learning rate: {TINY.clas[-1].lr:g}" if len(TINY.clas) < 2 else "* phase 2: epochs "):
        assert part in card, part
    assert "<b>" not in card and sum(record["data"]["texts of each class"].values()) == 108 < sum(n)
    assert [p["epochs"] for p in record["training"]["phase"]] == [f.epochs for f in TINY.clas]
    assert [p["epochs"] for p in record["language model"]["phase"]] == [f.epochs for f in TINY.pretrain]
    again = ULMFiT.load(folder)
    assert again.save(folder) == folder  # of a loaded one the data are not known
    assert f"accuracy: {model.accuracy_:.4g}\n" in (folder / "README.md").read_text()
    (folder / "forwards" / "README.md").write_text("mine")
    with pytest.raises(FileError, match="E412.*forwards/README.md"):
        model.save(folder)
    assert (folder / "forwards" / "README.md").read_text() == "mine"


def spoil(folder, how):
    file = folder / "estimator.json"
    if callable(how):
        settings = json.loads(file.read_text())
        how(settings)
        settings = {k: v for k, v in settings.items() if k not in ("format", "made_with", "sha256")}
        file.write_text(json.dumps(sealed(settings)))  # the hash is right
    else:
        file.write_text(how)


@pytest.mark.parametrize("how", [
    "", "{", "[]", "3", "{}", '{"params": {}}', '{"params": "x"}', '{"params": {"os": 1}, "accuracy": 1}',
    lambda s: s["params"].update(preset={"name": "x"}),
    lambda s: s["params"]["preset"].update(clas=[{"epochs": 1}]),
    lambda s: s["params"].update(bidir=True, pretrained=3),
    lambda s: s.update(ways=["forwards", "backwards"]),  # and no folder `backwards`
    lambda s: s.update(ways=["../elsewhere"]),
    lambda s: s.update(ways=[]),
    lambda s: s.update(ways=3),
    lambda s: s.pop("accuracy"),
    lambda s: s.update(scores={"accuracy": 2.0}),
    lambda s: s.update(scores={"accuracy": 1.0, "os": 1.0}),
    lambda s: s.update(scores={}),
    lambda s: s.update(scores=3),
])
def test_hostile_settings_are_coded_errors(model, tmp_path, how):
    folder = model.save(tmp_path / "m")
    spoil(folder, how)
    with pytest.raises(UlmfitError, match=r"E40[124]"):
        ULMFiT.load(folder)


def test_missing_and_foreign_parts_are_coded_errors(model, pair, tmp_path):
    with pytest.raises(FileError, match="E404"):
        ULMFiT.load(tmp_path / "nothing")
    folder = pair.save(tmp_path / "m")
    shutil.rmtree(folder / "backwards")
    with pytest.raises(FileError, match="E404.*backwards"):
        ULMFiT.load(folder)
    numbers = tiny(backwards=True).fit(FEW[0], [int(label == "pos") for label in FEW[1]])
    numbers.learners_[0].export((folder / "backwards").absolute())
    with pytest.raises(FileError, match="E402.*same classes"):
        ULMFiT.load(folder)


def test_the_halves_of_an_estimator_and_its_settings_belong_together(pair, tmp_path):
    folder, other = pair.save(tmp_path / "m"), tiny(bidir=True, seed=5).fit(*FEW).save(tmp_path / "o")
    settings = json.loads((folder / "estimator.json").read_text())
    (folder / "estimator.json").write_text(json.dumps({**settings, "accuracy": 0.999}))
    with pytest.raises(FileError, match="E406"):
        ULMFiT.load(folder)
    (folder / "estimator.json").write_text(json.dumps(settings))
    ULMFiT.load(folder)
    shutil.rmtree(folder / "backwards")
    shutil.copytree(other / "backwards", folder / "backwards")
    with pytest.raises(FileError, match="E402.*another estimator"):
        ULMFiT.load(folder)


def test_no_bit_of_a_name_turns_the_check_of_settings_off(model, tmp_path):
    folder = model.save(tmp_path / "m")
    raw = (folder / "estimator.json").read_bytes()
    for name in (b'"sha256"', b'"format"', b'"weights"'):
        at = raw.index(name) + 1
        for i in range(8 * (len(name) - 2)):
            changed = bytearray(raw)
            changed[at + i // 8] ^= 1 << i % 8
            (folder / "estimator.json").write_bytes(changed)
            with pytest.raises(FileError, match="E40[16]"):
                ULMFiT.load(folder)


@pytest.mark.parametrize("change", [lambda s: s.update(format=3), lambda s: s["params"].update(hertz=3)])
def test_a_model_of_a_newer_version_says_so(model, tmp_path, change):
    folder = model.save(tmp_path / "m")
    settings = json.loads((folder / "estimator.json").read_text())
    change(settings)
    (folder / "estimator.json").write_text(json.dumps({**settings, "made_with": "ulmfit_easy 9.0"}))
    with pytest.raises(FileError, match="E401.*made with ulmfit_easy 9.0.*newer version"):
        ULMFiT.load(folder)


def test_settings_of_the_first_version_load(model, tmp_path):
    folder = model.save(tmp_path / "m")
    settings = json.loads((folder / "estimator.json").read_text())
    first = {k: settings[k] for k in ("params", "accuracy", "baseline_accuracy", "ways")}
    (folder / "estimator.json").write_text(json.dumps(first))
    assert (ULMFiT.load(folder).predict_proba(TEXTS[:3]) == model.predict_proba(TEXTS[:3])).all()


def test_it_keeps_what_new_texts_are_compared_with(model, tmp_path):
    assert sum(model.learners_[0].reference["counts"]) == model.n_aside_
    again = ULMFiT.load(model.save(tmp_path / "m"))
    assert drift(again, TEXTS).psi == pytest.approx(drift(model, TEXTS).psi)
