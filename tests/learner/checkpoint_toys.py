"""Fits that are stopped and resumed, and what they came to. As a script: fits that are killed, see `main`."""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from learner_toys import classifier, lm, regression, text_dls

from ulmfit_easy.all import CheckpointCallback, LMDataLoader


def fresh(kind: str, path, seed: int = 0, **kwargs):
    """A learner with weights, order of batches and random state of its own for each seed."""
    if kind == "plain":
        learn = regression(path=path, shuffle=True, **kwargs)
    elif kind == "classifier":
        learn = classifier(text_dls(n=60), path=path, **kwargs)
    else:
        learn = lm(**{"dls": text_dls(is_lm=True, n=20), "path": path, **kwargs})
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
