"""Send the folder of a model to the Hugging Face hub, and fetch one: safetensors and JSON only, and only if asked.

`huggingface_hub` speaks the protocol. `HF_ENDPOINT` names another hub, and `HF_HUB_OFFLINE` forbids the network.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from typing import NamedTuple

from ulmfit_easy.bundle.artefact import FILES
from ulmfit_easy.bundle.record import CARD, JSON, is_record, write_record
from ulmfit_easy.errors import ArgumentError, FileError, short, some
from ulmfit_easy.extras import optional_package
from ulmfit_easy.files import existing, read_json, write_json

ESTIMATOR = ("estimator.json", "blend.safetensors")  # of `ULMFiT.save`, whose folders `WAYS` are bundles
WAYS = ("forwards", "backwards")
SETTINGS = (ESTIMATOR[0], FILES[2])
NAMES = frozenset([*ESTIMATOR, *(f"{way}{name}" for way in ("", *(f"{each}/" for each in WAYS))
                                 for name in (*FILES, CARD, JSON))])
REPO = re.compile(r"\w([\w.-]{0,94}\w)?/\w([\w.-]{0,94}\w)?", re.ASCII)
OF_NETWORK = {"huggingface_hub", "httpx", "hf_xet"}  # packages with errors of their own
COMMIT = re.compile(r"[0-9a-f]{40}")


class Pulled(NamedTuple):
    """A model of the hub that is on this machine.

    Attributes:
        folder: in the cache of `huggingface_hub`. Nothing may be changed in it.
        source: the repository and the commit, `owner/name@commit`.
    """

    folder: Path
    source: str


def push_folder(folder: Path, repo: str, *, private: bool = True) -> str:
    """Send a model to a repository of the hub, which is made if it is missing. Return the commit.

    The model that was there before is replaced. Files with names that no model has stay on this machine.

    Args:
        folder: what `learn.export` or `ULMFiT.save` wrote.
        private: of a new repository.

    Raises: FileError E404 for a folder without a model, E410 if the hub refuses. ArgumentError E602 for such a name.
        TrainingError E507 without huggingface_hub.
    """
    hub, _ = optional_package("huggingface_hub"), _checked(repo)
    found = sorted(name for name in NAMES if (existing(folder) / name).is_file())
    if not _is_model(found):
        raise FileError("E404", received=f"{folder}, a folder without a model", expected="what `ulmfit train`, "
                        "ULMFiT.save or learn.export wrote", fix="name that folder")
    with asking(repo):
        api = hub.HfApi(library_name="ulmfit_easy")
        api.create_repo(repo, private=private, exist_ok=True)
        old = {*api.list_repo_files(repo)} & NAMES - {*found}
        card = _card(folder, repo, ESTIMATOR[0] in found)
        sent = [hub.CommitOperationAdd(name, card if name == CARD and card else str(folder / name)) for name in found]
        gone = [hub.CommitOperationDelete(name) for name in sorted(old)]
        return api.create_commit(repo, [*sent, *gone], commit_message="Save a model of ulmfit_easy").oid


def _card(folder: Path, repo: str, is_estimator: bool) -> bytes | None:
    """Return the card with the lines that fetch the model. None if the user has changed it, or there is none."""
    if not all(is_record(folder / name) for name in (CARD, JSON)):
        return None
    record = {name: value for name, value in read_json(folder / JSON).items() if name not in ("written_by", "hub")}
    use = (f"from ulmfit_easy.all import ULMFiT; ULMFiT.from_hub({repo!r}).predict(texts)" if is_estimator else
           f"from ulmfit_easy.all import load_learner; load_learner({repo!r}, revision='main').predict(texts)")
    with tempfile.TemporaryDirectory() as tmp:
        write_record(Path(tmp), repo, record, use)
        return (Path(tmp) / CARD).read_bytes()


def pull_folder(repo: str, revision: str | None = None) -> Pulled:
    """Fetch a model of the hub into the cache of `huggingface_hub`, unless it is there. Return its place.

    Args:
        repo: `owner/name`.
        revision: a commit, which stays what it is, or a branch or tag. None for the newest.

    Raises: FileError E404 for a repository without a model, E410 if the hub does not give it. ArgumentError E602 for
        such a name. TrainingError E507 without huggingface_hub.
    """
    hub, _ = optional_package("huggingface_hub"), _checked(repo)
    with asking(repo):
        if revision is None or not COMMIT.fullmatch(revision):
            info = hub.HfApi().model_info(repo, revision=revision)
            revision = str(info.sha)
            _refuse_without_model(repo, [each.rfilename for each in info.siblings or []])
        settings = Path(hub.snapshot_download(repo, revision=revision, allow_patterns=[*SETTINGS]))
        if not any(_is_ours(settings / name) for name in SETTINGS):  # GPT-2 has files of these names too
            raise _no_model(repo, "the settings of another library")
        folder = Path(hub.snapshot_download(repo, revision=revision, allow_patterns=sorted(NAMES)))
        _refuse_without_model(repo, [name for name in NAMES if (folder / name).is_file()])
    return Pulled(folder, f"{repo}@{revision}")


def copy_pulled(found: Pulled, folder: Path) -> None:
    """Copy a model out of the cache into a new folder. Its record then has the repository and the commit."""
    for name in NAMES:
        if (found.folder / name).is_file():
            (folder / name).parent.mkdir(exist_ok=True)
            copyfile(found.folder / name, folder / name)
    if is_record(folder / JSON):
        write_json(folder / JSON, {**read_json(folder / JSON), "hub": {"pulled from": found.source}})


@contextmanager
def asking(repo: str) -> Iterator[None]:
    """Make a FileError E410 of what `huggingface_hub` and the network raise in a block."""
    if os.environ.get("ULMFIT_EASY_OFFLINE", "0") not in ("", "0"):
        raise FileError("E410", received=f"{repo} of the hub, while ULMFIT_EASY_OFFLINE is set",
                        expected="permission to use the network",
                        fix="unset it, or copy the model's folder to this machine in another way")
    try:
        yield
    except Exception as e:
        if not (isinstance(e, ConnectionError | TimeoutError) or OF_NETWORK & {
                cls.__module__.partition(".")[0] for cls in type(e).__mro__}):
            raise  # a full disk, or a fault of this library
        why = " ".join(str(e).split())
        raise FileError("E410", received=f"{repo}, which the hub did not answer for: {type(e).__name__}, "
                        f"{short(why, 200)}", expected="a repository that exists and that you may use",
                        fix="check its name and the revision; for a private one, or to send a model, log in with `hf "
                        "auth login`") from e


def _checked(repo: str) -> str:
    if not REPO.fullmatch(repo):
        raise ArgumentError("E602", received=f"repo={short(repo)!r}", expected="owner/name", fix="name a repository, "
                            "such as me/reviews")
    return repo


def _is_model(names: list[str]) -> bool:
    parts = {f"{way}/{name}" for way in WAYS for name in FILES}
    return {*FILES} <= {*names} or ESTIMATOR[0] in names and bool(parts & {*names})


def _is_ours(settings: Path) -> bool:
    found = read_json(settings) if settings.is_file() else None
    return isinstance(found, dict) and not found.keys().isdisjoint({"format", "params"})


def _refuse_without_model(repo: str, names: list[str]) -> None:
    if not _is_model(names):
        raise _no_model(repo, some(sorted(names)) or "no files")


def _no_model(repo: str, found: str) -> FileError:
    return FileError("E404", received=f"{repo}, a repository without a model of this library, with {found}",
                     expected=f"{some(FILES)}, or {ESTIMATOR[0]}",
                     fix="name one that push_to_hub or `ulmfit push` wrote")
