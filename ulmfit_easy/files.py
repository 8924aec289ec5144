"""Files that are never half written, hashes, and archives that cannot escape their folder."""

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path

from ulmfit_easy.errors import FileError, TrainingError


def cache_dir() -> Path:
    """Where token caches live: `$ULMFIT_EASY_CACHE`, else the user's cache folder."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("ULMFIT_EASY_CACHE") or user_cache_dir("ulmfit_easy"))


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of some bytes, as hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path) -> str:
    """SHA-256 of a whole file, as hex, read in bounded memory."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def check_sha256(path, expected: str) -> Path:
    """The path, if the file has the expected SHA-256; E404 and E406 otherwise."""
    path = existing(path)
    if (got := sha256_file(path)) != expected:
        raise FileError("E406", received=f"{path} with SHA-256 {got}", expected=f"SHA-256 {expected}",
                        fix="delete the file and fetch it again")
    return path


def existing(path) -> Path:
    """The path as a `Path`, if something is there; E404 otherwise."""
    path = Path(path)
    if not path.exists():
        raise FileError("E404", received=f"the path {path}, where nothing is", expected="a file or folder",
                        fix=f"check the spelling; paths are relative to {Path.cwd()}")
    return path


def free_place(path, part: str | None = None) -> Path:
    """The path, if a folder may be written there: if nothing is there, or an empty folder.

    Args:
        part: of a model that may be replaced: a folder with this file is free too.

    Raises:
        TrainingError: E502 for anything else, since it would be replaced.
    """
    path = Path(path)
    is_empty = not path.exists() or (path.is_dir() and not any(path.iterdir()))
    if not is_empty and not (part and (path / part).exists()):
        raise TrainingError("E502", received=f"{path}, where something is",
                            expected="a new folder" + (", or an older model of this kind" if part else ""),
                            fix="choose another name, or delete it")
    return path


def _fsync_dir(folder: Path):
    if os.name == "posix":  # power loss: the rename itself must reach the disk
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


@contextmanager
def atomic_path(path):
    """A sibling temporary path to write to; it takes the place of `path` only if the block succeeds.

    After a kill, a full disk or an error the old file is still there, whole. A folder too; but it takes two
    renames, and a kill just between them leaves the old one in the hidden folder beside its place.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = Path(tempfile.mkdtemp(prefix=f".{path.name}.tmp-", dir=path.parent))
    try:
        yield tmp / path.name
        new = tmp / path.name
        for file in [new] if new.is_file() else [p for p in new.rglob("*") if p.is_file()]:
            with open(file, "rb+") as f:
                os.fsync(f.fileno())
        try:
            if path.is_dir():
                os.replace(path, tmp / "old")
            os.replace(new, path)
        except BaseException:
            if (tmp / "old").exists():
                os.replace(tmp / "old", path)
            raise
        _fsync_dir(path.parent)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def write_bytes(path, data: bytes):
    """Write a file atomically."""
    with atomic_path(path) as tmp:
        tmp.write_bytes(data)


def write_json(path, obj):
    """Write JSON atomically, readable by a person, with no NaN in it."""
    write_bytes(path, (json.dumps(obj, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_json(path, max_bytes: int = 64 << 20):
    """Read a JSON file of bounded size; E401 if it is something else."""
    path = existing(path)
    try:
        if path.stat().st_size > max_bytes:
            raise ValueError(f"it has {path.stat().st_size:,} bytes, more than {max_bytes:,}")
        return json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError, OSError) as e:
        raise FileError("E401", received=f"{path}, which cannot be read as JSON ({e})", expected="a JSON file",
                        fix="save it again with this library") from e


def read_text(path, encoding: str = "utf-8") -> str:
    """A text file as a string, read as `decoded` tells."""
    return decoded(existing(path).read_bytes(), path, encoding)


def decoded(data: bytes, path, encoding: str = "utf-8") -> str:
    """The content of the file `path` as a string, without a byte-order mark.

    Raises:
        FileError: E403, with the byte and a guess of the encoding, if it is not in this one.
        TrainingError: E502 for an encoding that Python does not know.
    """
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as e:
        raise FileError("E403", received=f"{path}, whose byte {e.start:,} is not {e.encoding}",
                        expected=f"{e.encoding} text",
                        fix=f'save it as UTF-8, or pass encoding="{guess_encoding(data)}" if that is what it is') from e
    except LookupError as e:
        raise TrainingError("E502", received=f"encoding={encoding!r}", expected="a text encoding that Python knows",
                            fix='leave it out for UTF-8, or pass a name such as "cp1252" or "utf-16"') from e


def guess_encoding(data: bytes) -> str:
    """A guess for text that is not UTF-8: a byte-order mark, then the encodings that decode without error."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    for encoding in ("utf-8", "gb18030", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != "gb18030" or sum("\u4e00" <= c <= "\u9fff" for c in text) > len(text) / 4:
            return encoding
    return "latin-1"


def extract_tar(archive, dest, *, max_bytes: int = 1 << 30, max_files: int = 100_000) -> Path:
    """Extract a tar archive into the new folder `dest`; E405 for anything that could escape it or fill the disk.

    Only plain files and folders are taken: no links, no devices, no absolute or `..` names. All or nothing.
    """
    archive, dest = existing(archive), Path(dest)

    def refuse(why):
        return FileError("E405", received=f"{archive}, {why}", expected="plain files inside one folder",
                         fix="do not use this archive")

    with atomic_path(dest) as tmp:
        tmp.mkdir()
        root, total = tmp.resolve(), 0
        try:
            with tarfile.open(archive) as tar:
                for n, member in enumerate(tar):
                    total += member.size
                    if n >= max_files or total > max_bytes:
                        raise refuse(f"with more than {max_files:,} members or {max_bytes:,} bytes")
                    if not (member.isreg() or member.isdir()):
                        raise refuse(f"whose member {member.name!r} is not a plain file")
                    target = (tmp / member.name).resolve()
                    if "\\" in member.name or ":" in member.name or not target.is_relative_to(root):
                        raise refuse(f"whose member {member.name!r} leads out of its folder")
                    if member.isdir():
                        target.mkdir(parents=True, exist_ok=True)
                        continue
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with tar.extractfile(member) as source, open(target, "xb") as out:
                        shutil.copyfileobj(source, out)
        except FileError:
            raise
        except Exception as e:  # tar, gzip, zlib and lzma each have errors of their own for bad data
            raise refuse(f"which cannot be read ({e})") from e
    return dest
