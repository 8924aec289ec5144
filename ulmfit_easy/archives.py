"""Archives that cannot escape their folder, nor fill the disk or the memory: tar and zip, with one set of checks."""

import bz2
import errno
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NamedTuple

from ulmfit_easy.errors import FileError
from ulmfit_easy.files import atomic_folder, regular_file

RATIO, SMALL = 100, 64 << 20  # an archive may grow a hundredfold (text shrinks to a third or less), or to 64 MB
MAX_FILES = 200_000  # the largest known set of texts has 100,000
MAX_DEPTH = 100  # folders in each other
MAX_READ = 1 << 18  # bytes at once; the headers of a tar, which are read whole, have a few hundred


_PACKED: dict[bytes, Callable[[IO[bytes]], AbstractContextManager]] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE}


class Member(NamedTuple):
    """One entry of an archive: a file, a folder, a link or a device."""

    name: str
    size: int  # bytes, as the archive claims; no more are read
    is_file: bool
    is_folder: bool
    open: Callable[[], IO[bytes]]


def extract_archive(archive: str | Path, dest: str | Path, *, max_bytes: int | None = None,
                    max_files: int = MAX_FILES) -> Path:
    """Extract a tar (also .gz, .bz2, .xz) or a zip into the folder `dest`: all of it, or nothing.

    What is in `dest` already stays as it is. Files that are the same are no hindrance.

    Only plain files and folders are taken, no links and no devices. No name may lead out of the folder or mean another
    file on another system. A tar must have its end, and checksums must be right, so that no cut one passes for whole.

    Args:
        max_bytes: of all files together. By default 100 times the size of the archive, or 64 MB.
        max_files: members, folders included.

    Raises: E404 where nothing is. E401 for a folder, a pipe or a device. E405 for anything that could escape the
        folder or fill the disk, and for damage. E412 for a file in `dest` that has the name of another one in the
        archive.
    """
    dest = Path(dest)

    def refused(why: str) -> FileError:
        return FileError("E405", received=f"{archive}, {why}", expected="plain files inside one folder",
                         fix="do not use this archive")

    with regular_file(archive) as packed, atomic_folder(dest, add=True) as tmp:
        limit = max(SMALL, RATIO * os.fstat(packed.fileno()).st_size) if max_bytes is None else max_bytes
        total, files, folders = 0, set[str](), set[str]()
        try:
            for n, member in enumerate(_members(packed)):
                total += member.size
                if n >= max_files or total > limit:
                    raise refused(f"with more than {max_files:,} members or {limit:,} bytes")
                if member.size < 0 or member.is_file == member.is_folder:
                    raise refused(f"whose member {member.name!r} is not a plain file")
                path = PurePosixPath(member.name)
                if path.is_absolute() or not all(map(_is_safe, path.parts)):
                    raise refused(f"whose member {member.name!r} leads out of its folder")
                if len(path.parts) > MAX_DEPTH:
                    raise refused(f"with more than {MAX_DEPTH} folders in each other")
                same = unicodedata.normalize("NFC", str(path)).casefold()  # as any file system may compare it
                if same in files or (member.is_file and same in folders):
                    raise refused(f"whose member {member.name!r} is there twice")
                (files if member.is_file else folders).add(same)
                _write(member, tmp / path)
        except (FileError, MemoryError):
            raise
        except Exception as e:  # tar, zip, gzip, zlib and lzma each have errors of their own for bad data
            if isinstance(e, OSError) and e.errno in _OF_THE_DISK:
                raise
            raise refused(f"which cannot be read ({type(e).__name__}: {e})") from e
    return dest


def _is_safe(part: str) -> bool:
    """Return True if a part of a path is a plain name on every system. Windows drops dots and blanks at its end."""
    return part == part.rstrip(". ") and not any(c in ":\\" or c < " " or c == "\x7f" for c in part)


def _write(member: Member, target: Path) -> None:
    (target if member.is_folder else target.parent).mkdir(parents=True, exist_ok=True)
    if member.is_file:
        with member.open() as source, open(target, "xb") as out:
            shutil.copyfileobj(source, out, MAX_READ)


def _members(packed: BinaryIO) -> Iterator[Member]:
    """Yield the members of an archive, one in memory at a time. Its first bytes tell its kind, not its name."""
    start = packed.read(6)
    packed.seek(0)
    if start.startswith(b"PK"):
        with zipfile.ZipFile(packed) as whole:
            for info in whole.infolist():
                kind, is_folder = stat.S_IFMT(info.external_attr >> 16), info.is_dir()
                yield Member(info.orig_filename, info.file_size, not is_folder and kind in (0, stat.S_IFREG),
                             is_folder and kind in (0, stat.S_IFDIR), partial(whole.open, info))
        return
    with unpacked(packed, start) as f, tarfile.open(fileobj=_Guarded(f), mode="r:") as tar:  # type: ignore[call-overload] # reads
        while (entry := tar.next()) is not None:
            tar.members.clear()  # it would keep all of them
            yield Member(entry.name, entry.size, entry.isreg(), entry.isdir(), partial(tar.extractfile, entry))
        f.seek(tar.offset)
        rest = f.read(MAX_READ)  # to the end: only there gzip compares its checksum
        if len(rest) < tarfile.BLOCKSIZE or len(rest) == MAX_READ or any(rest[:tarfile.BLOCKSIZE]):
            raise tarfile.ReadError("its end is missing, or not the end")


def unpacked(file: IO[bytes], start: bytes) -> AbstractContextManager:
    """Return a compressed file opened, by its first bytes. A plain file as it is."""
    return next((unpack for magic, unpack in _PACKED.items() if start.startswith(magic)), nullcontext)(file)


class _Guarded:
    """A file that is read in small parts, because a tar's header can claim any size and Python's reader believes it."""

    def __init__(self, file: BinaryIO):
        self.file, self.seek, self.tell = file, file.seek, file.tell

    def read(self, n: int) -> bytes:
        if not 0 <= n <= MAX_READ:
            raise tarfile.ReadError(f"a header of {n:,} bytes")
        return self.file.read(n)
