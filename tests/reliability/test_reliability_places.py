"""A user's files are safe at every place that is written, and what is no ordinary folder can be written to."""

import csv
import os
import shutil
import subprocess
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from checkpoint_toys import fresh
from faults import Operation, tally
from learner_toys import classifier, lm, text_dls
from recipes_tiny import LABELS, TEXTS, TINY

from ulmfit_easy.all import (
    BaseTokenizer,
    CheckpointCallback,
    CSVLogger,
    SaveModelCallback,
    ULMFiT,
    calibrate,
    load_learner,
    untar_data,
)
from ulmfit_easy.apps import cli
from ulmfit_easy.archives import extract_archive
from ulmfit_easy.data.toy import toy_texts
from ulmfit_easy.errors import UlmfitError
from ulmfit_easy.fastai.downloads import download
from ulmfit_easy.fastai.tokenized import tokenize_csv, tokenize_folder
from ulmfit_easy.files import atomic_folder, write_bytes
from ulmfit_easy.recipes.corpus.run import pretrain_corpus
from ulmfit_easy.text.store import TokenStore
from ulmfit_easy.text.tokenizers import Tokenizer

MINE = b"years of work"
NAMES = ("config.json", "model.safetensors", "vocab.json", "README.md", "history.csv", "estimator.json", "forwards/x",
         "tokenized.json", "counter.json", "lengths.json", "plan.json", "meta.json", "a.txt", "old/x", ".git/HEAD")


def doors(place: Path) -> dict:
    """Each place that the library writes, with what writes it; a * marks files whose name the user does not choose."""
    texts, table, archive = place / "texts", place / "t.csv", place / "a.zip"
    write_bytes(texts / "a.txt", b"one two")
    with open(table, "w", newline="") as f:
        csv.writer(f).writerows([("text", "label"), *zip(TEXTS[:20], LABELS[:20], strict=True)])
    write_bytes(place / "corpus.txt", "\n\n".join(toy_texts(30)).encode())
    with zipfile.ZipFile(archive, "w") as whole:
        whole.writestr("a.txt", "theirs")
        whole.writestr("inner/b.txt", "theirs")
    clas, plain = classifier(text_dls(n=30), path=place), fresh("plain", place)
    sure, language = calibrate(clas), lm(text_dls(is_lm=True, n=20), path=place)
    model = ULMFiT(preset=TINY, verbose=False, seed=0, pretrained=False).fit(TEXTS, LABELS)
    model.save(place / "model")
    here = {"tok": BaseTokenizer(), "n_workers": 0}
    plan = {"emb": 8, "hid": 8, "layers": 1, "bs": 4, "seq_len": 10, "epochs": 0.1, "min_freq": 1}

    def command(*args):
        cli.main([str(arg) for arg in args])

    return {
        "bundle": lambda: clas.export("bundle"),
        "models/weights.safetensors*": lambda: clas.save("weights"),
        "models/encoder.safetensors*": lambda: language.save_encoder("encoder"),
        "models/sure.safetensors*": lambda: sure.save("sure"),
        "estimator": lambda: model.save(place / "estimator"),
        "run/checkpoint-1.safetensors*": lambda: fresh("plain", place).fit(1, cbs=CheckpointCallback("run", every=1)),
        "more/checkpoint-2.safetensors*": lambda: fresh("plain", place).fit(1, cbs=CheckpointCallback("more", every=1)),
        "models/best.safetensors*": lambda: plain.fit(1, cbs=SaveModelCallback(fname="best")),
        "history.csv*": lambda: plain.fit(1, cbs=CSVLogger()),
        "preds.npy": lambda: clas.get_preds(save_preds=place / "preds.npy") and None,
        "targs.npy": lambda: clas.get_preds(save_targs=place / "targs.npy") and None,
        "tokens": lambda: tokenize_folder(texts, output_dir=place / "tokens", skip_if_exists=False, **here),
        "t_tok.csv*": lambda: tokenize_csv(table, "text", **here),
        "u_counter.json*": lambda: tokenize_csv(table, "text", place / "u.csv", **here),
        "extracted": lambda: extract_archive(archive, place / "extracted"),
        "untarred": lambda: untar_data(archive, data=place / "untarred", force_extract=True),
        "fetched*": lambda: download("https://localhost/x", place / "fetched", "0" * 64),
        "cache": lambda: TokenStore.build(TEXTS, Tokenizer(BaseTokenizer()), place / "cache", n_workers=0),
        "lm": lambda: pretrain_corpus([place / "corpus.txt"], place / "lm", **plan),
        "resumed": lambda: pretrain_corpus([place / "corpus.txt"], place / "resumed", resume=True, **plan),
        "predictions.csv": lambda: command("predict", place / "model", table, "--out", place / "predictions.csv"),
        "trained": lambda: command("train", place / "none.csv", "--out", place / "trained"),
        "plots": lambda: command("lm", place / "none.csv", "--out", place / "plots"),
    }


def folder_of_mine(path, write):
    for name in NAMES:
        write_bytes(path / name, MINE)


def folder_that_is_called_as_ours(path, write):
    write_bytes(path / "config.json", b'{"name": "my web app", "format": 1}')
    write_bytes(path / "model.safetensors", b"\x10\0\0\0\0\0\0\0" + b'{"a": {}}       ')
    write_bytes(path / "estimator.json", b"{}")
    write_bytes(path / "tokenized.json", b"{}")


def note_in_an_older_one(path, write):
    write()
    if path.is_dir():
        write_bytes(path / "notes.txt", MINE)
        write_bytes(path / "forwards" / "notes.txt", MINE)


def hidden_folders_of_mine(path, write):
    for end in ("backup", "0" * 15, "0" * 17):
        write_bytes(path.parent / f".{path.name}.tmp-{end}" / "x", MINE)


def a_file_of_mine(path, write):
    write_bytes(path, MINE)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mine", [folder_of_mine, *[pytest.param(f, marks=pytest.mark.slow) for f in (
    folder_that_is_called_as_ours, note_in_an_older_one, hidden_folders_of_mine, a_file_of_mine)]])
def test_no_file_of_a_user_is_lost_at_any_place_that_is_written(mine, place, monkeypatch, capsys):
    monkeypatch.setenv("ULMFIT_EASY_CACHE", str(place.with_name("cache")))
    monkeypatch.setenv("ULMFIT_EASY_OFFLINE", "1")
    tried, lost = 0, []
    for name, write in doors(place).items():
        path = place / name.rstrip("*")
        is_named_file = path.suffix and not name.endswith("*")
        if mine is a_file_of_mine and is_named_file:
            continue  # a file that the user names is what is to be replaced
        with suppress(UlmfitError):
            mine(path, write)
        users = {p: p.read_bytes() for p in place.rglob("*") if p.is_file() and MINE in p.read_bytes()
                 or mine is folder_that_is_called_as_ours and p.is_relative_to(path) and p.is_file()}
        tried += len(users)
        assert users or mine is note_in_an_older_one, name
        with suppress(UlmfitError):
            write()
        lost += [f"{name}: {p.name}" for p, content in users.items() if not p.is_file() or p.read_bytes() != content]
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True) if not path.is_dir() else None
    print(*lost, sep="\n")
    tally("P1", mine.__name__.replace("_", " "), tried, len(lost), "files")


# --- mounts and modes ---------------------------------------------------------------------------------------------


def older(folder: Path) -> list:
    return []


def put(path: Path, version: str):
    with atomic_folder(path, older) as tmp:
        for name in ("a", "b.json"):
            (tmp / name).write_text(version)


def content(path: Path) -> list:
    return [f.read_text() for f in sorted(path.iterdir())]


def test_a_folder_that_stays_itself_has_the_old_members_or_the_new_ones_whatever_fails(place, monkeypatch):
    (place / "x").mkdir()
    monkeypatch.chdir(place / "x")
    inode = os.stat(".").st_ino
    operation = Operation(place, lambda version: put(place / "x", version), lambda: content(place / "x"))
    tried, lost = operation.under_faults()
    print(*lost, sep="\n")
    assert os.stat(place / "x").st_ino == inode
    tally("P2", "the working folder, under each fault", tried, len(lost))


@pytest.mark.skipif(os.name != "posix", reason="needs permissions and groups")
def test_a_folder_keeps_its_mode_and_its_group(place):
    wrong = []
    for mode in (0o2770, 0o2775, 0o750, 0o1777, 0o700):
        for start in ("empty", "older"):
            folder = place / f"{mode:o}{start}"
            folder.mkdir()
            if start == "older":
                put(folder, "old")
            folder.chmod(mode)
            with suppress(PermissionError):
                os.chown(folder, -1, 12)
            before = folder.stat()
            put(folder, "new")
            after = folder.stat()
            kept = (before.st_mode, before.st_gid) == (after.st_mode, after.st_gid)
            groups = {f.stat().st_gid for f in folder.iterdir()} if mode & 0o2000 else {before.st_gid}
            wrong += [folder.name] * (not kept or groups != {before.st_gid} or content(folder) != ["new"] * 2)
    tally("P2", "folders of other modes and groups", 10, len(wrong), "folders", "changed")


@pytest.fixture
def mount(tmp_path):
    """Mount a file, a folder or a small disk at a place of the same kind, if this process may."""
    mounted = []

    def at(path: Path, what: Path | None):
        command = ["--bind", what] if what else ["-t", "tmpfs", "-o", "size=20m", "tmpfs"]
        if not shutil.which("mount") or subprocess.run(["mount", *command, path], capture_output=True).returncode:
            pytest.skip("only root may mount; the working folder, which stays itself too, is tested everywhere")
        mounted.append(path)
        return path

    yield at
    for path in mounted:
        subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize("kind", ["disk", "folder"])
def test_a_mount_is_written_into(kind, tmp_path, mount):
    for name in ("at", "behind"):
        (tmp_path / name).mkdir()
    path = mount(tmp_path / "at", None if kind == "disk" else tmp_path / "behind")
    learn, lost = classifier(text_dls(n=30), path=tmp_path), []
    for i in range(2):  # an empty one, and one with an older bundle
        learn.export("at")
        names = sorted(os.listdir(path))
        whole = ["README.md", "config.json", "model.safetensors", "training.json", "vocab.json"]
        lost += [i] if names != whole or not os.path.ismount(path) and kind == "disk" else []
    assert load_learner(path).predict("good").label in ("neg", "pos")
    write_bytes(path / "mine.txt", MINE)
    with pytest.raises(UlmfitError, match="E412.*mine.txt"):
        learn.export("at")
    tally("P2", f"a {kind} that is mounted", 3, len(lost), "exports", "lost")


def test_a_mounted_file_is_written_in_its_place(tmp_path, mount):
    for name in ("at", "behind"):
        (tmp_path / name).write_text("longer than what comes")
    path = mount(tmp_path / "at", tmp_path / "behind")
    write_bytes(path, b"new")
    lost = (tmp_path / "behind").read_bytes() != b"new"
    tally("P2", "a file that is mounted", 1, int(lost), "written", "lost")
