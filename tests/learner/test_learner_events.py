"""The loop: the order of events, what cancels what, and that a fit leaves nothing behind."""

import gc
import pickle
import threading
import weakref
from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from learner_toys import At, Log, classifier, lm, raises, regression, same, state, three_classes

from ulmfit_easy.errors import TrainingError
from ulmfit_easy.fastai.loggers import CSVLogger
from ulmfit_easy.learner import events
from ulmfit_easy.learner.callbacks.progress import ProgressCallback
from ulmfit_easy.learner.callbacks.recorder import Recorder
from ulmfit_easy.learner.callbacks.tracking import EarlyStoppingCallback
from ulmfit_easy.learner.events import REPORT, Callback
from ulmfit_easy.learner.learner import Learner
from ulmfit_easy.learner.metrics.common import accuracy
from ulmfit_easy.learner.metrics.sklearn_metric import F1Score

BATCH = "before_batch after_pred after_loss before_backward after_backward before_step after_step after_batch " \
        "cleanup_batch"
VALID = "before_validate before_batch after_pred after_loss after_batch cleanup_batch after_validate cleanup_validate"
ONE_EPOCH = f"before_fit before_epoch before_train {BATCH} after_train {VALID} after_epoch cleanup_epoch " \
            "after_fit cleanup_fit"


def events_of(learn, *cbs):
    log = Log()
    learn.fit(1, 0.1, cbs=[log, *cbs])
    return " ".join(log.events)


def test_events_of_a_fit_come_in_fastais_order():
    assert events_of(regression(n=8)) == ONE_EPOCH


@pytest.mark.parametrize(("event", "error", "expected"), [
    ("before_backward", events.CancelBackwardException,
     ONE_EPOCH.replace("before_backward after_backward", "before_backward after_cancel_backward after_backward")),
    ("before_step", events.CancelStepException,
     ONE_EPOCH.replace("before_step after_step", "before_step after_cancel_step after_step")),
    ("after_pred", events.CancelBatchException,
     ONE_EPOCH.replace(BATCH, "before_batch after_pred after_cancel_batch after_batch cleanup_batch")),
    ("after_loss", events.CancelTrainException,
     ONE_EPOCH.replace(BATCH, "before_batch after_pred after_loss cleanup_batch after_cancel_train")),
    ("before_validate", events.CancelValidException,
     ONE_EPOCH.replace(VALID, "before_validate after_cancel_validate after_validate cleanup_validate")),
    ("after_train", events.CancelEpochException,
     ONE_EPOCH.replace(f"after_train {VALID}", "after_train after_cancel_epoch")),
    ("before_step", events.CancelFitException,
     "before_fit before_epoch before_train before_batch after_pred after_loss before_backward after_backward "
     "before_step cleanup_batch cleanup_epoch after_cancel_fit after_fit cleanup_fit"),
])
def test_each_cancel_skips_to_the_end_of_its_level(event, error, expected):
    class Cancel(At):
        order = 101  # after the log

    assert events_of(regression(n=8), Cancel(event, raises(error()), at=0)) == expected


def test_a_cancelled_step_moves_nothing():
    learn = regression()
    before = state(learn.model)
    learn.fit(1, 0.1, cbs=At("before_step", raises(events.CancelStepException())))
    assert same(before, state(learn.model))


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
@pytest.mark.parametrize("event", ["before_fit", "before_batch", "after_pred", "after_backward", "after_batch",
                                   "before_validate", "after_epoch", "after_fit"])
def test_an_error_leaves_a_learner_that_works(event, error):
    learn, log = regression(), Log()
    learn.to_bf16()
    before = list(learn.cbs)
    with pytest.raises(type(error)):
        learn.fit(2, 0.1, cbs=[log, At(event, raises(error), at=0)])
    assert log.events[-1] == "cleanup_fit"
    assert learn.cbs == before and not hasattr(learn, "log") and not hasattr(learn, "at")
    assert not learn.training and not torch.is_autocast_enabled("cpu") and learn.progress.bar is None
    assert learn.loss_grad is None and all(p.grad is None for p in learn.model.parameters())
    learn.fit(3, 0.1)
    assert learn.recorder.values[-1][1] < learn.recorder.values[0][1]


def test_every_callback_is_cleaned_up_even_if_one_cleanup_fails():
    cleaned = []
    first = At("cleanup_fit", lambda: cleaned.append("first"))
    with pytest.raises(ValueError, match="late"):
        regression().fit(1, cbs=[first, At("cleanup_fit", raises(ValueError("late")))])
    assert cleaned == ["first"]


def test_an_exception_without_arguments_comes_out_as_it_is():
    error = ValueError()
    with pytest.raises(ValueError) as caught:
        regression().fit(1, cbs=At("after_pred", raises(error), at=0))
    assert caught.value is error and caught.value.args == ()


def test_run_train_and_run_valid_choose_the_batches():
    def count(**flags):
        batches = []
        cb = At("after_batch", lambda: batches.append(cb.training))
        vars(cb).update(flags)
        regression(n=16).fit(1, cbs=cb)
        return batches

    assert count() == [True, True, False, False]
    assert count(run_valid=False) == [True, True]
    assert count(run_train=False) == [False, False]


def test_a_callback_that_switched_itself_off_is_on_again_after_the_fit_even_if_it_failed():
    learn, cb = regression(), Log()
    learn.add_cbs(cb)
    cb.before_epoch = lambda: setattr(cb, "run", False)
    with pytest.raises(ValueError):
        learn.fit(1, cbs=At("after_train", raises(ValueError()), at=0))
    assert "before_batch" not in cb.events and cb.events[-1] == "cleanup_fit" and cb.run


def test_callbacks_read_the_learner_and_know_it_by_name():
    learn = regression()
    cb = Log()
    with pytest.raises(AttributeError, match="no attribute 'model'"):
        cb.model  # noqa: B018
    learn.add_cbs(cb)
    assert cb.model is learn.model and cb.name == "log" and learn.log is cb
    with pytest.raises(AttributeError):
        cb.no_such_thing  # noqa: B018
    learn.remove_cbs(Log)
    assert cb not in learn.cbs and not hasattr(learn, "log")


def test_callbacks_run_by_order_then_as_they_were_added():
    ran = []

    def cb(name, order):
        made = At("before_fit", lambda: ran.append(name))
        made.order = order
        return made

    regression().fit(1, cbs=[cb("c", 5), cb("a", -20), cb("d", 5), cb("b", 0)])
    assert ran == ["a", "b", "c", "d"]


def test_whoever_reports_sees_the_epoch_that_stops_the_fit():
    told = []
    report = At("after_epoch", lambda: told.append(learn.recorder.log[0]))
    report.order = REPORT
    learn = regression(metrics=lambda pred, target: 1.0)
    learn.fit(9, 0.0, cbs=[EarlyStoppingCallback("<lambda>", patience=2), report])
    assert told == [0, 1, 2]


def test_no_callback_takes_the_place_of_the_model_or_a_method():
    learn = regression()
    model = learn.model
    learn.add_cbs([type("Model", (Callback,), {})(), type("FitCallback", (Callback,), {})()])
    assert learn.model is model and callable(learn.fit) and not isinstance(learn.fit, Callback)
    learn.fit(1)


def test_a_second_callback_of_a_name_gives_it_back():
    learn = regression()
    recorder = learn.recorder
    with learn.added_cbs(Recorder()):
        assert learn.recorder is not recorder
    assert learn.recorder is recorder


def test_callbacks_added_and_removed_for_a_block_are_as_before_after_it():
    learn = regression(cbs=[Log()])
    before = list(learn.cbs)
    with pytest.raises(ValueError), learn.added_cbs(Log), learn.removed_cbs([ProgressCallback, Recorder]):
        assert len(learn.cbs) == len(before) - 1 and not hasattr(learn, "recorder")
        raise ValueError
    assert learn.cbs == before and learn.recorder is before[1] and learn.progress is before[2]


def test_no_logging_prints_nothing_and_puts_everything_back(capsys):
    learn = regression()
    learn.verbose = True
    before = list(learn.cbs)
    with learn.no_logging():
        learn.fit(1, 0.1)
        learn.fine_tune(1)
    assert "".join(capsys.readouterr()) == "" and learn.cbs == before and learn.verbose
    learn.fit(1, 0.1)
    assert "train_loss" in capsys.readouterr().out


def test_no_bar_keeps_the_table_and_opens_no_bar(capsys, monkeypatch):
    monkeypatch.setattr("ulmfit_easy.learner.callbacks.progress.progress_bar",
                        lambda **kwargs: pytest.fail("a bar was opened"))
    learn = regression()
    learn.verbose = True
    with learn.no_bar():
        learn.fit(1, 0.1)
    assert "train_loss" in capsys.readouterr().out and learn.progress.with_bar


def test_a_quiet_learner_prints_nothing(capsys):
    learn = regression(verbose=False)
    learn.fit(1, 0.1)
    assert "".join(capsys.readouterr()) == ""


def test_show_training_loop_names_who_acts_when(capsys):
    regression().show_training_loop()
    lines = capsys.readouterr().out.splitlines()
    assert "before_batch            TrainEvalCallback" in lines
    assert next(line for line in lines if line.startswith("after_batch")).split() == [
        "after_batch", "TrainEvalCallback,", "Recorder,", "ProgressCallback"]


def test_a_question_asked_by_a_callback_does_not_disturb_the_fit(tmp_path):
    def run(*cbs):
        from ulmfit_easy.fastai.loggers import CSVLogger

        learn = regression(path=tmp_path, cbs=[CSVLogger()])
        torch.manual_seed(3)
        learn.fit(2, 0.1, cbs=cbs)
        return learn, learn.recorder.values, learn.csv_logger.read_log().drop(columns="time")

    asking = At("after_epoch", lambda: (asking.learn.validate(ds_idx=0), asking.learn.get_preds()))
    during = At("after_batch", lambda: asking.learn.validate())
    during.run_valid = False
    learn, values, log = run()
    _, asked_values, asked_log = run(asking, during)
    assert values == asked_values and log.equals(asked_log)


def test_a_question_asked_inside_a_validation_leaves_the_row_of_the_epoch_alone():
    def run(*cbs):
        learn = three_classes(metrics=[accuracy, F1Score(average="macro")])
        learn.fit(2, 0.1, cbs=cbs)
        return learn.recorder.values, learn.recorder.valid_values

    def ask():
        with asking.learn.removed_cbs([asking]):
            answers.append(asking.learn.validate(dl=list(asking.learn.dls.valid)[:1]))

    plain = run()
    for event in ("after_validate", "after_pred"):
        asking, answers = At(event, ask), []
        asking.run_train = False
        assert run(asking) == plain and all(answer != plain[1] for answer in answers) and answers


def test_a_callback_that_is_there_already_acts_once_and_stays():
    cb, learn = At("before_fit", lambda: None), regression()
    learn.add_cb(cb)
    before = list(learn.cbs)
    learn.fit(1, 0.1, cbs=[cb, Log])
    assert learn.cbs == before and cb.seen == 1


def test_a_question_in_the_middle_of_an_epoch_leaves_a_language_models_state_alone():
    def run(*cbs):
        torch.manual_seed(3)
        learn = lm(drop_mult=0.0)
        learn.fit(1, 0.01, cbs=cbs)
        return learn.recorder.losses

    asking = At("after_batch", lambda: asking.learn.validate())
    asking.run_valid = False
    assert run() == run(asking)


def test_rates_that_are_no_rates_are_e503():
    for lr in (float("nan"), float("inf"), -1.0, [1e-3, -1e-3]):
        with pytest.raises(TrainingError, match="E503"):
            regression().fit(1, lr)


def test_a_learner_without_a_loss_is_e506():
    learn = regression()
    with pytest.raises(TrainingError, match="E506"):
        Learner(learn.dls, learn.model)


@pytest.mark.parametrize("made", [lm, classifier])
def test_a_learner_nobody_holds_is_gone_at_once(made):
    warm = regression()
    warm.fit(1)  # the first optimizer imports parts of torch, which keep what called them until the collector runs
    learn = made()
    gc.disable()
    try:
        learn.fit_one_cycle(1, 1e-3)
        learn.get_preds()
        learner, model = weakref.ref(learn), weakref.ref(learn.model)
        del learn
        assert learner() is None and model() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("copy", [deepcopy, lambda learn: pickle.loads(pickle.dumps(learn))])
def test_the_callbacks_of_a_copy_belong_to_the_copy(copy):
    learn = regression()
    again = copy(learn)
    assert all(cb.learn is again for cb in again.cbs) and all(cb.learn is learn for cb in learn.cbs)
    before = state(learn.model)
    again.fit(1, 0.1)
    assert same(before, state(learn.model)) and not same(before, state(again.model))


def test_a_record_outlives_its_learner(tmp_path):
    learn = three_classes(path=tmp_path, metrics=[accuracy], cbs=CSVLogger())
    learn.fit(1, 0.1)
    recorder, log = learn.recorder, learn.csv_logger
    expected, rows = learn.recorder.value_of("accuracy"), len(learn.csv_logger.read_log())
    del learn
    assert recorder.learn is None and recorder.value_of("accuracy") == expected and len(log.read_log()) == rows
    assert deepcopy(recorder).value_of("accuracy") == expected
    with pytest.raises(AttributeError, match="no attribute 'model', and its learner, which may, is gone"):
        recorder.model  # noqa: B018


def test_a_callback_may_say_what_of_it_is_pickled():
    class Locked(Callback):
        def __init__(self):
            self.lock = threading.Lock()

        def __getstate__(self):
            return {k: v for k, v in vars(self).items() if k != "lock"}

    learn = regression(cbs=Locked())
    again = deepcopy(learn)
    assert again.locked.learn is again and not hasattr(again.locked, "lock")


def test_a_stand_in_for_a_learner_is_held():
    callback = Callback()
    callback.learn = SimpleNamespace(epoch=3)
    assert callback.epoch == 3
