"""Checkpoints: a fit that is stopped anywhere and resumed ends as one that never stopped, to the bit."""

import os
import random
import shutil
import signal
import threading
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from checkpoint_toys import FITS, Stop, busy_fit, forget, fresh, outcome, resumed, stop, whole
from learner_toys import At, raises, same, state, text_dls

from ulmfit_easy.all import (
    SGD,
    Callback,
    CheckpointCallback,
    CSVLogger,
    DataLoaders,
    EarlyStoppingCallback,
    GradientAccumulation,
    SaveModelCallback,
)
from ulmfit_easy.bundle.artefact import load_weights, save_weights
from ulmfit_easy.errors import ArgumentError, FileError, TrainingError
from ulmfit_easy.learner.callbacks import checkpoint
from ulmfit_easy.learner.callbacks.training_state import read_state, write_state
from ulmfit_easy.models.sampled import WordSampler

KINDS = "lm", "classifier", "plain", "virtual epochs"


# --- bit for bit ------------------------------------------------------------------------------------------------


EACH = [*(("plain", fit) for fit in FITS), *((kind, "fine_tune") for kind in KINDS if kind != "plain")]


@pytest.mark.parametrize(("kind", "fit"), EACH)
def test_a_fit_stopped_three_times_ends_as_one_never_stopped(kind, fit, tmp_path):
    stops = [stop(at=2), stop("after_step", at=1), stop("before_validate")]
    assert resumed(kind, tmp_path, stops, FITS[fit]) == whole(kind, tmp_path, FITS[fit])


MOMENTS = [("before_train", 1), ("after_pred", 0), ("after_batch", 3), ("after_train", 0), ("before_validate", 1),
           ("after_epoch", 0), ("after_epoch", 1), ("after_fit", 0)]


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize(("event", "at"), MOMENTS)
def test_it_does_not_matter_where_a_fit_is_stopped(event, at, every, tmp_path):
    assert resumed("plain", tmp_path, [stop(event, at)], every=every) == whole("plain", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS[2:])
def test_each_batch_of_a_fit_is_as_good_as_another_to_stop_at(kind, tmp_path):
    expected = whole(kind, tmp_path)
    for at in range(expected["train_iter"]):
        assert resumed(kind, tmp_path / f"{at}", [stop(at=at)], every=1 + at % 3) == expected, at


def test_gradients_that_wait_for_a_step_are_saved(tmp_path):
    def fit(learn, cbs):
        learn.fit(2, 1e-2, cbs=[GradientAccumulation(24), *cbs])

    assert resumed("lm", tmp_path, [stop(at=4)], fit) == whole("lm", tmp_path, fit)


def test_the_words_that_a_sampled_softmax_draws_are_those_that_would_have_come(tmp_path):
    def fit(learn, cbs):
        learn.model[1].sampler = WordSampler(len(learn.dls.vocab), 20)
        FITS["fit"](learn, cbs)

    unbroken = whole("lm", tmp_path, fit)
    assert resumed("lm", tmp_path, [stop(at=4)], fit) == unbroken != whole("lm", tmp_path, FITS["fit"])


class Noisy(torch.utils.data.Dataset):
    """Rows that are never the same twice, as those of a data augmentation."""

    def __len__(self):
        return 12

    def __getitem__(self, i):
        x = torch.randn(3) + random.random()  # (3,)
        return x, x.sum(0, keepdim=True)


def test_a_plain_loader_of_random_rows_goes_on_with_those_that_would_have_come(tmp_path):
    def fit(seed, *cbs):
        learn = fresh("plain", tmp_path, seed, model=torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(3, 1)))
        learn.dls = DataLoaders(torch.utils.data.DataLoader(Noisy(), 2, shuffle=True), [])
        with pytest.raises(Stop) if len(cbs) > 1 else nullcontext():
            learn.fit(2, 1e-2, cbs=cbs)
        return outcome(learn)

    unbroken = fit(0)
    fit(0, CheckpointCallback("run", every=1), stop(at=9))
    assert fit(1, CheckpointCallback("run", resume=True)) == unbroken


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_at_one_batch_leaves_a_loader_where_it_is_to_go_on(kind, tmp_path):
    dls = fresh(kind, tmp_path).dls
    list(dls.train)
    dls.train.load_state_dict({**dls.train.state_dict(), "position": 3})
    dls.one_batch()
    assert dls.train.position == 3 and len(list(dls.train)) == len(dls.train) - 3 and dls.train.position == 0


# --- every field counts -----------------------------------------------------------------------------------------


FIELDS = (
    "epoch train_iter model opt/state opt/hypers opt/frozen_idx grads scaler loader/seed loader/epoch loader/position "
    "random/python random/numpy random/torch recorder-0/losses recorder-0/lrs recorder-0/iters recorder-0/values "
    "recorder-0/valid_values recorder-0/log recorder-0/count recorder-0/smooth hidden_state-0/memory "
    "param_scheduler-0/hps gradient_accumulation-0/count save_model-0/best save_model-0/last_saved "
    "early_stopping-0/best early_stopping-0/wait csv_logger-0/text busy-0/seen"
).split()
ELSEWHERE = {"random/cuda", "recorder-0/seconds"}  # needs a GPU; has a test of its own


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """What a whole fit came to, and the folder of one that stopped in its second epoch."""
    folder = tmp_path_factory.mktemp("stopped")
    unbroken = busy_fit(fresh("lm", folder / "whole"))
    with pytest.raises(Stop):
        n = len(fresh("lm", folder).dls.train)
        busy_fit(fresh("lm", folder / "run"), CheckpointCallback("run", every=1), stop(at=n + 2))
    return unbroken, folder / "run"


def go_on(stopped, path):
    """What the stopped fit comes to when it goes on, and when it is asked again once it is over."""
    shutil.copytree(stopped[1], path, dirs_exist_ok=True)
    learns = [fresh("lm", path, seed=n) for n in (1, 2)]
    return [busy_fit(learn, CheckpointCallback("run", every=100, resume=True)) for learn in learns]


def test_a_busy_fit_goes_on_and_ends_as_a_whole_one(stopped, tmp_path):
    assert go_on(stopped, tmp_path) == [stopped[0]] * 2


@pytest.mark.parametrize("field", FIELDS)
def test_no_field_can_be_left_out(field, stopped, tmp_path, monkeypatch):
    """A field that is not restored keeps the value of the fresh learner: the fit must then end otherwise."""
    forget(monkeypatch, [field])
    assert go_on(stopped, tmp_path) != [stopped[0]] * 2


def test_every_field_is_among_those_that_were_left_out(stopped):
    saved, _ = read_state(stopped[1] / "run" / "checkpoint-1.safetensors")
    parts = {**{k: v for k, v in saved.items() if k not in ("callbacks", "done")}, **saved["callbacks"]}
    split = {k: v for k, v in parts.items() if isinstance(v, dict) and k not in ("model", "grads", "scaler")}
    fields = {f"{k}/{sub}" for k, v in split.items() for sub in v} | parts.keys() - split.keys()
    assert fields - ELSEWHERE == set(FIELDS)


class Tally(Callback):
    """A stateful callback as a user may write one: it changes how the fit goes on, by batches begun and done."""

    def before_fit(self):
        self.begun = self.done = 0

    def before_batch(self):
        self.begun += 1

    def before_step(self):
        self.opt.set_hyper("wd", 0.01 * self.begun)

    def after_batch(self):
        self.done += 1

    def state_dict(self):
        return {"begun": self.begun, "done": self.done}

    def load_state_dict(self, state):
        vars(self).update(state)


def test_a_users_stateful_callback_survives_a_batch_out_of_memory(tmp_path):
    tally, full = Tally(), torch.OutOfMemoryError("CUDA out of memory")

    def fit(learn, cbs):
        learn.fit(2, 1e-2, cbs=[tally, *cbs])

    unbroken = whole("classifier", tmp_path, fit)
    expected = tally.state_dict()
    learn = fresh("classifier", tmp_path)
    with pytest.raises(TrainingError, match="E509"):
        fit(learn, [CheckpointCallback("run", every=3), At("after_backward", raises(full), 4)])
    assert tally.done == learn.train_iter == 4  # what counts batches that are done stands before this one
    assert resumed("classifier", tmp_path, [], fit, every=3) == unbroken  # and what counts earlier goes on from there
    assert tally.state_dict() == expected


def test_the_time_of_an_epoch_counts_what_came_before_the_crash(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("ulmfit_easy.learner.callbacks.recorder.time.perf_counter", lambda: now[0])

    def seconds(path, *stops):
        for cause in [*stops, None]:
            learn, tick = fresh("plain", path), At("after_batch", lambda: now.__setitem__(0, now[0] + 100.0))
            cbs = [CheckpointCallback("run", every=1, resume=True), tick, *([cause] if cause else [])]
            with pytest.raises(Stop) if cause else nullcontext():
                learn.fit(1, cbs=cbs)
        return learn.recorder.log[-1]

    assert seconds(tmp_path / "whole") == seconds(tmp_path / "stopped", stop(at=1), stop(at=2)) == "13:20"


@pytest.mark.parametrize("value", [
    {"a": [1, 2.5, None, "x", True], "b": {"c": [float("nan"), float("inf")], "d": -float("inf")}, "e": []},
    {"t": torch.arange(3), "nested": [(torch.ones(2), torch.zeros(0))], "long": [0.1] * 1000, "one": [0.1]},
    {"np": np.float32(0.1), "int": np.int64(3), "text": ["tensor", "float"]},
])
def test_a_state_comes_back_from_its_file(value, tmp_path):
    def plain(v):
        if isinstance(v, dict):
            return {k: plain(x) for k, x in v.items()}
        return [plain(x) for x in v] if isinstance(v, list | tuple) else repr(v.item() if hasattr(v, "dtype") and
                                                                            v.ndim == 0 else v)

    back, metadata = read_state(write_state(tmp_path / "state.safetensors", value, mine=1))
    assert plain(back) == plain(value) and metadata["mine"] == 1


# --- when it is saved -------------------------------------------------------------------------------------------


def saves(monkeypatch):
    """The batch numbers at which checkpoints were written; -1 is the end."""
    seen, write = [], checkpoint.write_state
    monkeypatch.setattr(checkpoint, "write_state", lambda path, state, **m: (
        seen.append(-1 if state["done"] else state["train_iter"]), write(path, state, **m)))
    return seen


def test_it_saves_every_so_many_batches_and_at_the_end(tmp_path, monkeypatch):
    seen = saves(monkeypatch)
    fresh("plain", tmp_path).fit(2, cbs=CheckpointCallback("run", every=3))  # 4 batches an epoch
    assert seen == [3, 6, -1]


def test_it_saves_every_so_many_minutes(tmp_path, monkeypatch):
    seen, now = saves(monkeypatch), [0.0]
    monkeypatch.setattr(checkpoint.time, "perf_counter", lambda: now[0])
    tick = At("after_batch", lambda: now.__setitem__(0, now[0] + 40.0))  # validation takes its time too
    fresh("plain", tmp_path).fit(2, cbs=[CheckpointCallback("run", minutes=2), tick])
    assert seen == [3, 5, 8, -1]


@pytest.mark.skipif(os.name != "posix", reason="needs locks")
def test_a_second_fit_in_a_folder_that_is_in_use_is_e408_and_harms_neither(tmp_path):
    def second():
        with pytest.raises(FileError, match="E408.*another fit writes"):
            fresh("plain", tmp_path, seed=1).fit(1, cbs=CheckpointCallback("run", resume=True))

    fresh("plain", tmp_path).fit(1, cbs=[CheckpointCallback("run", every=1), At("after_batch", second, 2)])
    fresh("plain", tmp_path).fit(1, cbs=CheckpointCallback("run"))  # nothing holds it any more


def test_weights_of_other_programs_are_not_replaced(tmp_path):
    learn = fresh("plain", tmp_path)
    for i in (1, 2):
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / f"checkpoint-{i}.safetensors").write_bytes(b"theirs")
    with pytest.raises(FileError, match="E412.*did not write"):
        learn.fit(1, cbs=CheckpointCallback("run"))
    (tmp_path / "run" / "checkpoint-1.safetensors").unlink()
    learn.fit(1, cbs=CheckpointCallback("run", every=1))
    assert (tmp_path / "run" / "checkpoint-2.safetensors").read_bytes() == b"theirs"


def test_one_file_is_there_and_nothing_else(tmp_path):
    (tmp_path / "run" / f".checkpoint-1.safetensors.tmp-{'0f' * 8}").mkdir(parents=True)
    fresh("plain", tmp_path).fit(2, cbs=CheckpointCallback("run", every=1))
    assert [f.name for f in (tmp_path / "run").iterdir()] == ["checkpoint-1.safetensors"]


@pytest.mark.parametrize("wrong", [{"minutes": -1}, {"every": 0}, {"minutes": float("nan")}])
def test_intervals_that_cannot_be_are_refused(wrong):
    with pytest.raises(ArgumentError, match="E602"):
        CheckpointCallback("run", **wrong)


def test_lr_find_leaves_no_checkpoint(tmp_path):
    learn = fresh("plain", tmp_path, cbs=CheckpointCallback("run", every=1))
    learn.lr_find(num_it=10, show_plot=False)
    assert not (tmp_path / "run").exists()


# --- where it goes on -------------------------------------------------------------------------------------------


def test_without_a_checkpoint_a_fit_starts_from_the_beginning(tmp_path):
    assert resumed("lm", tmp_path, []) == whole("lm", tmp_path)


def test_without_resume_a_fit_starts_anew(tmp_path):
    with pytest.raises(Stop):
        FITS["fit"](fresh("plain", tmp_path), [CheckpointCallback("run", every=1), stop(at=5)])
    learn = fresh("plain", tmp_path)
    FITS["fit"](learn, CheckpointCallback("run"))
    assert outcome(learn) == whole("plain", tmp_path, FITS["fit"])


def test_a_fit_that_is_over_gives_back_its_end_at_once(tmp_path):
    end, again = resumed("lm", tmp_path, []), fresh("lm", tmp_path, seed=1)
    FITS["fit_one_cycle"](again, [CheckpointCallback("run", resume=True), stop("before_batch")])
    assert outcome(again) == end


def test_a_fit_that_stopped_early_is_over(tmp_path):
    def fit(learn, *cbs):
        learn.fit(9, 0.0, cbs=[CheckpointCallback("run", resume=True), EarlyStoppingCallback(), *cbs])

    learn = fresh("plain", tmp_path)
    fit(learn)
    end, again = outcome(learn), fresh("plain", tmp_path, seed=1)
    fit(again, stop("before_batch"))
    assert outcome(again) == end and len(again.recorder.values) == 2


def test_it_tells_where_it_goes_on(tmp_path, capsys):
    with pytest.raises(Stop):
        fresh("plain", tmp_path).fit(2, cbs=[CheckpointCallback("run", every=1), stop(at=6)])
    for _ in range(2):
        learn = fresh("plain", tmp_path)
        with learn.no_bar():
            learn.verbose = True
            learn.fit(2, cbs=CheckpointCallback("run", resume=True))
    told = [line for line in capsys.readouterr().out.splitlines() if "checkpoint-1" in line]
    found = [line.partition(": ")[2] for line in told]
    assert found == ["changed for the rest of this fit: without At", "going on in epoch 1 after batch 2",
                     "this fit is over"]


def test_a_fit_that_is_over_does_not_load_the_best_weights_of_a_later_one(tmp_path):
    learn, again, cbs = fresh("plain", tmp_path), fresh("plain", tmp_path, seed=1), [SaveModelCallback()]
    learn.fit(2, 1e-2, cbs=[CheckpointCallback("run"), *cbs])
    end = outcome(learn)
    learn.fit(2, 1e-2, cbs=cbs)
    again.fit(2, 1e-2, cbs=[CheckpointCallback("run", resume=True), *cbs])
    assert outcome(again) == end != outcome(learn)


def test_fits_that_look_the_same_have_a_checkpoint_each(tmp_path):
    def script(learn, *cbs):
        for _ in range(3):
            learn.fit(1, 1e-2, cbs=[CheckpointCallback("run", every=1, resume=True), *cbs])
        return outcome(learn)

    unbroken = script(fresh("plain", tmp_path / "unbroken"))
    for seed, at in enumerate((1, 4, 4)):  # batches until it stops: in the first fit, in the second, in the third
        with pytest.raises(Stop):
            script(fresh("plain", tmp_path, seed=seed), stop(at=at))
    assert script(fresh("plain", tmp_path, seed=9)) == unbroken


def test_a_fit_that_starts_anew_makes_older_checkpoints_of_later_fits_void(tmp_path):
    learn = fresh("plain", tmp_path)
    learn.fit(1, cbs=CheckpointCallback("run"))
    learn.fit(1, cbs=CheckpointCallback("run"))
    assert len(list((tmp_path / "run").iterdir())) == 2
    fresh("plain", tmp_path).fit(1, 0.5, cbs=CheckpointCallback("run"))
    assert [f.name for f in (tmp_path / "run").iterdir()] == ["checkpoint-1.safetensors"]


def test_the_same_learner_goes_on_after_it_was_interrupted(tmp_path):
    learn = fresh("lm", tmp_path)
    with pytest.raises(Stop):
        FITS["fit_one_cycle"](learn, [CheckpointCallback("run", every=1), stop(at=3)])
    FITS["fit_one_cycle"](learn, CheckpointCallback("run", every=1, resume=True))
    assert outcome(learn) == whole("lm", tmp_path)


@pytest.mark.parametrize("event", ["after_train", "after_epoch", "after_fit", "cleanup_fit"])
def test_the_same_learner_does_not_train_again_after_an_interrupt_at_the_very_end(event, tmp_path):
    learn, interrupt = fresh("lm", tmp_path), stop(event, at=event in ("after_train", "after_epoch"))
    interrupt.order = 2000  # after the checkpoint is written, and before it cleans up
    with pytest.raises(Stop):
        FITS["fit_one_cycle"](learn, [CheckpointCallback("run", every=1), interrupt])
    FITS["fit_one_cycle"](learn, CheckpointCallback("run", every=1, resume=True))
    assert outcome(learn) == whole("lm", tmp_path)


OTHER = {"fp32": "bf16", "bf16": "fp32"}
OTHERS = {
    "epochs 2 (here 3)": lambda path: (fresh("lm", path), 3),
    "batches an epoch": lambda path: (fresh("lm", path, dls=text_dls(is_lm=True, n=20, seq_len=9)), 2),
    "rows and labels": lambda path: (fresh("lm", path, dls=text_dls(is_lm=True, n=20, seed=1)), 2),
    "vocabulary": lambda path: (fresh("lm", path, dls=text_dls(is_lm=True, n=20, min_freq=3)), 2),
    "weights": lambda path: (fresh("lm", path, config=dict(emb_sz=8, n_hid=14, n_layers=2)), 2),
    "settings": lambda path: (fresh("lm", path, drop_mult=0.5), 2),
    "precision": lambda path: (fresh("lm", path, precision=OTHER[fresh("lm", path).precision]), 2),
    "optimizer Optimizer of AdamW (here Optimizer of SGDW)": lambda path: (fresh("lm", path, opt_func=SGD), 2),
    "frozen groups 0 (here 2)": lambda path: (fresh("lm", path).freeze(), 2),
    "layer groups": lambda path: (fresh("lm", path, splitter=lambda m: [list(m.parameters())]), 2),
}


def test_what_is_changed_on_purpose_is_used_when_a_fit_goes_on_and_named(tmp_path, capsys):
    def fit(seed, cbs, verbose=True, **kwargs):
        learn = fresh("lm", tmp_path, seed, verbose=verbose)
        with pytest.raises(Stop) if seed == 0 else nullcontext():
            learn.fit(2, cbs=[CheckpointCallback("run", every=1, resume=True), *cbs], **kwargs)
        return learn

    fit(0, [stop(at=4)], lr=1e-2, wd=0.1)
    capsys.readouterr()
    learn = fit(1, [CSVLogger()], lr=2e-2, wd=0.1)
    line = next(line for line in capsys.readouterr().out.splitlines() if "changed" in line)
    assert line.endswith("changed for the rest of this fit: lr 0.02 (was 0.01); with CSVLogger, without At")
    assert {h["lr"] for h in learn.opt.hypers} == {2e-2}
    assert learn.recorder.lrs[3] == 1e-2 and learn.recorder.lrs[-1] == 2e-2


def test_a_new_peak_is_named_too_and_the_schedule_goes_on_from_its_place(tmp_path, capsys):
    def fit(seed, peak, *cbs):
        learn = fresh("lm", tmp_path, seed, verbose=True)
        with pytest.raises(Stop) if seed == 0 else nullcontext():
            learn.fit_one_cycle(2, peak, cbs=[CheckpointCallback("run", every=1, resume=True), *cbs])
        return learn

    fit(0, 1e-2, stop(at=4))
    learn = fit(1, 3e-2)
    assert "another schedule" in capsys.readouterr().out
    assert max(learn.recorder.lrs[6:]) > 1e-2 >= max(learn.recorder.lrs[:4])


@pytest.mark.parametrize("kind", ["lm", "classifier"])
@pytest.mark.parametrize("begun", OTHER)
def test_a_fit_resumed_on_another_processor_keeps_its_precision_and_says_so(kind, begun, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ULMFIT_EASY_PRECISION", begun)
    unbroken = whole(kind, tmp_path)
    with pytest.raises(Stop):
        FITS["fit_one_cycle"](fresh(kind, tmp_path), [CheckpointCallback("run", every=1), stop(at=4)])
    monkeypatch.setenv("ULMFIT_EASY_PRECISION", OTHER[begun])
    learn = fresh(kind, tmp_path, seed=1, verbose=True)
    FITS["fit_one_cycle"](learn, [CheckpointCallback("run", every=1, resume=True)])
    assert outcome(learn) == unbroken and learn.precision == begun
    assert f"goes on in {begun}, the checkpoint's precision, and not in {OTHER[begun]}" in capsys.readouterr().out


@pytest.mark.parametrize("what", OTHERS)
def test_a_checkpoint_of_another_run_is_e408_and_nothing_is_lost(what, stopped, tmp_path):
    shutil.copytree(stopped[1], tmp_path, dirs_exist_ok=True)
    learn, epochs = OTHERS[what](tmp_path)
    file, log = tmp_path / "run" / "checkpoint-1.safetensors", tmp_path / "history.csv"
    before, weights, loader = (file.read_bytes(), log.read_bytes()), state(learn.model), learn.dls.train.state_dict()
    with pytest.raises(FileError, match="E408") as caught:
        learn.fit(epochs, cbs=[CheckpointCallback("run", every=1, resume=True), CSVLogger()])
    assert what in caught.value.received and "seed=" in caught.value.fix
    assert before == (file.read_bytes(), log.read_bytes())
    assert same(weights, state(learn.model)) and learn.dls.train.state_dict() == loader


def test_a_file_of_weights_is_no_checkpoint(tmp_path):
    learn = fresh("plain", tmp_path)
    learn.fit(1)
    learn.save("model")
    (tmp_path / "models" / "model.safetensors").rename(tmp_path / "models" / "checkpoint-1.safetensors")
    with pytest.raises(FileError, match="E401"):
        learn.fit(1, cbs=CheckpointCallback("models", resume=True))


def update(*path, **changes):
    """A change of a nested state: values at a path of keys."""
    def change(state):
        for key in path:
            state = state[key]
        state.update(changes)
    return change


@pytest.mark.parametrize("change", [
    update(epoch=10**9, done=False), update(epoch="x"), update(epoch=-1), update(done=1), update(opt=[1]),
    update("loader", position=10**9), update("loader", position=None), update("opt", hypers=[]),
    update("opt", frozen_idx=99), update("opt", state={"7x": {}}), update("opt", state={"10000": {}}),
    update("random", "python", words=torch.zeros(3)), update("random", "numpy", key=torch.zeros(3)),
    update("random", torch=torch.zeros(3)), lambda state: state.pop("opt"), lambda state: state.pop("model"),
], ids=range(16))
def test_values_that_no_checkpoint_has_are_refused_before_anything_changes(change, tmp_path):
    resumed("plain", tmp_path, [])
    file = tmp_path / "run" / "checkpoint-1.safetensors"
    values, about = read_state(file)
    change(values)
    write_state(file, values, run=about["run"], torch=about["torch"])
    with pytest.raises(FileError, match="E40[12]"):
        resumed("plain", tmp_path, [])


@pytest.mark.parametrize("opt", [[1], {}, {"hypers": [], "frozen_idx": 0}, {"hypers": 3, "frozen_idx": None}])
def test_a_saved_learner_with_the_optimizer_of_none_is_e402(opt, tmp_path):
    learn = fresh("plain", tmp_path)
    learn.fit(1)
    file = learn.save("model")
    tensors, about = load_weights(file)
    del about["format"], about["sha256"]
    save_weights(file, tensors, **{**about, "opt": opt})
    with pytest.raises(FileError, match="E402.*optimizer"):
        fresh("plain", tmp_path).load("model")


# --- Ctrl-C, SIGTERM and SIGKILL --------------------------------------------------------------------------------


def send(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.fixture
def handlers():
    """What Ctrl-C does (a process in the background may ignore it), and a SIGTERM that can be survived."""
    ours = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: lambda *_: raises(Stop())()}
    before = {number: signal.signal(number, handler) for number, handler in ours.items()}
    yield ours
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Stop)])
def test_a_signal_lets_the_batch_end_and_saves(number, error, tmp_path, handlers):
    learn, steps = fresh("lm", tmp_path), []
    with pytest.raises(error):
        FITS["fit_one_cycle"](learn, [CheckpointCallback("run"), At("after_pred", send(number), at=4),
                                      At("after_step", lambda: steps.append(1))])
    saved, _ = read_state(tmp_path / "run" / "checkpoint-1.safetensors")
    assert saved["train_iter"] == saved["loader"]["position"] == len(steps) == 5
    assert {s: signal.getsignal(s) for s in handlers} == handlers
    assert resumed("lm", tmp_path, []) == whole("lm", tmp_path)


def test_a_signal_while_processes_agree_is_not_lost(tmp_path, handlers, monkeypatch):
    """Processes spend most of their time there. If the signal is lost, the launcher kills them."""
    learn, steps = fresh("plain", tmp_path), []

    def largest(*numbers):
        if len(steps) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return [*numbers]

    monkeypatch.setattr("ulmfit_easy.data.ranks.largest", largest)
    with pytest.raises(KeyboardInterrupt):
        learn.fit(1, cbs=[CheckpointCallback("run"), At("after_step", lambda: steps.append(1))])
    assert read_state(tmp_path / "run" / "checkpoint-1.safetensors")[0]["train_iter"] == len(steps) == 3


def test_a_signal_to_another_process_stops_this_one_too(tmp_path, handlers, monkeypatch):
    learn, steps = fresh("plain", tmp_path), []
    monkeypatch.setattr("ulmfit_easy.data.ranks.largest",
                        lambda *numbers: [*numbers[:-1], signal.SIGINT * (len(steps) == 2)])
    with pytest.raises(KeyboardInterrupt):
        learn.fit(1, cbs=[CheckpointCallback("run"), At("after_step", lambda: steps.append(1))])
    assert read_state(tmp_path / "run" / "checkpoint-1.safetensors")[0]["train_iter"] == len(steps) == 2
    assert {s: signal.getsignal(s) for s in handlers} == handlers


@pytest.mark.parametrize("last", [False, True])
def test_a_signal_during_a_save_acts_after_it(last, tmp_path, handlers, monkeypatch):
    learn, steps, after = fresh("plain", tmp_path), [], []
    write, n = checkpoint.write_state, len(learn.dls.train) if last else 2

    def written(*args, **kwargs):
        after.append("write")
        os.kill(os.getpid(), signal.SIGINT)
        write(*args, **kwargs)

    monkeypatch.setattr(checkpoint, "write_state", written)
    with pytest.raises(KeyboardInterrupt):
        learn.fit(1, cbs=[CheckpointCallback("run", every=n), At("after_step", lambda: steps.append(1)),
                          At("before_validate", lambda: after.append("validate"))])
    assert len(steps) == n and after == ["write"]


def test_a_signal_while_processes_agree_on_the_last_batch_acts_before_validation(tmp_path, handlers, monkeypatch):
    learn, steps, after = fresh("plain", tmp_path), [], []

    def largest(*numbers):
        if len(steps) == len(learn.dls.train) and len(numbers) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return [*numbers]

    monkeypatch.setattr("ulmfit_easy.data.ranks.largest", largest)
    with pytest.raises(KeyboardInterrupt):
        learn.fit(1, cbs=[CheckpointCallback("run"), At("after_step", lambda: steps.append(1)),
                          At("before_validate", lambda: after.append(1))])
    assert not after


def test_a_second_signal_does_not_wait(tmp_path, handlers):
    learn, interrupt = fresh("plain", tmp_path), [At(event, send(signal.SIGINT), at=1)
                                                  for event in ("after_pred", "after_loss")]
    with pytest.raises(KeyboardInterrupt):
        learn.fit(1, cbs=[CheckpointCallback("run"), *interrupt])
    assert not (tmp_path / "run").exists()
    learn.fit(1)


@pytest.mark.parametrize("event", ["before_fit", "before_validate", "after_epoch"])
def test_a_signal_outside_training_acts_at_once(event, tmp_path, handlers):
    learn, after = fresh("plain", tmp_path), []
    late = At(event, lambda: after.append(1))
    interrupt = At(event, send(signal.SIGINT))
    interrupt.order, late.order = 2000, 2001
    with pytest.raises(KeyboardInterrupt):
        learn.fit(1, cbs=[CheckpointCallback("run"), interrupt, late])
    assert not after


def test_a_signal_at_the_very_end_of_training_is_not_swallowed(tmp_path, handlers):
    with pytest.raises(KeyboardInterrupt):
        fresh("plain", tmp_path).fit(1, cbs=[CheckpointCallback("run"), At("after_train", send(signal.SIGINT))])


@pytest.mark.parametrize("cbs", [[], [stop()]])
def test_after_a_fit_signals_do_what_they_did(cbs, tmp_path, handlers):
    with pytest.raises(Stop) if cbs else nullcontext():
        fresh("plain", tmp_path).fit(1, cbs=[CheckpointCallback("run"), *cbs])
    assert {s: signal.getsignal(s) for s in handlers} == handlers


def test_a_fit_in_a_thread_works_without_signals(tmp_path):
    learn, handler = fresh("plain", tmp_path), signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=learn.fit, args=(1,), kwargs={"cbs": CheckpointCallback("run")})
    thread.start()
    thread.join()
    assert (tmp_path / "run" / "checkpoint-1.safetensors").exists() and signal.getsignal(signal.SIGINT) is handler


def test_a_loader_that_cannot_go_on_is_refused_before_training(tmp_path):
    learn = fresh("plain", tmp_path)
    learn.dls.train = list(learn.dls.train)
    with pytest.raises(TrainingError, match="E506.*batches of list"):
        learn.fit(1, cbs=CheckpointCallback("runs"))
    assert not (tmp_path / "runs").exists()
