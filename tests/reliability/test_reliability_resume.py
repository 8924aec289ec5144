"""A fit that is stopped, by whatever and wherever, goes on to the same end, bit for bit."""

import operator
import random
import signal
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from checkpoint_toys import FITS, Stop, busy_fit, forget, fresh, outcome, resumed, stop
from faults import files_up_to, tally
from learner_toys import At, raises, same, state, text_dls

from ulmfit_easy.all import CheckpointCallback, SaveModelCallback
from ulmfit_easy.errors import FileError
from ulmfit_easy.learner.callbacks import checkpoint
from ulmfit_easy.learner.callbacks.training_state import read_state
from ulmfit_easy.text.store import TokenStore
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.words import BaseTokenizer

KINDS = ["lm", "lm backwards", "classifier", "classifier backwards"]
EPOCHS = 5


def fit(name):
    """A fit of five epochs; one of those of `fine_tune` trains the last group alone."""
    return lambda learn, cbs: FITS[name](learn, cbs, EPOCHS - (name == "fine_tune"))


def moments(n_train: int, n_valid: int, n: int) -> list:
    """Forty moments at which a fit can be stopped: at the edges of epochs, in a validation, and in all of training."""
    edges = [("before_train", 0), ("before_train", 1), ("before_batch", 0), ("after_train", 0), ("before_validate", 2),
             ("after_pred", n_train + n_valid // 2), ("after_validate", 1), ("after_epoch", 3), ("after_epoch", 4),
             ("after_fit", 0)]
    batches = sorted({round(at) for at in np.linspace(0, EPOCHS * n_train - 1, 30)})
    return [*edges, *(("after_backward", at) for at in batches)][:: 40 // n]


@pytest.mark.parametrize("n", [2, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_that_is_stopped_ends_as_one_that_never_was(kind, n, place):
    dls = fresh(kind, place).dls
    found, whole, differ = moments(len(dls.train), len(dls.valid), n), {}, []
    for i, (event, at) in enumerate(found):
        name = list(FITS)[i % len(FITS)]
        if name not in whole:
            learn = fresh(kind, place / name)
            fit(name)(learn, [])
            whole[name] = outcome(learn)
        end = resumed(kind, place / f"{i}", [stop(event, at)], fit(name), every=1 + i % 3)
        differ += [(name, event, at)] if end != whole[name] else []
    print(*differ, sep="\n")
    tally("R1", f"{kind}, six ways to fit", len(found), len(differ), unit="resumed", bad="other than never stopped")


# --- what is saved ----------------------------------------------------------------------------------------------


DROPPED = {
    "weights": ["model"],
    "the optimizer's moments": ["opt/state"],
    "rates, weight decay, frozen groups": ["opt/hypers", "opt/frozen_idx"],
    "the place in the schedule": ["epoch", "train_iter"],
    "random states": ["random/python", "random/numpy", "random/torch"],
    "the order of the batches": ["loader/seed", "loader/epoch"],
    "the place in that order": ["loader/position"],
    "the hidden state": ["hidden_state-0/memory"],
    "the scale of the loss": ["scaler"],
    "gradients that wait": ["grads", "gradient_accumulation-0/count"],
    "the best score": ["save_model-0/best", "save_model-0/last_saved", "early_stopping-0/best"],
    "what was recorded": [f"recorder-0/{name}" for name in ("losses", "values", "lrs", "iters", "count", "smooth")],
}


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_a_field_that_is_dropped_is_noticed(step, place, monkeypatch):
    dropped = dict(list(DROPPED.items())[::step])
    expected = busy_fit(fresh("lm", place / "whole"))
    unnoticed = []
    for name, fields in [("none", []), *dropped.items()]:
        folder = place / name
        n = len(fresh("lm", folder).dls.train)
        with pytest.raises(Stop):
            busy_fit(fresh("lm", folder), CheckpointCallback("run", every=1), stop(at=n + 2))
        with monkeypatch.context() as patch:
            forget(patch, fields)
            ends = [busy_fit(fresh("lm", folder, seed=seed), CheckpointCallback("run", every=100, resume=True))
                    for seed in (1, 2)]  # the second one asks a fit that is over
        unnoticed += [name] if (ends == [expected] * 2) != (name == "none") else []
    print(*unnoticed, sep="\n")
    tally("R2", "fields of a checkpoint left out in turn", len(dropped), len(unnoticed), unit="dropped",
          bad="unnoticed")


def test_other_data_and_another_version_of_torch_are_told(place, monkeypatch):
    with pytest.raises(Stop):
        fresh("lm", place).fit(2, cbs=[CheckpointCallback("run", every=1), stop(at=3)])
    with pytest.raises(FileError, match="E408.*rows and labels"):
        learn = fresh("lm", place, dls=text_dls(is_lm=True, n=20, seed=1))
        learn.fit(2, cbs=CheckpointCallback("run", resume=True))
    monkeypatch.setattr(checkpoint, "torch", SimpleNamespace(__version__="9.9", Tensor=torch.Tensor))
    with pytest.warns(UserWarning, match="was written with torch .* this is torch 9.9"):
        fresh("lm", place).fit(2, cbs=CheckpointCallback("run", resume=True))


# --- damage -----------------------------------------------------------------------------------------------------


def damaged(data: bytes, n_cut: int, n_flipped: int) -> list[bytes]:
    """The data cut short at places from end to end, and with one bit of it changed."""
    rng = random.Random(0)
    cut = [data[: len(data) * i // n_cut] for i in range(n_cut)]
    places = [rng.randrange(8 * len(data)) for _ in range(n_flipped)]
    return cut + [data[: p // 8] + bytes([data[p // 8] ^ 1 << p % 8]) + data[p // 8 + 1:] for p in places]


@pytest.mark.parametrize(("n_cut", "n_flipped"), [(5, 20), pytest.param(20, 200, marks=pytest.mark.slow)])
def test_a_damaged_checkpoint_is_refused(n_cut, n_flipped, place):
    learn = fresh("lm", place)
    learn.fit(1, cbs=CheckpointCallback("run"))
    file = place / "run" / "checkpoint-1.safetensors"
    versions, accepted = damaged(file.read_bytes(), n_cut, n_flipped), 0
    for data in versions:
        file.write_bytes(data)
        try:
            read_state(file)
            accepted += 1
        except FileError as e:
            accepted += e.code != "E401"
    learn = fresh("lm", place)
    weights = state(learn.model)
    with pytest.raises(FileError, match="E401"):
        learn.fit(1, cbs=CheckpointCallback("run", resume=True))
    assert same(weights, state(learn.model))
    tally("R4", "a checkpoint, cut short or with a single bit changed", len(versions),
          accepted, unit="damaged", bad="accepted")


@pytest.mark.parametrize(("n_cut", "n_flipped"), [(2, 5), pytest.param(20, 200, marks=pytest.mark.slow)])
def test_a_damaged_token_cache_is_built_again_with_a_warning(n_cut, n_flipped, place):
    texts, tokenizer = ["one two three", "four five"] * 20, Tokenizer(BaseTokenizer())
    store = TokenStore.build(texts, tokenizer, place, n_workers=0)
    files = sorted(store.path.iterdir())
    expected, kept, tried = [f.read_bytes() for f in files], 0, 0
    for i, file in enumerate(files):
        for data in damaged(expected[i], n_cut // len(files) + 1, n_flipped // len(files)):
            file.write_bytes(data)
            tried += 1
            with pytest.warns(UserWarning, match="damaged and will be built again"):
                TokenStore.build(texts, tokenizer, place, n_workers=0)
            kept += [f.read_bytes() for f in files] != expected
    tally("R4", "a token cache, each of its files cut or with one bit changed", tried, kept, unit="damaged",
          bad="not built again")


# --- Ctrl-C and SIGTERM -----------------------------------------------------------------------------------------


@pytest.fixture
def handlers():
    """Ctrl-C and SIGTERM that can be survived; a clock of this process's own time that sends one of them."""
    ours = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: lambda *_: raises(Stop())()}
    sent = []
    ours[signal.SIGVTALRM] = lambda *_: signal.raise_signal(sent[-1])
    before = {number: signal.signal(number, handler) for number, handler in ours.items()}

    def send(number, seconds):
        sent.append(number)
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)

    yield send, {number: ours[number] for number in (signal.SIGINT, signal.SIGTERM)}
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
@pytest.mark.parametrize("n", [3, pytest.param(25, marks=pytest.mark.slow)])
@pytest.mark.parametrize("with_checkpoints", [True, False])
def test_after_an_interrupt_at_any_moment_the_next_fit_works(with_checkpoints, n, place, handlers):
    """Signals come when they like, not only between events; the fit that follows goes on from the checkpoint."""
    send, expected_handlers = handlers
    rng, tried, lost = random.Random(0), 0, []
    whole = fresh("lm", place / "whole")
    fit("fit_one_cycle")(whole, [])
    whole = outcome(whole)
    for i in range(10 * n):
        number, learn = (signal.SIGINT, signal.SIGTERM)[i % 2], fresh("lm", place / f"{i}")
        before = list(learn.cbs)
        cbs = [CheckpointCallback("run", every=1000, resume=True)] if with_checkpoints else []
        try:
            send(number, rng.uniform(0.01, 0.2))
            fit("fit_one_cycle")(learn, cbs)
            continue  # over before the signal came
        except (KeyboardInterrupt, Stop):
            tried += 1
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        changed = learn.cbs != before or {s: signal.getsignal(s) for s in expected_handlers} != expected_handlers
        if with_checkpoints:
            saved = (place / f"{i}" / "run").exists()  # a signal in a validation, or before the first batch, does not
            fit("fit_one_cycle")(learn, CheckpointCallback("run", resume=True))
            changed |= saved and outcome(learn) != whole
        else:
            learn.fit(1, 1e-2)
        lost += [i] if changed or len(learn.recorder.values) != (EPOCHS if with_checkpoints else 1) else []
        if tried == n:
            break
    print(*lost)
    tally("R7", f"a fit {'with checkpoints' if with_checkpoints else 'without any'}", tried, len(lost),
          unit="interrupted at random", bad="whose next fit did not work")


# --- the best model ---------------------------------------------------------------------------------------------


def nan_loss(learn, save):
    with suppress(ArithmeticError, RuntimeError):
        learn.fit(2, cbs=[save, At("after_loss", lambda: setattr(learn, "loss", learn.loss * float("nan")))])


def ctrl_c(learn, save):
    with pytest.raises(KeyboardInterrupt):
        learn.fit(2, cbs=[save, At("before_validate", raises(KeyboardInterrupt()))])


def no_room(learn, save):
    with files_up_to(10), pytest.raises(FileError, match="E409"):
        learn.fit(2, cbs=save)


def error(learn, save):
    with pytest.raises(ValueError):
        learn.fit(2, cbs=[save, At("after_epoch", raises(ValueError()))])


@pytest.mark.parametrize("kind", ["plain", "lm", "classifier"])
@pytest.mark.parametrize("ending", [nan_loss, ctrl_c, no_room, error])
def test_the_best_weights_of_another_run_are_neither_loaded_nor_touched(ending, kind, place):
    old = fresh(kind, place, seed=5)
    old.save("model")
    file, learn = place / "models" / "model.safetensors", fresh(kind, place)
    before, stranger = file.read_bytes(), state(old.model)
    for make in (SaveModelCallback, lambda: SaveModelCallback("train_loss", comp=operator.lt)):
        ending(learn, make())
    lost = file.read_bytes() != before or same(state(learn.model), stranger)
    tally("R8", f"no best epoch: {ending.__name__.replace('_', ' ')}, {kind}", 2, int(lost),
          bad="loaded or changed an older file")
