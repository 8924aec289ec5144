"""Checkpoints of a fit, from which it resumes after a crash as if nothing had happened."""

import math
import signal
import threading
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import FrameType

import torch

from ulmfit_easy.bundle.artefact import is_weights, weights_place
from ulmfit_easy.data import ranks
from ulmfit_easy.errors import FileError, TrainingError
from ulmfit_easy.learner.callbacks.precision import MixedPrecision
from ulmfit_easy.learner.callbacks.run_id import HYPERS, asked, change, fingerprints, run_id
from ulmfit_easy.learner.callbacks.training_state import (
    check_training_state,
    load_training_state,
    read_state,
    training_state,
    write_state,
)
from ulmfit_easy.learner.events import SAVE, Callback
from ulmfit_easy.models.precision import PRECISIONS
from ulmfit_easy.places import Hold, clear_left, file_place
from ulmfit_easy.processes import is_main, world
from ulmfit_easy.schema import number, optional, takes, whole
from ulmfit_easy.terminal import say
from ulmfit_easy.user_code import warn_user


class CheckpointCallback(Callback):
    """Save all that a fit needs to continue after a crash. With `resume=True` the same fit resumes from there.

    A script that always passes `resume=True` can be run again until it is through. Each fit resumes at the batch after
    its last checkpoint, in the middle of an epoch too. It ends with the weights and recorded losses of a fit that was
    never stopped, bit for bit. That holds on one kind of machine, with one version of torch and one number of threads.
    Data, model, optimizer and callbacks have to be built in the same way, with a seed for the split. Weights, random
    state and the order of the batches come from the checkpoint.

    The file is `path/checkpoint-1.safetensors`. If a learner fits several times, as in `fine_tune`, each fit has the
    next number. A new checkpoint replaces the one before only when it is complete. The last one stays after the fit.
    If a finished fit is resumed, its final state is loaded at once. Without `resume` a fit starts from the beginning,
    and its first checkpoint replaces the checkpoints of older runs. Only one fit can use a folder at a time.

    If the library chose the learner's precision for this machine, the fit resumes in the checkpoint's precision and
    prints so. You may change the rate, weight decay, schedule and callbacks: the resumed fit uses the new ones, and
    prints a line that names them.

    The checkpoint of another fit is refused (E408): texts, labels, classes, model and loss are compared, among others.
    For plain loaders of torch, rows and labels are compared if the dataset holds them in tensors, arrays, tables,
    lists or dicts. If it loads them later, they cannot be compared, and a line says so. Do not change them between two
    runs.

    After Ctrl-C or SIGTERM, training finishes its batch, saves a checkpoint and stops. A second Ctrl-C stops at once.

    With several processes, the main one writes the file, with the state of each. The fit resumes with as many
    processes. On several machines, `path` is a folder that all of them read.

    Callbacks of your own are saved too if they name the attributes to keep in `STATE`, or have a `state_dict()` and a
    `load_state_dict()`.

    Args:
        path: the folder, relative to `learn.path`.
        minutes: time between two checkpoints. Each is about three times the size of the model.
        every: training batches between two checkpoints, instead of `minutes`.
        resume: continue from the checkpoint in `path`. If there is none, start from the beginning.

    Raises:
        TrainingError: E506 if a loader cannot continue in the middle of an epoch.
        FileError: E408 if the checkpoint belongs to another run, or another fit is using the folder. E401 if it cannot
            be read. E411 if the folder cannot be written to. All come before training.
    """

    order, run_valid = SAVE, False  # it also restores what the others reset
    in_lr_find = False
    state: dict | None
    stop: int | None
    handlers: dict
    lock: Hold | None

    @takes({"minutes": number(0, math.inf), "every": optional(whole())})
    def __init__(self, path: str | Path, minutes: float = 5.0, *, every: int | None = None, resume: bool = False):
        self.place, self.minutes, self.every, self.resume = Path(path), minutes, every, resume
        self.state, self.stop, self.handlers, self.lock = None, None, {}, None

    def before_fit(self):
        if not hasattr(self.learn.dls.train, "state_dict"):
            raise TrainingError("E506", received=f"training batches of {type(self.learn.dls.train).__name__}",
                                expected="a loader that can go on in mid-epoch: state_dict(), load_state_dict()",
                                fix="use this library's loaders, or SaveModelCallback for the weights alone")
        self.folder = self.learn.path / self.place
        self.number = self.learn.checkpointed[self.folder] + 1
        self.run_id, self.asked, self.changed = run_id(self.learn), asked(self.learn), {}
        ranks.from_main(self._hold)
        self.state = self._read() if self.resume and ranks.from_main(self._file().exists) else None
        if self.state is None:
            weights_place(self._file())
        self.done = self.state is not None and self.state["done"]
        if self.done:
            self.learn.start_epoch = self.learn.n_epoch
            self._restore()
            self._tell("this fit is over")
        elif self.state is not None:
            self.learn.start_epoch = self.state["epoch"]
            self._tell(f"going on in epoch {self.state['epoch']} after batch {self.state['loader']['position']}")
        if threading.current_thread() is threading.main_thread():
            self.handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
            for number in self.handlers:
                signal.signal(number, self._on_signal)
        self.saved_at = time.perf_counter()

    def before_train(self):
        if self.state is not None:
            self._restore()

    def after_batch(self):
        if self.every is None:
            due = int(time.perf_counter() - self.saved_at >= 60 * self.minutes)
        else:
            due = int(self.learn.train_iter % self.every == 0)
        due, stop = ranks.largest(due, self.stop or 0)  # all processes save, and stop, after the same batch
        if due or stop:
            self._save(self.iter + 1)
            self._stop_together(stop)

    def after_train(self):
        self._stop_together()  # validation may take long

    def after_fit(self):
        if not self.done:
            self._save(0, done=True)
        self.learn.checkpointed[self.folder] += 1

    def cleanup_fit(self):
        self.state = None
        if self.lock is not None:
            if self.folder_is_new:
                with suppress(OSError):  # unless something is in it
                    self.folder.rmdir()
            self.lock.release()
        self._release()
        self._pass_on()

    # --- files --------------------------------------------------------------------------------------------------

    def _file(self, number: int | None = None) -> Path:
        return self.folder / f"checkpoint-{number or self.number}.safetensors"

    def _save(self, position: int, done: bool = False) -> None:
        self.saved_at = time.perf_counter()
        state = {"done": done, **training_state(self.learn, position)}
        if not is_main():
            return
        for n in count(self.number + 1):  # an older run's: they go on from an end that this fit will not have
            if not self._file(n).is_file() or not is_weights(self._file(n)):
                break
            self._file(n).unlink()
        write_state(self._file(), state, run=self.run_id, asked=self.asked, torch=torch.__version__)

    def _hold(self):
        self.folder_is_new = not self.folder.exists()
        file_place(self._file())
        try:
            self.lock = Hold(self.folder)
            clear_left(self.folder, r"checkpoint-\d+\.safetensors")  # by a run that was killed while it wrote
        except BlockingIOError as e:
            raise FileError("E408", received=f"{self.folder}, where another fit writes its checkpoints at this moment",
                            expected="a folder for this fit alone",
                            fix="wait for the other one, or choose another folder") from e

    def _read(self) -> dict:
        state, metadata = read_state(self._file())
        there = {"processes": 1, **metadata["run"]}
        if there["processes"] != world():
            raise FileError("E408", received=f"{self._file()}, a checkpoint of {there['processes']} processes, for "
                            f"{world()}: each continues its own streams of text, and a batch would have another size",
                            expected="as many processes as before",
                            fix=f"pass processes={there['processes']}, to torchrun too; choose another folder to start "
                            "anew")
        self._keep_precision(there)
        differ = [f"{name} {there.get(name)} (here {here})" for name, here in self.run_id.items()
                  if there.get(name) != here]
        if differ:
            raise FileError("E408", received=f"{self._file()}, whose run has {'; '.join(differ)}",
                            expected="one of this fit: the same data, model, precision, optimizer and number of epochs",
                            fix="build them as they were, with seed= for the split, or choose another folder")
        check_training_state(self.learn, state, self._file())
        if None in fingerprints(self.learn.dls):
            self._tell("not compared with the rows and labels of this checkpoint, since these loaders hold none")
        before = metadata.get("asked", self.asked)
        self.changed = {name: value for name, value in self.asked.items() if before.get(name) != value}
        if self.changed:
            self._tell("changed for the rest of this fit: " + "; ".join(
                change(name, before.get(name), value) for name, value in self.changed.items()))
        if metadata["torch"] != torch.__version__:
            warn_user(f"{self._file()} was written with torch {metadata['torch']}, and this is torch "
                      f"{torch.__version__}: the fit goes on, but may not end the same to the bit")
        return state

    def _keep_precision(self, there: dict) -> None:
        """Train on in the checkpoint's precision, if the learner's was not asked for but chosen for this machine."""
        theirs, ours = there.get("precision"), self.run_id["precision"]
        if theirs in PRECISIONS and theirs != ours and self.learn.precision_was_chosen:
            cbs = self.learn.to_precision(theirs, chosen_by_library=True).cbs
            next(cb for cb in cbs if isinstance(cb, MixedPrecision))("before_fit")
            self.run_id["precision"] = theirs
            self._tell(f"this fit goes on in {theirs}, the checkpoint's precision, and not in {ours}")

    def _restore(self):
        state, self.state = self.state, None
        assert state is not None
        load_training_state(self.learn, state, self._file())
        for name in self.changed.keys() & HYPERS:
            self.learn.opt.set_hyper(name, self.changed[name])

    def _tell(self, what: str) -> None:
        if self.learn.verbose:
            say(f"{self._file()}: {what}")

    # --- Ctrl-C and SIGTERM -------------------------------------------------------------------------------------

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._release()  # a second one does what it always does
        self.stop = number
        if not self.learn.training:  # validation changes nothing that a checkpoint would save
            self._pass_on()

    def _release(self):
        for signum, handler in self.handlers.items():
            signal.signal(signum, handler or signal.SIG_DFL)
        self.handlers = {}

    def _stop_together(self, stop: int = 0) -> None:
        """Pass on a signal that came to any process. One that comes meanwhile stays for the next time."""
        (stop,) = ranks.largest(self.stop or stop)
        if stop:
            self.stop = stop
            self._pass_on()

    def _pass_on(self):
        """Do what a signal that came does without this callback: interrupt, or end the process."""
        if self.stop is not None:
            self._release()  # if another process got the signal, the handlers are still those of this callback
            number, self.stop = self.stop, None
            signal.raise_signal(number)
