"""Whatever fails while a file is written: the old one or the new one is there, and everything can go on."""

import hashlib
import os
import shutil
import subprocess
import warnings
from contextlib import suppress
from functools import cache, partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from checkpoint_toys import digest, fresh
from faults import Operation, files_up_to, tally
from learner_toys import At, classifier, lm, raises, text_dls
from recipes_tiny import LABELS, TEXTS, TINY

from ulmfit_easy.all import BaseTokenizer, CheckpointCallback, CSVLogger, ULMFiT, calibrate, load_learner
from ulmfit_easy.apps.calibration import Calibrated
from ulmfit_easy.data.random_state import random_state
from ulmfit_easy.data.toy import toy_texts
from ulmfit_easy.errors import FileError, TrainingError
from ulmfit_easy.fastai.tokenized import tokenize_csv, tokenize_folder
from ulmfit_easy.files import atomic_folder, read_json, write_bytes, write_json
from ulmfit_easy.learner.callbacks.preds import Parts
from ulmfit_easy.learner.callbacks.training_state import _pack
from ulmfit_easy.learner.events import CancelEpochException
from ulmfit_easy.places import OLD
from ulmfit_easy.text.store import TokenStore
from ulmfit_easy.text.tokenizers import Tokenizer

VALUES = {"old": 0.25, "new": -0.5}


def filled(learn, version):
    """The learner, with weights that tell the version."""
    with torch.no_grad():
        for p in learn.model.parameters():
            p.fill_(VALUES[version])
    return learn


def told(learn):
    """What weights tell: one number, if they are of one version."""
    return sorted({v for p in learn.model.parameters() for v in p.flatten().tolist()})


def of_learner(make, save, load, path) -> Operation:
    """An operation that saves the weights of a learner."""
    learn = make(path=path)
    learn.fit(1, 1e-3)
    return Operation(path, lambda version: save(filled(learn, version)), lambda: told(load(learn)))


def save(path):
    return of_learner(partial(fresh, "plain"), lambda learn: learn.save("x"), lambda learn: learn.load("x"), path)


def save_encoder(path):
    make = partial(lm, text_dls(is_lm=True, n=20))

    def load(learn):
        learn.load_encoder("x")
        learn.model = learn.encoder  # the rest is not in the file
        return learn

    return of_learner(make, lambda learn: learn.save_encoder("x"), lambda _: load(make(path=path)), path)


def export(path):
    return of_learner(partial(classifier, text_dls(n=30)), lambda learn: learn.export("x"),
                      lambda _: load_learner(path / "x"), path)


class Stop(Exception):
    pass


def checkpoint(path):
    """The old version is a fit that was stopped, the new one that fit at its end, the learner the same."""
    learns, copy = [], path.with_name("copy")

    def write(version):
        if version == "old":
            shutil.rmtree(path, ignore_errors=True)
            learns[:] = [fresh("plain", path)]
            with pytest.raises(Stop):
                learns[0].fit_one_cycle(2, 1e-2, cbs=[CheckpointCallback("run", every=1),
                                                      At("after_backward", raises(Stop()), 3)])
        else:
            learns[0].fit_one_cycle(2, 1e-2, cbs=CheckpointCallback("run", every=3, resume=True))

    def read():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(path, copy)
        learn = fresh("plain", copy, seed=1)
        learn.fit_one_cycle(2, 1e-2, cbs=CheckpointCallback("run", resume=True))
        return digest(learn)

    operation = Operation(path, write, read)
    whole = fresh("plain", path)
    whole.fit_one_cycle(2, 1e-2)
    assert operation.outcomes == [digest(whole)] * 2
    return operation


def csv_log(path):
    """The old log until the new fit begins; from then on as many whole rows as were written."""
    learn, old = fresh("plain", path), []

    def read():
        log = CSVLogger.read_log(SimpleNamespace(path=path, fname="history.csv", target=None))
        assert list(log) == learn.recorder.metric_names
        losses = log["valid_loss"].tolist()
        old[:] = old or losses[:1]
        return "old" if losses == 2 * old else "new" if old[0] not in losses and len(set(losses)) < 2 else "a mixture"

    return Operation(path, lambda version: filled(learn, version).fit(2, 0.0, cbs=CSVLogger()), read)


def token_store(path):
    texts, tokenizer = {"old": toy_texts(20, 0), "new": toy_texts(30, 1)}, Tokenizer(BaseTokenizer())

    def write(version):
        if version == "old":
            shutil.rmtree(path, ignore_errors=True)
        TokenStore.build(texts[version], tokenizer, path, n_workers=0)

    def read():
        stores = [TokenStore(folder) for folder in path.iterdir() if folder.is_dir()]
        return sorted([store.tokens(i) for i in range(len(store))] for store in stores)

    return Operation(path, write, read)


def calibrated(path):
    learn = classifier(text_dls(n=40), path=path)
    found = dict(zip(VALUES, (calibrate(learn, dl=learn.dls.train), calibrate(learn)), strict=True))
    return Operation(path, lambda version: found[version].save("x"),
                     lambda: Calibrated.load(learn, "x").logits.tolist())


@cache
def fitted():
    return ULMFiT(preset=TINY, verbose=False, seed=0).fit(TEXTS[:40], LABELS[:40])


def estimator(path):
    model = fitted()

    def write(version):
        filled(model.learners_[0], version)
        model.save(path / "x")

    return Operation(path, write, lambda: told(ULMFiT.load(path / "x").learners_[0]))


def saved_predictions(path):
    learn, file = classifier(text_dls(n=40), path=path), path / "x.npy"
    return Operation(path, lambda version: filled(learn, version).get_preds(act=lambda x: x, save_preds=file) and None,
                     lambda: np.load(file).tolist())


def source(path) -> Path:
    folder = path.with_name("source")
    folder.mkdir(exist_ok=True)
    return folder


def tokenized_folder(path):
    texts, out = source(path), path / "x"

    def write(version):
        for i in range(2):
            (texts / f"{i}.txt").write_text(f"{version} {i}")
        tokenize_folder(texts, output_dir=out, n_workers=0, tok=BaseTokenizer(), skip_if_exists=False)

    return Operation(path, write,
                     lambda: ({f.name: f.read_text() for f in out.glob("*.txt")}, read_json(out / "counter.json")))


def tokenized_csv(path):
    table, out = source(path) / "x.csv", path / "x_tok.csv"

    def write(version):
        table.write_text(f"label,text\na,{version} one\nb,{version} two\n")
        tokenize_csv(table, "text", out, n_workers=0, tok=BaseTokenizer())

    return Operation(path, write, lambda: read_json(path / "x_tok_counter.json") and out.read_text())


def json_file(path):
    return Operation(path, lambda version: write_json(path / "x.json", [version]), lambda: read_json(path / "x.json"))


def folder_moved_by_its_members(path):
    """As on a system that cannot exchange two folders in one step."""
    def write(version):
        with pytest.MonkeyPatch.context() as patch, atomic_folder(path / "x", lambda folder: []) as tmp:
            patch.setattr("ulmfit_easy.files._swapped", lambda a, b: False)
            for name in "abc":
                (tmp / name).write_text(version)

    return Operation(path, write, lambda: [f.read_text() for f in sorted((path / "x").iterdir())])


OPERATIONS = {f.__name__.replace("_", " "): f for f in (
    save, save_encoder, export, checkpoint, csv_log, token_store, calibrated, estimator, saved_predictions,
    tokenized_folder, tokenized_csv, json_file, folder_moved_by_its_members)}


@pytest.mark.parametrize("step", [17, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_whatever_call_fails_nothing_is_lost(name, step, place):
    step *= 3 if name == "estimator" else 1  # it is made of exports
    tried, lost = OPERATIONS[name](place).under_faults(step)
    print(*lost, sep="\n")
    tally("R5", name, tried, len(lost))


def test_these_faults_find_what_is_written_in_place(place):
    """The control: files written where they belong are lost, and a temporary one that nobody removes is litter."""
    def in_place(version):
        (place / "x").write_text(version)

    def littering(version):
        (place / "x.tmp").write_text(version)
        os.replace(place / "x.tmp", place / "x")

    lost = [Operation(place, write, (place / "x").read_text).under_faults()[1] for write in (in_place, littering)]
    assert lost[0] and any("litter" in why for why in lost[1])


@pytest.mark.parametrize("n", [3, pytest.param(16, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_files_that_may_not_grow_are_told_and_nothing_is_lost(name, n, place):
    """Real failures of real writes, those of safetensors too, which no patch can reach."""
    tried, lost = OPERATIONS[name](place).out_of_room(n)
    print(*lost, sep="\n")
    tally("R5", f"{name}, a limit on the size of files", tried, len(lost))


@pytest.fixture
def small_disk(tmp_path):
    """A real disk of 1 MB, where this process may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("only root may mount a small disk; the limit on the size of files is tested everywhere")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_disk_that_is_full_is_told_with_its_bytes_and_nothing_is_lost(small_disk):
    learn, lost = lm(text_dls(is_lm=True, n=20), path=small_disk), []
    learn.fit(1, 1e-3)
    saves = {"checkpoint": lambda: learn.fit(1, 1e-3, cbs=CheckpointCallback("run")), "save": lambda: learn.save("x"),
             "save encoder": lambda: learn.save_encoder("y"), "export": lambda: learn.export("z")}
    for make in saves.values():
        make()
    before = {p: p.read_bytes() for p in small_disk.rglob("*") if p.is_file()}
    with open(small_disk / "filler", "wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(1024))
    for name, make in saves.items():
        with pytest.raises(FileError, match=r"E409.*bytes were written.*bytes free"):
            make()
        now = {p: p.read_bytes() for p in small_disk.rglob("*") if p.is_file() and p.name != "filler"}
        lost += [name] if now != before else []
    (small_disk / "filler").unlink()
    for make in saves.values():
        make()
    tally("R5", "a real full disk of 1 MB", len(saves), len(lost))


def test_predictions_that_the_disk_cannot_hold_end_in_an_error_and_not_the_process(small_disk):
    """A memory map of a file with holes would end the process when the disk is full."""
    parts = Parts(small_disk / "preds.npy")
    for _ in range(6):
        parts.add(torch.zeros(100_000, dtype=torch.uint8))  # 600 kB, and the whole as much again
    with pytest.raises(FileError, match="E409"):
        parts.joined()
    parts.close()
    assert not any(small_disk.iterdir())


def test_no_room_is_told_with_the_bytes_that_were_written(tmp_path):
    with files_up_to(1000), pytest.raises(FileError, match=r"E409.*x, of which 1,000 bytes were.*bytes free") as caught:
        write_bytes(tmp_path / "x", bytes(5000))
    assert isinstance(caught.value.__cause__, OSError) and not any(tmp_path.iterdir())


# --- power ------------------------------------------------------------------------------------------------------


def events_of(write) -> list:
    """The calls that make a write safe from a loss of power: kind, and the name of the file or folder."""
    seen, paths, real_open, real_sync, real_replace = [], {}, os.open, os.fsync, os.replace

    def open_(path, *args, **kwargs):
        fd = real_open(path, *args, **kwargs)
        paths[fd] = Path(path)
        return fd

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ulmfit_easy.files._swapped", lambda a, b: False)  # so that each rename is seen
        patch.setattr("os.open", open_)
        patch.setattr("os.fsync", lambda fd: (seen.append(("sync", paths[fd])), real_sync(fd)))
        patch.setattr("os.replace", lambda a, b: (seen.append(("rename", Path(b))), real_replace(a, b)))
        write()
    return seen


@pytest.mark.parametrize("name", ["save", "export", "checkpoint", "token store", "json file", "csv log", "calibrated"])
def test_data_is_on_the_disk_before_its_name_and_the_name_before_the_end(name, place):
    operation = OPERATIONS[name](place)
    operation.write("old")
    events, wrong, names = events_of(lambda: operation.write("new")), 0, 0
    for i, (kind, target) in enumerate(events):
        if kind == "rename" and target.parent.name != OLD:
            names += 1
            before = {path.name for what, path in events[:i] if what == "sync"}
            wrong += not (target.name in before and ("sync", target.parent) in events[i + 1:])
    tally("R6", name, names, wrong, unit="renames", bad="out of order")


# --- the rate finder --------------------------------------------------------------------------------------------


def bits_of(learn) -> str:
    """A hash of all that a look for a rate must leave alone."""
    loader = learn.dls.train
    opt = learn.opt and {**learn.opt.state_dict(), "torch": [
        {k: v for k, v in group.items() if k != "params"} for group in learn.opt.opt.param_groups]}
    tensors = {}
    packed = _pack([{k: v} for k, v in {
        "model": learn.model.state_dict(), "mode": learn.model.training, "random": random_state(),
        "trains": [p.requires_grad for p in learn.model.parameters()],
        "loader": loader.state_dict() if hasattr(loader, "state_dict") else None,
        "cbs": [id(cb) for cb in learn.cbs], "opt": repr(opt)}.items()], "", tensors)
    digest = hashlib.sha256(repr(packed).encode())
    for tensor in tensors.values():
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


LOOKS = ["before_fit", "before_epoch", "before_train", "before_batch", "after_pred", "after_loss", "before_backward",
         "after_backward", "before_step", "after_step", "after_cancel_batch", "after_batch", "after_cancel_fit",
         "after_fit"]


@pytest.mark.parametrize("step", [19, pytest.param(1, marks=pytest.mark.slow)])
def test_wherever_a_look_for_a_rate_ends_nothing_has_changed(step, tmp_path):
    errors = KeyboardInterrupt, MemoryError, ValueError, CancelEpochException
    tried, changed = 0, []
    for kind in ("plain", "lm", "classifier"):
        for fitted in (True, False):
            learn = fresh(kind, tmp_path)
            if fitted:
                learn.freeze_to(-2).fit(1, 1e-2)
            before = bits_of(learn)
            for event, error, at in [*product(LOOKS, errors, (0, 3))][::step]:
                cause = At(event, raises(error()), at)  # of a lack of memory a text learner makes E509
                with learn.added_cbs(cause), suppress(error, TrainingError), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    learn.lr_find(num_it=6, show_plot=False)
                if cause.seen > at:
                    tried += 1
                    changed += [(kind, fitted, event, error, at)] if bits_of(learn) != before else []
    print(*changed, sep="\n")
    tally("R9", "lr_find, stopped at each event of three kinds of learners", tried, len(changed), bad="changed a bit")


@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.parametrize("what", ["a loss that is NaN", "rates that diverge"])
@pytest.mark.parametrize("kind", ["plain", "lm", "classifier"])
def test_a_look_for_a_rate_that_goes_wrong_changes_nothing(kind, what, at, tmp_path):
    learn = fresh(kind, tmp_path)
    learn.fit(1, 1e-2)
    before = bits_of(learn)
    spoil = At("after_loss", lambda: setattr(learn, "loss", torch.tensor(torch.nan)), at)
    with learn.added_cbs(spoil if what.startswith("a loss") else None), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learn.lr_find(1e-2, 10.0 ** (9 + at), num_it=12, show_plot=False)
    tally("R9", f"lr_find, {what}, {kind}, {at}", 1, int(bits_of(learn) != before), bad="changed a bit")
