"""Fits that are stopped and resumed, and what they came to. As a script: fits that are killed, see `main`."""

import copy
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from learner_toys import At, classifier, lm, raises, regression, text_dls

from ulmfit_easy.all import (
    Callback,
    CheckpointCallback,
    CSVLogger,
    EarlyStoppingCallback,
    GradientAccumulation,
    LMDataLoader,
    SaveModelCallback,
)
from ulmfit_easy.learner.callbacks import checkpoint
from ulmfit_easy.learner.callbacks.training_state import training_state

FITS = {
    "fit": lambda learn, cbs, n=2: learn.fit(n, 1e-2, cbs=cbs),
    "fit_one_cycle": lambda learn, cbs, n=2: learn.fit_one_cycle(n, 1e-2, cbs=cbs),
    "fit_flat_cos": lambda learn, cbs, n=2: learn.fit_flat_cos(n, 1e-2, cbs=cbs),
    "fit_stlr": lambda learn, cbs, n=2: learn.fit_stlr(n, 1e-2, cbs=cbs),
    "fit_sgdr": lambda learn, cbs, n=2: learn.fit_sgdr(n, 1, 1e-2, 1, cbs=cbs),
    "fine_tune": lambda learn, cbs, n=2: learn.fine_tune(n, 1e-2, cbs=cbs),
}


def fresh(kind: str, path, seed: int = 0, **kwargs):
    """A learner with weights, order of batches and random state of its own for each seed."""
    kind, backwards, _ = kind.partition(" backwards")
    if kind == "plain":
        learn = regression(path=path, shuffle=True, **kwargs)
    elif kind == "classifier":
        learn = classifier(text_dls(n=60, backwards=bool(backwards)), path=path, **kwargs)
    else:
        learn = lm(**{"dls": text_dls(is_lm=True, n=20, backwards=bool(backwards)), "path": path, **kwargs})
    if kind == "virtual epochs":
        learn.dls.train.n_batches = 5
        assert isinstance(learn.dls.train, LMDataLoader) and learn.dls.train.pass_len % 5
    learn.dls.train.seed = seed
    torch.manual_seed(seed), random.seed(seed), np.random.seed(seed)
    with torch.no_grad():
        for p in learn.model.parameters():
            p.uniform_(-0.1, 0.1)
    return learn


def outcome(learn) -> dict:
    """All that a fit came to, the next random numbers too; without the time that it took."""
    rec = learn.recorder
    return {"weights": {k: v.tolist() for k, v in learn.model.state_dict().items()},
            "losses": rec.losses, "lrs": rec.lrs, "iters": rec.iters, "values": rec.values, "hps": rec.hps,
            "valid_values": rec.valid_values, "log": rec.log[:-1], "epoch": learn.epoch, "train_iter": learn.train_iter,
            "opt": [{k: v.tolist() for k, v in s.items()} for s in learn.opt.state_dict()["state"].values()],
            "hypers": learn.opt.hypers, "frozen": learn.opt.frozen_idx,
            "next": [random.random(), np.random.rand(), torch.rand(()).item()],
            "next batch": [t.tolist() for t in learn.dls.one_batch()]}


def digest(learn) -> str:
    """A hash of the outcome."""
    return hashlib.sha256(json.dumps(outcome(learn)).encode()).hexdigest()


class Stop(Exception):
    """What ends a fit in these tests."""


def stop(event="after_backward", at=0):
    return At(event, raises(Stop()), at)


def whole(kind, path, fit=FITS["fit_one_cycle"]) -> dict:
    """The outcome of a fit that is never stopped."""
    learn = fresh(kind, path)
    fit(learn, [])
    return outcome(learn)


def resumed(kind, path, stops, fit=FITS["fit_one_cycle"], **options) -> dict:
    """The outcome of a fit that was stopped by each of `stops`, and then went on to its end."""
    for n, cause in enumerate([*stops, None]):
        learn = fresh(kind, path, seed=n if (path / "run").exists() else 0)  # 0: it starts from the beginning
        cbs = [CheckpointCallback("run", **{"every": 1, "resume": True, **options}), *([cause] if cause else [])]
        with pytest.raises(Stop) if cause else nullcontext():
            fit(learn, cbs)
    return outcome(learn)


class Busy(Callback):
    """Makes every part of the state count: random numbers, hyper-parameters, freezing, a loss scale, its own count."""

    order, run_valid = 20, False

    def before_fit(self):
        self.learn.opt.scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
        self.seen = []

    def before_backward(self):
        self.learn.loss_grad = self.opt.scaler.scale(self.loss_grad)

    def before_step(self):
        self.opt.scaler.unscale_(self.opt.opt)

    def after_batch(self):
        self.opt.set_hyper("wd", [2 * h["wd"] for h in self.opt.hypers])
        self.seen.append(self.opt.scaler.get_scale() + random.random() + np.random.rand())
        if self.train_iter == 2:
            self.learn.freeze_to(1)

    def state_dict(self):
        return {"seen": list(self.seen)}

    def load_state_dict(self, state):
        self.seen = state["seen"]

    def cleanup_fit(self):
        self.learn.opt.scaler = None


def busy_fit(learn, *cbs):
    """A fit whose outcome depends on all that is saved."""
    up = np.greater  # the first epoch stays the best
    busy, best, early = Busy(), SaveModelCallback(comp=up), EarlyStoppingCallback(comp=up, patience=9)
    learn.fit_one_cycle(2, 1e-2, cbs=[busy, GradientAccumulation(24), best, early, CSVLogger(), *cbs])
    log = learn.path / "history.csv"
    table = [line.rpartition(",")[0] for line in log.read_text().splitlines()]
    return {**outcome(learn), "seen": busy.seen, "best": [best.best, early.best, early.wait], "table": table}


def forget(monkeypatch, fields):
    """Checkpoints are loaded without these fields: a fresh learner's own values take their place."""
    load = checkpoint.load_training_state

    def forgetful(learn, saved, source):
        own = training_state(learn, 0)
        for field in fields:
            keys = field.split("/")
            keys = ["callbacks", *keys] if keys[0] in saved["callbacks"] else keys
            into, new = saved, own
            for key in keys[:-1]:
                into, new = into[key], new[key]
            into[keys[-1]] = copy.deepcopy(new[keys[-1]])
        load(learn, saved, source)

    monkeypatch.setattr(checkpoint, "load_training_state", forgetful)


def main(folder: str, n_kills: str, seed: str):
    """Kill a process that trains, again and again, and start it again; print what the runs came to.

    Each is a fork of this process, where torch is loaded already: so it starts in no time.
    """
    folder, n_kills, moment = Path(folder), int(n_kills), random.Random(int(seed))

    def train(name, **checkpoint):
        learn = fresh("lm", folder / name)
        learn.fit_one_cycle(3, 1e-2, cbs=CheckpointCallback("run", **checkpoint) if checkpoint else None)
        return digest(learn)

    def start() -> int:
        if pid := os.fork():
            return pid
        try:
            (folder / "run" / "end").write_text(train("run", every=2, resume=True))
        finally:
            os._exit(0)

    expected, began = train("whole"), time.perf_counter()
    assert train("whole") == expected
    seconds, kills, ends = time.perf_counter() - began, 0, []
    while kills < n_kills or not ends:
        shutil.rmtree(folder / "run", ignore_errors=True)
        (folder / "run").mkdir()
        while not (folder / "run" / "end").exists():
            pid = start()
            if kills < n_kills:
                time.sleep(moment.uniform(0, seconds))
                os.kill(pid, signal.SIGKILL)
            kills += os.waitpid(pid, 0)[1] == signal.SIGKILL
        ends.append((folder / "run" / "end").read_text())
    print(json.dumps({"kills": kills, "runs": len(ends), "same": sum(end == expected for end in ends)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
