"""Arguments of a learner and of a fit: what is meant is used, and what cannot work is refused before training."""

import math
import operator
from functools import partial

import numpy as np
import pytest
import torch
from learner_toys import classifier, lm, regression, text_dls, three_classes
from torch import nn

from ulmfit_easy.all import (
    SGD,
    Callback,
    CrossEntropyLossFlat,
    EarlyStoppingCallback,
    F1Score,
    F1ScoreMulti,
    FBeta,
    GradientAccumulation,
    GradientClip,
    LabelSmoothingCrossEntropyFlat,
    ModelResetter,
    Perplexity,
    ReduceLROnPlateau,
    RocAuc,
    SaveModelCallback,
    ShortEpochCallback,
    SkipToEpoch,
    load_learner,
    load_predictor,
    skm_to_fastai,
)
from ulmfit_easy.data.targets import CategoryTarget
from ulmfit_easy.errors import ArgumentError, UlmfitError
from ulmfit_easy.fastai.losses import FocalLossFlat
from ulmfit_easy.fastai.optimizers import Lookahead
from ulmfit_easy.learner.callbacks.averaging import NTASGD
from ulmfit_easy.learner.callbacks.recorder import Recorder
from ulmfit_easy.learner.callbacks.rnn import RNNRegularizer
from ulmfit_easy.learner.losses import BCEWithLogitsLossFlat
from ulmfit_easy.learner.metrics.metric import AccumMetric
from ulmfit_easy.models.heads.pooling import SigmoidRange

NAN = math.nan


@pytest.mark.parametrize("make", [
    lambda: GradientClip(NAN), lambda: GradientClip(0), lambda: GradientClip(-1.0), lambda: GradientClip(1, NAN),
    lambda: GradientAccumulation(0), lambda: GradientAccumulation(1.5), lambda: ShortEpochCallback(NAN),
    lambda: ShortEpochCallback(2), lambda: SkipToEpoch(-1), lambda: SkipToEpoch(0.5),
    lambda: EarlyStoppingCallback(patience=0),
    lambda: EarlyStoppingCallback(min_delta=NAN), lambda: ReduceLROnPlateau(factor=1),
    lambda: ReduceLROnPlateau(factor=NAN),
    lambda: ReduceLROnPlateau(min_lr=-1), lambda: SaveModelCallback(every_epoch=-1), lambda: NTASGD(-1),
    lambda: Recorder(beta=1), lambda: RNNRegularizer(NAN), lambda: Lookahead([[torch.ones(1)]], k=0, lr=1),
    lambda: Lookahead([[torch.ones(1)]], alpha=2, lr=1), lambda: SigmoidRange(0, NAN), lambda: SigmoidRange(1, 0),
    lambda: LabelSmoothingCrossEntropyFlat(eps=5.0), lambda: LabelSmoothingCrossEntropyFlat(eps=NAN),
    lambda: FocalLossFlat(gamma=-1), lambda: CrossEntropyLossFlat(reduction="median"),
    lambda: CrossEntropyLossFlat(torch.tensor([1, NAN])),
    lambda: BCEWithLogitsLossFlat(pos_weight=torch.tensor([-1.0])),
    lambda: regression().fit(1.5), lambda: regression().fit(-1), lambda: regression().fit("2"),
    lambda: regression().fit(1, start_epoch=-1), lambda: regression().fit_one_cycle(1, 1e-3, div=0),
    lambda: regression().fit_one_cycle(1.5, 1e-3), lambda: regression().fit_one_cycle(1, 1e-3, div_final=NAN),
    lambda: regression().fit_flat_cos(1, 1e-3, div_final=0), lambda: regression().fit_stlr(1.5),
    lambda: regression().fine_tune(1, lr_mult=0), lambda: regression().fine_tune(1, freeze_epochs=-1),
    lambda: regression().lr_find(num_it=2.5), lambda: regression().lr_find(end_lr=math.inf),
    lambda: SaveModelCallback(comp=max), lambda: EarlyStoppingCallback(comp=min),
    lambda: regression(cbs=print), lambda: regression(cbs=["SaveModelCallback"]),
    lambda: classifier(text_dls(n=30), class_weight={"pos": 1e-45, "neg": 1e-45}),
    lambda: classifier(text_dls(n=30), class_weight={"pos": 1e30, "neg": 1}),
])
def test_what_cannot_work_is_refused_before_training(make):
    with pytest.raises(UlmfitError, match="E60|E60"):
        make()


@pytest.mark.parametrize(("method", "args", "n_rows"), [("fit", [np.int64(1)], 1), ("fit", [0], 0),
                                                         ("fine_tune", [1, 1e-3, 0], 1)])
def test_few_epochs_or_none_are_trained_as_asked(method, args, n_rows):
    learn = regression()
    getattr(learn, method)(*args)
    assert len(learn.recorder.values) == n_rows


@pytest.mark.parametrize(("callback", "value"), [(GradientClip, {"max_norm": math.inf}),
                                                 (EarlyStoppingCallback, {"min_delta": -0.1}),
                                                 (SaveModelCallback, {"every_epoch": True}),
                                                 (SaveModelCallback, {"comp": np.greater}),
                                                 (SaveModelCallback, {"comp": operator.lt})])
def test_what_can_work_is_taken(callback, value):
    assert value.items() <= vars(callback(**value)).items()


@pytest.mark.parametrize(("metric", "name"), [
    (Perplexity, "perplexity"), (F1ScoreMulti, "f1_score"), (RocAuc, "roc_auc_score"),
    (partial(F1Score, average="macro"), "f1_score")])
def test_a_metric_that_was_not_called_is_called(metric, name):
    assert regression(metrics=[metric]).metrics[0].name == name


def test_a_metric_set_after_the_learner_was_made_is_called_too():
    learn = three_classes()
    learn.metrics = partial(F1Score, average="macro")
    learn.fit(1, 1e-2)
    assert learn.recorder.measures[-1] == "f1_score"


def test_one_that_needs_arguments_is_refused_before_training():
    with pytest.raises(ArgumentError, match=r"E602.*FBeta.*beta.*FBeta\(\.\.\.\)"):
        regression(metrics=FBeta)


@pytest.mark.parametrize("loss_func", [CrossEntropyLossFlat, nn.CrossEntropyLoss,
                                       partial(CrossEntropyLossFlat, reduction="sum")])
def test_a_loss_that_was_not_called_is_called(loss_func):
    learn = three_classes(loss_func=loss_func)
    assert not isinstance(learn.loss_func, type | partial)
    learn.fit(1, 1e-2)


def test_a_function_as_a_loss_stays_one():
    for loss in (nn.functional.cross_entropy, partial(nn.functional.cross_entropy, reduction="sum")):
        assert three_classes(loss_func=loss).loss_func is loss


def test_callbacks_that_were_not_made_are_made(tmp_path):
    learn = regression(path=tmp_path)
    learn.fit(1, cbs=[partial(SaveModelCallback, fname="best"), GradientClip])
    assert (tmp_path / "models" / "best.safetensors").exists()


def test_the_rate_inside_a_partial_optimizer_is_used_unless_another_is_named():
    for options, rate in (({}, 0.5), ({"lr": 0.1}, 0.1)):
        learn = regression(opt_func=partial(SGD, lr=0.5), **options)
        learn.fit(1)
        assert learn.opt.hypers[0]["lr"] == rate
        learn.fit(1, 0.2)
        assert learn.opt.hypers[0]["lr"] == 0.2
    assert regression().lr == 1e-3


def test_a_model_with_a_state_is_reset_before_training_before_validation_and_at_the_end():
    class Stateful(nn.Linear):
        resets = 0

        def reset(self):
            self.resets += 1

    learn, seen = regression(model=Stateful(3, 1)), []

    class Watch(Callback):
        def before_train(self):
            seen.append(self.model.resets)

        before_validate = before_train

    learn.fit(1, cbs=[ModelResetter(), Watch()])
    assert seen == sorted(set(seen)) and seen[0] and learn.model.resets > seen[-1]


@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "binarysoftmax"])
def test_a_metric_of_probabilities_gets_them_and_not_the_likeliest_class(kind):
    given = []

    def keep(preds, targs):
        given.append(preds)
        return 0.0

    three_classes(metrics=AccumMetric(keep, dim_argmax=-1, activation=kind, flatten=False)).validate()
    skm = skm_to_fastai(lambda targs, preds: keep(torch.as_tensor(preds), targs), activation=kind, flatten=False)
    three_classes(metrics=skm).validate()
    assert all(preds.is_floating_point() for preds in given) and torch.equal(*given)
    if kind == "softmax":
        assert torch.allclose(given[0].sum(-1), torch.ones(48))


def test_of_two_columns_with_one_name_the_first_is_watched():
    metrics = [AccumMetric(lambda *_: 0.25, flatten=False, name="same"),
               AccumMetric(lambda *_: 0.75, flatten=False, name="same")]
    learn, early = three_classes(metrics=metrics), EarlyStoppingCallback(monitor="same", comp=operator.gt)
    learn.fit(1, cbs=early)
    assert early.best == 0.25 == learn.recorder.value_of("same")


def test_classes_that_come_as_a_set_are_sorted():
    names = {f"class {i}" for i in range(20)}
    assert CategoryTarget.learned(["class 1", "class 2"], names).classes == sorted(names)


def test_a_language_models_state_still_starts_anew_before_each_validation():
    learn, seen = lm(text_dls(is_lm=True, n=20)), []

    class Watch(Callback):
        order = 200

        def before_validate(self):
            seen.append(self.learn.hidden_state.memory)

    learn.fit(1, cbs=Watch())
    assert seen == [None]




@pytest.mark.parametrize("call, argument", [
    (lambda learn: load_learner(5), "fname"), (lambda learn: load_predictor(None), "fname"),
    (lambda learn: learn.save(None), "file"), (lambda learn: learn.load(5), "file"),
    (lambda learn: learn.save_encoder(5), "file"), (lambda learn: learn.load_encoder(5), "file"),
    (lambda learn: learn.export(5), "fname"), (lambda learn: learn.freeze_to("a"), "n"),
    (lambda learn: learn.freeze_to(1.5), "n"), (lambda learn: learn.freeze_to(None), "n")],
    ids=["load_learner", "load_predictor", "save", "load", "save_encoder", "load_encoder", "export", "freeze_to-text",
         "freeze_to-fraction", "freeze_to-none"])
def test_a_place_or_a_group_of_another_type_is_refused_by_name(call, argument):
    with pytest.raises(ArgumentError, match=f"E60[12].* {argument}="):
        call(classifier())
