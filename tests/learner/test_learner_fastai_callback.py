"""Callbacks written for fastai's events and attributes run here unchanged."""

import pytest
import torch
from learner_toys import lm, regression

from ulmfit_easy import all as easy
from ulmfit_easy.all import Callback
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.events import EVENTS, event


class Diary(Callback):
    """As a user of fastai writes it: reads fall through, writes go to `self.learn`."""

    order = 55  # after the recorder

    def __init__(self, every=1):
        self.every = every
        self.pages, self.seen = [], []

    def after_create(self):
        self.created_with = self.model

    def before_fit(self):
        self.seen.append(("fit", self.n_epoch, self.learn.opt is self.opt))

    def before_epoch(self):
        self.page = {"epoch": self.epoch, "train": 0, "valid": 0}

    def before_train(self):
        assert self.training and self.model.training

    def before_validate(self):
        assert not self.training and not self.model.training

    def before_batch(self):
        assert self.x is self.xb[0] and self.y is self.yb[0] and len(self.xb) == len(self.yb) == 1
        assert 0 <= self.iter < self.n_iter == len(self.dl)

    def after_pred(self):
        assert self.pred.shape == self.y.shape

    def after_loss(self):
        assert self.loss.item() == pytest.approx(self.loss_grad.item())
        if self.training:
            self.learn.loss_grad = self.loss_grad * 1.0

    def before_step(self):
        assert all(p.grad is not None for p in self.model.parameters())
        self.seen.append(("lr", self.opt.hypers[-1]["lr"]))

    def after_batch(self):
        if self.training:
            assert self.smooth_loss == self.recorder.smooth_loss.value
            assert self.pct_train == pytest.approx(self.train_iter / (self.n_epoch * self.n_iter))
        self.page["train" if self.training else "valid"] += 1

    def after_epoch(self):
        assert self.recorder.values[-1] == list(self.learn.final_record)
        self.pages.append({**self.page, "valid_loss": self.recorder.values[-1][1]})

    def after_fit(self):
        self.seen.append(("end", self.train_iter))


def test_a_callback_of_every_common_event_and_attribute_sees_a_whole_fit():
    learn = regression(cbs=Diary())
    diary = learn.diary
    learn.fit(2, 0.1)
    assert diary.created_with is learn.model
    assert [{k: v for k, v in page.items() if k != "valid_loss"} for page in diary.pages] == [
        {"epoch": 0, "train": 4, "valid": 4}, {"epoch": 1, "train": 4, "valid": 4}]
    assert diary.pages[1]["valid_loss"] < diary.pages[0]["valid_loss"]
    assert diary.seen == [("fit", 2, True), *[("lr", 0.1)] * 8, ("end", 8)]
    assert learn.dls is diary.dls and repr(diary) == "Diary" and diary.name == "diary"


def test_it_runs_as_often_as_asked_for():
    class OnlyTrain(Callback):
        run_valid = False

        def before_fit(self):
            self.batches = []

        def after_batch(self):
            self.batches.append(self.training)

    class OnlyValid(OnlyTrain):
        run_train, run_valid = False, True

    learn = regression()
    learn.fit(1, cbs=[OnlyTrain, OnlyValid()])
    train, valid = OnlyTrain(), OnlyValid()
    learn.fit(1, cbs=[train, valid])
    assert train.batches == [True] * 4 and valid.batches == [False] * 4


@pytest.mark.parametrize(("error", "event_name", "steps", "validations"), [
    (easy.CancelBatchException, "before_batch", 0, 2), (easy.CancelStepException, "before_step", 0, 2),
    (easy.CancelTrainException, "before_train", 0, 2), (easy.CancelEpochException, "before_epoch", 0, 0),
    (easy.CancelValidException, "before_validate", 8, 0), (easy.CancelFitException, "after_train", 4, 0),
])
def test_it_can_skip_what_comes_next(error, event_name, steps, validations):
    def skip(self):
        if event_name != "before_batch" or self.training:
            raise error()

    learn, validated = regression(), []
    weight = learn.model.weight.detach().clone()
    watch = Callback(after_loss=lambda self: validated.append(self.iter == 0 and not self.training))
    learn.fit(2, 0.1, cbs=[Callback(**{event_name: skip}), watch])
    assert sum(validated) == validations and torch.equal(weight, learn.model.weight) == (steps == 0)
    assert len(learn.recorder.losses) == (8 if error is easy.CancelStepException else steps)  # not of this batch


def test_a_callback_may_be_made_of_functions():
    seen = []
    cb = Callback(after_epoch=lambda self: seen.append((self.epoch, self.train_iter)))
    regression().fit(2, cbs=cb)
    assert seen == [(0, 4), (1, 8)]
    with pytest.raises(ArgumentError, match="E604.*after_epock.*Fix: did you mean 'after_epoch'"):
        Callback(after_epock=print)


@pytest.mark.parametrize(("name", "near"), [
    ("befor_batch", "before_batch"), ("after_bacth", "after_batch"), ("clean_up_fit", "cleanup_fit"),
    ("after_training", "after_train"), ("begin_fit", "before_fit"),
    ("before_validation", "before_validate"), ("beforefit", "before_fit")])
def test_a_method_that_is_nearly_an_event_is_told_where_its_class_is_written(name, near):
    with pytest.warns(UserWarning, match=rf"^Mine.{name}: training never .* Fix: rename it '{near}';") as told:
        type("Mine", (Callback,), {name: lambda self: None})
    assert len(told) == 1 and told[0].filename == __file__


def test_helpers_of_a_callback_and_the_librarys_own_callbacks_are_no_misspelt_events(recwarn):
    def all_of(cls):
        return {cls}.union(*map(all_of, cls.__subclasses__()))

    helpers = ("batch", "fit_one", "step", "log_batch", "_after_batch", "log_after_validate", "do_after_batch",
               "state_dict", "plot_loss", "before")
    type("Mine", (Callback,), {"after_n": 3, **dict.fromkeys((*EVENTS, *helpers), print)})
    ours = [cls for cls in all_of(Callback) if cls.__module__.startswith("ulmfit_easy.")]
    assert len(ours) > 30
    for cls in ours:
        type(cls.__name__, (Callback,), {k: v for k, v in vars(cls).items() if callable(v)})
    assert not recwarn.list


def test_events_have_names():
    assert event.before_fit == "before_fit" and event.after_cancel_batch == "after_cancel_batch"


def test_one_that_hides_an_attribute_of_the_learner_is_told():
    class Wrong(Callback):
        def after_loss(self):
            self.loss = self.loss * 2

    with pytest.warns(UserWarning, match=r"Wrong sets its own 'loss'.*self.learn.loss"):
        regression().fit(1, cbs=Wrong())


def test_it_may_change_what_the_model_reads_and_says():
    class Halve(Callback):
        def before_batch(self):
            self.learn.xb = tuple(x / 2 for x in self.xb)

        def after_pred(self):
            self.learn.pred = self.pred * 2

    learn = regression()
    with torch.no_grad():
        learn.model.bias.zero_()
    plain = learn.validate()
    assert learn.validate(cbs=Halve()) == pytest.approx(plain)


def test_it_knows_other_callbacks_by_name_and_may_add_some():
    class Adds(Callback):
        def before_fit(self):
            self.learn.add_cb(Callback(after_fit=lambda self: found.append(self.rnn.out is None)))

        def after_pred(self):
            found.append(self.rnn.out.shape[:2] == self.xb[0].shape and self.hidden_state is self.learn.hidden_state)

    found, learn = [], lm()
    before = list(learn.cbs)
    learn.fit(1, cbs=Adds)
    assert found and all(found) and learn.cbs == before


def test_metrics_may_be_set_as_plain_functions_later():
    def half(pred, target):
        return 0.5

    learn = regression()
    learn.metrics = half
    learn.fit(1)
    assert learn.recorder.metric_names[3] == "half" and learn.recorder.values[0][2] == learn.validate()[1] == 0.5
