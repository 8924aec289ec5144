"""Processes that are killed while they write: `killed.py KIND FOLDER N SEED` prints what N kills left. No torch here.

Each victim is a fork of this process, which has loaded all it needs: so a kill costs milliseconds. A victim writes a
checkpoint of its own again and again, larger than a disk takes at once, and counts in a pipe those that are whole.
"""

import json
import os
import random
import shutil
import sys
from pathlib import Path

import numpy as np
from faults import killed
from safetensors import SafetensorError
from safetensors.numpy import load_file, save, save_file

from ulmfit_easy.files import atomic_folder, atomic_path, read_json, write_json
from ulmfit_easy.text.store import TokenStore
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.words import BaseTokenizer

SIZE = 300_000


def tensors(step: int) -> dict:
    return {"weights": np.full(SIZE // 8, step), "step": np.array([step])}


def file_in_place(path, step):
    """The control: what a checkpoint without `atomic_path` would do."""
    with open(path, "wb") as f:
        f.write(save(tensors(step)))


def file(path, step):
    with atomic_path(path) as tmp:
        save_file(tensors(step), tmp)


def folder(path, step):
    with atomic_folder(path, lambda folder: []) as tmp:
        save_file(tensors(step), tmp / "model")
        write_json(tmp / "config.json", {"step": step})


def folder_in_place(path, step):
    """The control: a folder whose members are written one by one where they belong."""
    path.mkdir(exist_ok=True)
    save_file(tensors(step), path / "model")
    write_json(path / "config.json", {"step": step})


def step_of(path) -> int:
    """Which step is there, if all of it is there."""
    model = path / "model" if path.is_dir() else path
    found = load_file(model)
    step = int(found["step"][0])
    if not (found["weights"] == step).all() or (path.is_dir() and read_json(path / "config.json") != {"step": step}):
        raise ValueError("parts of two steps")
    return step


def writers(write, path, n, rng) -> dict:
    """Kill a writer n times: how often what was left cannot be read or is neither the newest whole step nor the next"""
    unreadable = wrong = kills = 0
    while kills < n:
        for left in path.parent.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        write(path, 0)
        reader, done = os.pipe()

        def work(done=done):
            step = 0
            while True:
                step += 1
                write(path, step)
                os.write(done, b"!")

        kills += killed(work, rng, 0.02)
        os.close(done)
        newest = len(os.read(reader, 1 << 16))  # the step that was whole for sure
        os.close(reader)
        try:
            wrong += step_of(path) not in (newest, newest + 1)
        except (OSError, SafetensorError, ValueError, KeyError):
            unreadable += 1
    return {"kills": kills, "unreadable": unreadable, "wrong": wrong}


def tokens(path, n, rng) -> dict:
    """Kill a tokenisation n times, begin it again each time: is what it comes to what it would have come to?"""
    texts = [" ".join(rng.choices(["one", "two", "three", "four", "five"], k=200)) for _ in range(300)]
    tokenizer = Tokenizer(BaseTokenizer())

    def build(cache):
        return TokenStore.build(texts, tokenizer, cache, n_workers=0)

    def content(store):
        return {p.name: p.read_bytes() for p in store.path.iterdir()}

    expected = content(build(path / "whole"))
    kills = differing = litter = before = 0
    while kills < n:
        shutil.rmtree(path / "cache", ignore_errors=True)
        kills += killed(lambda: build(path / "cache"), rng, 0.06)
        before += len(list((path / "cache").glob("*/meta.json")))
        store = build(path / "cache")
        differing += content(store) != expected
        litter += sorted(p.suffix for p in (path / "cache").iterdir()) != ["", ".lock"]
    return {"kills": kills, "differing": differing, "litter": litter, "whole before": before}


def main(kind: str, path: str, n: str, seed: str):
    rng = random.Random(int(seed))
    write = globals()[kind]
    found = write(Path(path), int(n), rng) if write is tokens else writers(write, Path(path) / "x", int(n), rng)
    assert "torch" not in sys.modules
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
