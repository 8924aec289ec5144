"""Several processes that train one model come to what one process comes to, and tell if one of them ends."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.distributed.elastic.multiprocessing.api import SignalException

from ulmfit_easy import processes
from ulmfit_easy.apps.launch import in_processes
from ulmfit_easy.data import ranks
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.callbacks import ranks as of_ranks
from ulmfit_easy.learner.callbacks.ranks import Ranks, join
from ulmfit_easy.learner.metrics.common import accuracy
from ulmfit_easy.learner.metrics.metric import AccumMetric, as_metric

HERE = Path(__file__).parent


def run(out, task, rows, *ways, n=2, ok=True):
    """Train in n processes, and return what each of them saw."""
    out.mkdir(exist_ok=True)
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(n), "--standalone"] if n > 1 else []
    done = subprocess.run([sys.executable, *launcher, HERE / "ranks_script.py", task, str(rows), out, *ways],
                          capture_output=True, text=True, timeout=1000, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if not ok:
        return done
    assert done.returncode == 0, done.stderr
    return [json.loads((out / f"seen-{rank}.json").read_text()) for rank in range(n)], done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("task", ["lm", "classifier"])
def test_two_processes_take_the_steps_of_one_with_twice_the_rows(tmp_path, task):
    (one,), _ = run(tmp_path / "one", task, 16, n=1)
    two, said = run(tmp_path / "two", task, 8)
    assert len(one["losses"]) >= 20
    for each in two:
        assert each["losses"] == pytest.approx(one["losses"], abs=1e-4)
        assert each["values"] == [pytest.approx(row, abs=1e-4) for row in one["values"]]
        assert each["weights"] == two[0]["weights"] and each["recorded"] == two[0]["recorded"]
    for what in ("rows", "tokens"):
        assert sum(each[what] for each in two) == one[what]
    assert [each["is_main"] for each in two] == [True, False]
    assert said.count("valid_loss") == 1  # the table is shown once


def test_a_process_alone_asks_nobody(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert ranks.gathered(3) == [3] and ranks.from_main(lambda: 4) == 4 and ranks.largest(1, 0) == [1, 0]
    assert processes.is_main() and processes.world() == 1


@pytest.fixture
def two(monkeypatch):
    """This process is the main one of two, and the other has what is put into the list."""
    other = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(ranks, "gathered", lambda mine: [mine, other.pop()])
    return other


def test_metrics_of_all_processes_add_up(two):
    both = [as_metric(accuracy), AccumMetric(lambda a, b: float((a == b).float().mean()), dim_argmax=-1)]
    for metric, theirs in zip(both, [{"total": 3.0, "count": 4}, {"preds": [torch.tensor([1])],
                                                                 "targs": [torch.tensor([0])]}], strict=True):
        learn = type("L", (), {"task": None, "pred": torch.eye(2), "yb": (torch.tensor([0, 1]),)})
        metric.accumulate(learn)
        two.append({**metric.state_dict(), **theirs})
        join(metric)
        assert metric.value == pytest.approx((2 + 3) / 6 if "total" in theirs else 2 / 3)


def test_an_error_of_the_main_process_is_raised_in_all(two, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(ranks, "gathered", lambda mine: [(None, TrainingError("E506", received="a", expected="b",
                                                                             fix="c")), mine])
    with pytest.raises(TrainingError, match="E506"):
        ranks.from_main(lambda: 1 / 0)


def test_processes_that_differ_are_told_before_training(two, monkeypatch):
    monkeypatch.setattr(of_ranks, "run_id", lambda learn: {"precision": "bf16", "seq_len": 72})
    two.append({"precision": "fp32", "seq_len": 72, "torch": torch.__version__, "ulmfit_easy": "0.1"})
    with pytest.raises(TrainingError, match="E513.*precision bf16 and fp32; ulmfit_easy .* and 0.1"):
        Ranks()._compare()


def test_a_process_that_ended_is_told(two, monkeypatch):
    def closed(t):
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(ranks.dist, "all_reduce", closed)
    with pytest.raises(TrainingError, match="E508.*another of the 2 processes.*resume=True"):
        ranks.summed(torch.zeros(1))


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_a_killed_fit_of_two_resumes_to_the_same_numbers_and_not_as_one(tmp_path):
    whole, _ = run(tmp_path / "whole", "lm", 8, "drop", "checkpoint")
    killed = run(tmp_path / "killed", "lm", 8, "drop", "checkpoint", "kill", ok=False)
    assert killed.returncode != 0
    resumed, said = run(tmp_path / "killed", "lm", 8, "drop", "checkpoint")
    assert "going on in epoch 0 after batch 15" in said
    for a, b in zip(whole, resumed, strict=True):
        for what in ("losses", "recorded", "values", "weights", "valid"):
            assert a[what] == b[what], what
    for n in (1, 4):
        refused = run(tmp_path / "killed", "lm", 8, "drop", "checkpoint", n=n, ok=False)
        assert re.search(rf"E408.* 2 processes, for {n}: .*processes=2, to torchrun too", refused.stderr)


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_unseeded_processes_agree_on_split_rates_the_end_and_the_best_weights(tmp_path):
    both, said = run(tmp_path, "classifier", 8, "unseeded", "drop", "stop", "find")
    assert len(both[0]["values"]) == 2 and said.count("stopping after epoch 1") == 1
    for what in ("values", "recorded", "found", "weights", "valid"):
        assert both[0][what] == both[1][what], what
    assert {path.name for path in (tmp_path / "models").iterdir()} == {"best.safetensors", "last.safetensors"}


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_gradual_unfreezing_with_dropout_keeps_the_weights_equal(tmp_path):
    both, _ = run(tmp_path, "classifier", 8, "drop", "unfreeze")
    assert both[0]["weights"] == both[1]["weights"] and both[0]["values"] == both[1]["values"]


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_a_process_that_dies_ends_the_others_which_say_so(tmp_path):
    """Without torchrun, which would end them by itself."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    both = [subprocess.Popen([sys.executable, HERE / "ranks_script.py", "lm", "8", tmp_path, "dies"], text=True,
                             stderr=subprocess.PIPE, env={
        **os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": "2",
        "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in (0, 1)]
    said = [each.communicate(timeout=900)[1] for each in both]
    assert [each.returncode for each in both] == [1, 7]
    assert re.search(r"E508.*another of the 2 processes.*resume=True", said[0])


@pytest.fixture
def command(tmp_path):
    """Return the words of a command that trains in two processes, and its environment."""
    rng = random.Random(0)
    texts = [" ".join(rng.choices([f"w{i}" for i in range(40)], k=20)) for _ in range(200)]
    (tmp_path / "texts.txt").write_text("\n\n".join(texts))
    words = [sys.executable, "-m", "ulmfit_easy", "pretrain", "--processes", "2", "--out", tmp_path / "lm", "--corpus",
             tmp_path / "texts.txt", "--emb", "16", "--hid", "24", "--layers", "2", "--bs", "4", "--seq-len", "10",
             "--min-freq", "1"]
    return words, {**os.environ, "OMP_NUM_THREADS": "1", "ULMFIT_EASY_CACHE": str(tmp_path / "cache")}


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_a_command_starts_its_processes_and_resumes(tmp_path, command):
    words, env = command
    words += ["--epochs", "1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=900, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Saved to") == 1 and "x 10 tokens" in done.stdout
    assert (tmp_path / "lm" / "model.safetensors").exists() and not (tmp_path / "lm.run").exists()
    again = subprocess.run(words, capture_output=True, text=True, timeout=900, env=env)
    assert again.returncode == 2 and again.stderr.count("E412") == 1


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_ctrl_c_stops_all_processes_and_is_told_once(tmp_path, command):
    words, env = command
    running = subprocess.Popen([*words, "--epochs", "500", "--minutes", "0.01"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=env)
    while not (tmp_path / "lm.run").is_dir() or not [*(tmp_path / "lm.run").rglob("checkpoint-*.safetensors")]:
        assert running.poll() is None
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=900)
    assert running.returncode == 130 and said.count("stopped") == said.count("To go on") == 1
    assert said.endswith(f"To go on: ulmfit pretrain --resume --out {tmp_path / 'lm'} --processes 2\nulmfit: stopped\n")


def test_a_late_signal_does_not_interrupt_the_end(monkeypatch):
    """The launcher sends one to each process, and another process may have stopped this one first."""
    late, closed = [], []

    def close():
        signal.raise_signal(signal.SIGINT)
        closed.append(True)

    monkeypatch.setattr(ranks.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(ranks.dist, "destroy_process_group", close)
    before = signal.signal(signal.SIGINT, lambda *_: late.append(True))
    try:
        ranks._leave()
    finally:
        signal.signal(signal.SIGINT, before)
    assert closed and not late


def test_a_signal_to_the_launcher_is_its_exit_status(monkeypatch):
    def interrupted(*_):
        raise SignalException("", signal.SIGINT)

    monkeypatch.setattr("torch.distributed.launcher.api.elastic_launch", lambda *_: interrupted)
    assert in_processes(2, ["train"]) == 130
