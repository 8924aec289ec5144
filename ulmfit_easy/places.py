"""Checks that a path can be written to, and hidden folders in which files are made before they get their names."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ulmfit_easy.errors import FileError, some

OLD = ".old"  # in a hidden folder: what another file or folder replaces


def free_place(path: str | Path, foreign: Callable[[Path], list[str]] | None = None) -> Path:
    """Return the path if a folder may be written there: nothing, an empty folder, or what may be replaced is there.

    Args:
        foreign: names what in a folder was not written by this library. If that is nothing, it may be replaced.

    Raises:
        FileError: E412 for anything else, since it would be lost. E411 as `writable`.
    """
    path = writable(path)
    if path.is_dir():
        there = [part.name for part in members(path)]
        there = foreign(path) if there and foreign else there
    else:
        there = [path.name] if os.path.lexists(os.path.realpath(path)) else []
    if there:
        older = ", or an older one of this kind with nothing else in it" if foreign else ""
        raise FileError("E412", received=f"{path}, where something is: {some(there)}",
                        expected=f"a new or empty folder{older}",
                        fix="choose another name, or move what is there away")
    return path


def writable(path: str | Path) -> Path:
    """Return the path if it, or its folder, can be written to. Make the folder if there is none. E411 otherwise.

    Check it before anything slow, so that no result is lost for want of a place.
    """
    path = Path(path)
    try:
        if is_device(path):
            return path
        real = Path(os.path.realpath(path))
        folder = real if real.is_dir() else real.parent
        folder.mkdir(parents=True, exist_ok=True)
        why_not = None if os.access(folder, os.W_OK | os.X_OK) else f"no permission: {folder}"
    except (OSError, ValueError) as e:
        why_not = f"{getattr(e, 'strerror', None) or e}: {path.parent}"
    if why_not:
        raise FileError("E411", received=f"{path}, where nothing can be written ({why_not})",
                        expected="a name in a folder that can be written to", fix="choose another place")
    return path


def file_place(path: str | Path) -> Path:
    """Return the path, if a file may be written there. E411 for a folder, and as `writable`."""
    path = writable(path)
    if path.is_dir():
        raise FileError("E411", received=f"{path}, which is a folder", expected="the name of a file",
                        fix="choose another name: a folder is never replaced by a file")
    return path


def is_device(path: Path) -> bool:
    """Return True for a device or a pipe: something that is neither a file nor a folder."""
    return path.exists() and not path.is_file() and not path.is_dir()


class Hold:
    """A lock on a folder, until it is released, forgotten, or this process ends. `is_known` if the system has locks.

    Raises:
        BlockingIOError: Someone else holds it.
    """

    fd: int | None = None

    def __init__(self, folder: Path):
        self.is_known = False
        with suppress(ImportError):  # Windows
            import fcntl

            self.fd = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.is_known = True
            except OSError as e:  # also a network file system without locks
                if isinstance(e, BlockingIOError):
                    raise

    def release(self):
        """Let it go. Once more does no harm."""
        if self.fd is not None:
            self.fd = os.close(self.fd)  # type: ignore[func-returns-value]  # None, and no Ctrl-C between two lines

    __del__ = release


def members(folder: Path) -> list[Path]:
    """Return the files and folders in a folder, sorted, without the hidden folders of this module."""
    return sorted(part for part in folder.iterdir() if not _name_of(part))


def clear_left(folder: Path, names: str) -> list[Path]:
    """Delete hidden folders that killed processes left in `folder`, for places whose name this pattern matches.

    Return those that hold the only copy of something that was to be replaced. They are not deleted.
    """
    kept = []
    with suppress(OSError):
        for left in list(folder.iterdir()):
            if (name := _name_of(left)) is None or not re.fullmatch(names, name, re.DOTALL):
                continue
            with suppress(OSError), ExitStack() as stack:
                lock = Hold(left)
                stack.callback(lock.release)
                if not lock.is_known:
                    continue
                if (left / OLD).is_dir() and any((left / OLD).iterdir()):
                    kept.append(left)
                else:
                    shutil.rmtree(left, ignore_errors=True)
    return kept


@contextmanager
def hidden_folder(path: Path) -> Iterator[Path]:
    """Give a new hidden folder on the disk of `path`, deleted at the end. What killed processes left is deleted first.

    It is in the folder `path` if there is one that must stay, such as a mount. Otherwise it is next to `path`.
    """
    kept = [left for folder in (path.parent, path) for left in clear_left(folder, re.escape(_short(path.name)))]
    with _unless_forked(ExitStack()) as stack:
        tmp = _made(path if path.is_dir() else path.parent, path.name, stack)
        if tmp.parent == path and _can_be_exchanged(path, tmp):
            outside = path.parent / tmp.name
            stack.callback(shutil.rmtree, outside, ignore_errors=True)
            with suppress(OSError):  # a mount
                os.rename(tmp, outside)
            tmp = outside if outside.exists() else tmp
        yield tmp
        for left in kept:
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _unless_forked(stack: ExitStack) -> Iterator[ExitStack]:
    """Give the stack, which is not unwound in a fork of this process: what it holds is still in use."""
    pid = os.getpid()
    with stack:
        try:
            yield stack
        finally:
            if os.getpid() != pid:
                stack.pop_all()


def _made(folder: Path, name: str, stack: ExitStack) -> Path:
    while True:
        tmp = folder / f".{_short(name)}.tmp-{os.urandom(8).hex()}"
        stack.callback(shutil.rmtree, tmp, ignore_errors=True)
        tmp.mkdir(mode=0o700)
        with suppress(BlockingIOError, FileNotFoundError):  # another process takes it for one that was left
            stack.callback(Hold(tmp).release)
            if tmp.exists():
                return tmp


def _can_be_exchanged(path: Path, tmp: Path) -> bool:
    """Tell if a folder may become another one: it is not empty, nobody works in it, and the owner stays the same."""
    with suppress(FileNotFoundError):
        if Path.cwd().is_relative_to(path):
            return False
    ours, theirs = tmp.stat(), path.stat()
    return bool(members(path)) and (ours.st_uid, ours.st_gid) == (theirs.st_uid, theirs.st_gid)


def _short(name: str) -> str:
    return name if len(os.fsencode(name)) <= 200 else name[:40]


def _name_of(part: Path) -> str | None:
    """For which place a hidden folder was made. None for anything else."""
    found = re.fullmatch(r"\.(.+)\.tmp-[0-9a-f]{16}", part.name, re.DOTALL)
    return found and found[1]
