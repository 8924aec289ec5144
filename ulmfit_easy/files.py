"""Write files whole or not at all, hash them, and read them in bounded memory."""

import errno
import filecmp
import hashlib
import json
import math
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

from ulmfit_easy.errors import FileError, nearest, some
from ulmfit_easy.places import OLD, file_place, free_place, hidden_folder, is_device, members, writable

NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # a pipe would wait for a writer
FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG  # of a disk or a quota


def cache_dir() -> Path:
    """Return the folder of the token caches: `$ULMFIT_EASY_CACHE`, else the user's cache folder."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("ULMFIT_EASY_CACHE") or user_cache_dir("ulmfit_easy"))


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of some bytes, as hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a whole file, as hex, read in bounded memory."""
    with regular_file(path) as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def check_sha256(path: str | Path, expected: str) -> Path:
    """Return the path, if the file has the expected SHA-256. E404 and E406 otherwise."""
    path = existing(path)
    if (got := sha256_file(path)) != expected:
        raise FileError("E406", received=f"{path} with SHA-256 {got}", expected=f"SHA-256 {expected}",
                        fix="delete the file and fetch it again")
    return path


def existing(path: str | Path) -> Path:
    """Return the path as a `Path`, if something is there. E404 otherwise."""
    if (path := Path(path)).exists():
        return path
    near = nearest(path.name, (beside.name for beside in islice(path.parent.glob("*"), 1000)), 0.7)
    received, fix = f"the path {path}, where nothing is", (f"did you mean '{path.with_name(near)}'?" if near else
                                                           f"check the spelling; paths are relative to {Path.cwd()}")
    if path.is_symlink():
        received, fix = f"the link {path}, which leads nowhere", "delete this link, or put back what it leads to"
    elif re.match(r"[a-z]+:/", str(path)):
        received, fix = f"the address {str(path).replace(':/', '://', 1)}", "download it first, and name the file"
    raise FileError("E404", received=received, expected="a file or folder on this machine", fix=fix)


def _fsync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk."""
    if path.is_dir() and os.name != "posix":
        return
    fd = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _swapped(a: Path, b: Path) -> bool:
    """Exchange two names in one step. Return False if that cannot be done: only Linux can, on some file systems."""
    if sys.platform != "linux":
        return False
    import ctypes

    rename = getattr(ctypes.CDLL(None), "renameat2", None)  # flag 2 is RENAME_EXCHANGE, folder -100 the working one
    return rename is not None and rename(-100, os.fsencode(a), -100, os.fsencode(b), 2) == 0


def _put(new: Path, path: Path) -> None:
    """Let `new` take the place of `path`. A folder that cannot be exchanged stays, with other members."""
    if not path.is_dir():
        try:
            os.replace(new, path)
        except OSError as e:
            if e.errno != errno.EBUSY or not path.is_file():
                raise
            with open(new, "rb") as source, open(path, "rb+") as out:  # a mounted file, as of a container
                shutil.copyfileobj(source, out)
                out.truncate()
            _fsync(path)
    elif new.parent.parent == path or not _swapped(new, path):
        (new.parent / OLD).mkdir()
        folders_first = sorted(new.iterdir(), key=lambda part: (part.is_file(), part.name))
        _move([(part, new.parent / OLD) for part in members(path)] + [(part, path) for part in folders_first])


def _move(parts: list[tuple[Path, Path]]) -> None:
    """Move files and folders, each into a folder. All of them or none."""
    moves = [(part, folder / part.name) for part, folder in parts]
    try:
        for before, after in moves:
            os.replace(before, after)
        for folder in {folder for _, folder in parts}:
            _fsync(folder)
    except BaseException:
        for before, after in reversed(moves):
            if os.path.lexists(after) and not os.path.lexists(before):
                os.replace(after, before)
        raise


def _no_room(path: Path, tmp: Path, error: Exception) -> FileError:
    written = sum(part.stat().st_size for part in tmp.rglob("*") if part.is_file())
    free = shutil.disk_usage(path.parent).free
    return FileError("E409", received=f"{path}, of which {written:,} bytes were written before this: {error}",
                     expected=f"room for all of it; besides these there are {free:,} bytes free",
                     fix="free some space, or choose another disk; what was in its place is still there")


@contextmanager
def _made_for(path: Path) -> Iterator[Path]:
    """Give a temporary path next to `path`, or in it. After the block it is on the disk. E409 if that is full."""
    with hidden_folder(path) as tmp:
        try:
            new = tmp / path.name
            yield new
            _fsync(tmp.parent)
        except Exception as e:
            if getattr(e, "errno", 0) in FULL or any(f"(os error {code})" in str(e) for code in FULL):  # of safetensors
                raise _no_room(path, tmp, e) from e
            raise


def _sync_all(new: Path) -> None:
    for part in sorted([new, *new.rglob("*")], reverse=True):  # what is in a folder, then its list of names
        _fsync(part)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write a file to. It takes the place of `path` only if the block succeeds.

    After a kill, a full disk or an error the old file is still there, whole. A link stays one: what it names is
    replaced. A file that is replaced keeps its permissions. A device or a pipe, such as /dev/stdout, is written to
    as it is. Only a file that is a mount of its own is written in its place, since no other can take it.

    Raises:
        FileError: E409 if the disk is full, E411 for a folder and for a place that cannot be written to.
    """
    if is_device(Path(path)):
        yield Path(path)
        return
    path = Path(os.path.realpath(file_place(path)))
    with _made_for(path) as new:
        yield new
        if path.is_file():
            shutil.copymode(path, new)
        _sync_all(new)
        _put(new, file_place(path))


@contextmanager
def atomic_folder(path: str | Path, foreign: Callable[[Path], list[str]] | None = None, *,
                  add: bool = False) -> Iterator[Path]:
    """Give a new folder to write to. It becomes the folder `path` only if the block succeeds.

    After a kill, a full disk or an error the old folder is still there, whole. One that must stay itself (a mount, the
    working folder, another owner) gets new members instead. That takes a moment, and a kill just then can leave it
    without some. The old ones are in a hidden folder in it until it is written again.

    Args:
        foreign: as for `free_place`: only what the library wrote is replaced.
        add: keep what is there, and add what is not. E412 if a file differs from one that is there.

    Raises:
        FileError: E409 if the disk is full. E411 if the place cannot be written to. E412 if the folder has something
            in it that may not be replaced.
    """
    def free(path: str | Path) -> Path:
        return writable(path) if add and Path(path).is_dir() else free_place(path, foreign)

    path = Path(os.path.realpath(free(path)))
    with _made_for(path) as new:
        new.mkdir()
        yield new
        _sync_all(new)
        if add and path.is_dir():
            _move(_missing(new, path))
            return
        if free(path).is_dir():
            shutil.copymode(path, new)
        _put(new, path)


def _missing(new: Path, path: Path) -> list[tuple[Path, Path]]:
    """Return what of a folder is not in another, and where it belongs. E412 if something else has its name."""
    missing, differ, folders = [], [], [new]
    for folder in folders:
        for part in folder.iterdir():
            there = path / part.relative_to(new)
            if not os.path.lexists(there):
                missing.append((part, there.parent))
            elif part.is_dir() and there.is_dir() and not there.is_symlink():
                folders.append(part)
            elif not (part.is_file() and there.is_file() and filecmp.cmp(part, there, shallow=False)):
                differ.append(str(part.relative_to(new)))
    if differ:
        raise FileError("E412", received=f"{path}, where {some(differ)} differs from what would be written",
                        expected="a new or empty folder, or one in which files of these names are the same",
                        fix="choose another folder, or move these files away")
    return missing


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path) as tmp:
        tmp.write_bytes(data)


def write_json(path: str | Path, obj: object) -> None:
    """Write JSON atomically, readable by a person, with no NaN in it."""
    text = json.dumps(obj, indent=1, ensure_ascii=False, allow_nan=False)
    try:
        data = text.encode()
    except UnicodeEncodeError:  # the name of a file can be anything
        data = json.dumps(obj, indent=1, allow_nan=False).encode()
    write_bytes(path, data + b"\n")


@contextmanager
def regular_file(path: str | Path) -> Iterator[BufferedReader]:
    """Give a regular file, open for reading as bytes. Every reader of files goes through here.

    Raises: FileError E404 if nothing is there. E401 for a folder, and for a pipe or a device, which may never end.
    """
    path = existing(path)
    if not path.is_file():
        raise _not_regular(path)
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | NO_WAIT)) as f:
        if not stat.S_ISREG(os.fstat(f.fileno()).st_mode):  # it took the file's place after the question above
            raise _not_regular(path)
        yield f


def _not_regular(path: Path) -> FileError:
    kind, fix = (("a folder", "name a file in it") if path.is_dir() else
                 ("a pipe or a device", "write what it gives to a file first, and name that file"))
    return FileError("E401", received=f"{path}, {kind}", expected="a regular file", fix=fix)


def read_bytes(path: str | Path, max_bytes: int) -> bytes:
    """Return the content of a regular file. ValueError if it has more than `max_bytes`, before all of it is read."""
    with regular_file(path) as f:
        if (size := os.fstat(f.fileno()).st_size) > max_bytes or len(data := f.read(max_bytes + 1)) > max_bytes:
            raise ValueError(f"it has {max(size, max_bytes + 1):,} bytes, more than {max_bytes:,}")
    return data


def read_json(path: str | Path, max_bytes: int = 64 << 20, *, errors: str = "strict") -> Any:
    """Read a JSON file of bounded size and with finite numbers. E401 if it is something else.

    Args:
        errors: "surrogateescape" takes names of files too, which may be no UTF-8.
    """
    try:
        return json_of(read_bytes(path, max_bytes), errors)
    except FileError:
        raise
    except (ValueError, RecursionError, OSError) as e:
        raise FileError("E401", received=f"{path}, which cannot be read as JSON ({e})", expected="a JSON file",
                        fix="save it again with this library") from e


MAX_CONTAINERS = 1_000_000  # lists and objects: empty ones take 60 times their two bytes


def json_of(data: bytes, errors: str = "strict") -> Any:
    """Return the value of some JSON with finite numbers and whole characters. ValueError for anything else."""
    if (n := data.count(b"[") + data.count(b"{")) > MAX_CONTAINERS:
        raise ValueError(f"{n:,} lists and objects, more than {MAX_CONTAINERS:,}")
    value = json.loads(data.decode("utf-8"), parse_float=_finite, parse_constant=_finite)
    if b"\\ud" in data or b"\\uD" in data:  # half of a character, which no file can hold
        json.dumps(value, ensure_ascii=False).encode(errors=errors)
    return value


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):  # Python reads NaN and infinity too, which JSON does not have
        raise ValueError(f"the number {number[:20]}")
    return value
