"""Files are whole or absent, and no archive writes outside its folder."""

import errno
import gzip
import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import time

import pytest

from ulmfit_easy import files
from ulmfit_easy.errors import FileError, TrainingError
from ulmfit_easy.files import (
    atomic_path,
    check_sha256,
    extract_tar,
    guess_encoding,
    read_json,
    read_text,
    sha256_bytes,
    write_bytes,
    write_json,
)

# --- atomic writes ------------------------------------------------------------------------------------------


def write_folder(path, data):
    with atomic_path(path) as tmp:
        tmp.mkdir()
        (tmp / "a").write_bytes(data)
        (tmp / "sub").mkdir()
        (tmp / "sub" / "b").write_bytes(data)


def content(path):
    """The bytes of a file, or of all files of a folder."""
    return path.read_bytes() if path.is_file() else [p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("write", [write_bytes, write_folder])
def test_an_error_while_writing_leaves_the_old_one_and_no_litter(tmp_path, write, error):
    path = tmp_path / "x"
    write(path, b"old")
    before = content(path)
    with pytest.raises(error), atomic_path(path) as tmp:
        tmp.write_bytes(b"half")
        raise error
    assert content(path) == before and os.listdir(tmp_path) == ["x"]


class FailAt:
    """Makes the k-th of the system calls that change or secure a disk fail."""

    def __init__(self, k, error, patch):
        self.k, self.error, self.calls = k, error, []
        for name in ("replace", "fsync", "mkdir"):
            patch.setattr(os, name, self.failing(name, getattr(os, name)))

    def failing(self, name, real):
        def call(*args, **kwargs):
            self.calls.append(name)
            if len(self.calls) == self.k:
                raise self.error
            return real(*args, **kwargs)
        return call


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "no space"), OSError(errno.EIO, "i/o"), KeyboardInterrupt()])
@pytest.mark.parametrize("write", [write_bytes, write_folder])
def test_whichever_system_call_fails_the_file_is_the_old_or_the_new_one(tmp_path, write, error):
    path, faults = tmp_path / "x", 0
    for k in range(1, 50):
        write(path, b"old")
        old = content(path)
        with pytest.MonkeyPatch.context() as patch:
            fault = FailAt(k, error, patch)
            try:
                write(path, b"new data")
            except type(error):
                faults += 1
        assert content(path) in (old, [b"new data"] * 2, b"new data"), (k, fault.calls)
        assert os.listdir(tmp_path) == ["x"]
        if len(fault.calls) < k:
            break
    assert faults >= 4 and content(path) != old


def test_data_reaches_the_disk_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    calls = FailAt(0, None, monkeypatch).calls
    write_bytes(tmp_path / "x", b"data")
    assert [c for c in calls if c in ("replace", "fsync")] == ["fsync", "replace", "fsync"]


CHILD = """
import sys
from ulmfit_easy.files import write_bytes, write_json
print("go", flush=True)
n = 0
while True:
    n += 1
    write_bytes(sys.argv[1], bytes([n % 256]) * 300_000)
"""


def killed_writers(path, n):
    """Kill a process that rewrites `path` without end, n times; how often the file was not whole after it."""
    rng, broken = random.Random(0), 0
    write_bytes(path, b"\0" * 300_000)
    for _ in range(n):
        child = subprocess.Popen([sys.executable, "-c", CHILD, path], stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"go\n"
        time.sleep(rng.random() * 0.02)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        data = path.read_bytes()
        broken += len(data) != 300_000 or len(set(data)) != 1
    return broken


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_40_kills_leave_40_whole_files(tmp_path):
    assert killed_writers(tmp_path / "x", 40) == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_300_kills_leave_300_whole_files(tmp_path):
    assert killed_writers(tmp_path / "x", 300) == 0


# --- reading ------------------------------------------------------------------------------------------------


def test_checksums(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"data")
    assert check_sha256(file, sha256_bytes(b"data")) == file
    with pytest.raises(FileError, match="E406"):
        check_sha256(file, sha256_bytes(b"date"))
    with pytest.raises(FileError, match="E404"):
        check_sha256(tmp_path / "y", "")


def test_json_is_bounded_typed_and_atomic(tmp_path):
    file = tmp_path / "x.json"
    write_json(file, {"é": [1, None]})
    assert read_json(file) == {"é": [1, None]} and "é" in file.read_text(encoding="utf-8")
    with pytest.raises(ValueError):
        write_json(file, float("nan"))
    assert read_json(file) == {"é": [1, None]}
    with pytest.raises(FileError, match="E401.*more than 5"):
        read_json(file, max_bytes=5)
    for data in (b"{", b"\xff", b"[" * 100_000):
        file.write_bytes(data)
        with pytest.raises(FileError, match="E401"):
            read_json(file)
    with pytest.raises(FileError, match="E401"):
        read_json(tmp_path)


@pytest.mark.parametrize(("encoding", "text", "guess"), [
    ("latin-1", "caf\u00e9 na\u00efve", "cp1252"), ("cp1252", "\u20ac 5 \u201cquoted\u201d", "cp1252"),
    ("utf-16", "hello", "utf-16"), ("gb18030", "\u6211\u4eec\u559c\u6b22\u8fd9\u90e8\u7535\u5f71", "gb18030"),
    (None, b"caf\xc3\xa9 \x81 broken", "latin-1"),
])
def test_other_encodings_are_named_and_guessed(tmp_path, encoding, text, guess):
    file = tmp_path / "x.txt"
    data = text if encoding is None else text.encode(encoding)
    file.write_bytes(data)
    with pytest.raises(FileError, match=f'E403.*encoding="{guess}"'):
        read_text(file)
    assert guess_encoding(data) == guess
    if encoding is not None:
        assert read_text(file, guess) == text


def test_an_encoding_that_python_does_not_know_is_e502(tmp_path):
    (tmp_path / "x").write_text("hello")
    for encoding in ("utf-9", "hex"):
        with pytest.raises(TrainingError, match=f"E502.*'{encoding}'"):
            read_text(tmp_path / "x", encoding)


def test_a_byte_order_mark_is_not_text(tmp_path):
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfhello")
    assert read_text(tmp_path / "x") == "hello"


# --- archives -----------------------------------------------------------------------------------------------


def member(name, data=b"evil", **attributes):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, data


def tar_of(path, *members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for info, data in members:
            tar.addfile(info.replace(name=info.name.replace("{tmp}", str(path.parent)), deep=False), io.BytesIO(data))
    return path


def link(name, target, kind=tarfile.SYMTYPE):
    return member(name, b"", type=kind, linkname=target)


HOSTILE = {
    "absolute": [member("{tmp}/escaped")],
    "..": [member("../escaped")],
    ".. deep inside": [member("a/b/../../../escaped")],
    ".. after a good file": [member("good"), member("../escaped")],
    "a folder outside": [member("../folder", b"", type=tarfile.DIRTYPE)],
    "backslashes": [member("..\\escaped")],
    "a drive": [member("C:/escaped")],
    "a stream of a file": [member("a.txt:stream")],
    "a link out": [link("link", "..")],
    "a link, then a write through it": [link("link", ".."), member("link/escaped")],
    "a link inside": [member("a"), link("b", "a")],
    "a hard link out": [link("hard", "../victim", tarfile.LNKTYPE)],
    "a hard link inside": [member("a"), link("b", "a", tarfile.LNKTYPE)],
    "a device": [member("null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "a block device": [member("disk", b"", type=tarfile.BLKTYPE)],
    "a pipe": [member("pipe", b"", type=tarfile.FIFOTYPE)],
    "a file twice": [member("a", b"one"), member("a", b"two")],
    "a file as a folder": [member("a"), member("a/b")],
    "a name that is too long": [member("a" * 5000)],
    "a file in the place of the folder": [member(".")],
    "a name with a null": [member("a\0b", pax_headers={"path": "a\0b"})],
    "more than there may be": [member("zeros", b"\0" * 200_000)],
    "many that are more together": [member(f"{i}", b"\0" * 3000) for i in range(40)],
    "too many": [member(f"{i}", b"") for i in range(60)],
}


def outside(tmp_path):
    return {p.name: p.read_bytes() if p.is_file() else None for p in tmp_path.iterdir() if p.name != "evil.tar"}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_whole(tmp_path, case, mode):
    (tmp_path / "victim").write_bytes(b"mine")
    archive = tar_of(tmp_path / "evil.tar", *HOSTILE[case], mode=mode)
    before = outside(tmp_path)
    with pytest.raises(FileError, match="E405"):
        extract_tar(archive, tmp_path / "out", max_bytes=100_000, max_files=50)
    assert outside(tmp_path) == before


def test_a_broken_archive_is_refused_and_what_was_there_stays(tmp_path):
    rng = random.Random(0)
    whole = tar_of(tmp_path / "evil.tar", *[member(f"{i}", bytes(rng.choices(range(9), k=3000))) for i in range(9)],
                   mode="w:gz")
    data, refused = whole.read_bytes(), 0
    extract_tar(whole, tmp_path / "out")
    before = content(tmp_path / "out")
    cut = [data[:n] for n in range(1, len(data) - 8, len(data) // 12)]
    flipped = [data[:i] + bytes([data[i] ^ 255]) + data[i + 1:] for i in rng.sample(range(20, len(data)), 20)]
    for bad in [*cut, *flipped, b"", b"no archive at all", gzip.compress(b"no archive either")]:
        whole.write_bytes(bad)
        try:
            extract_tar(whole, tmp_path / "out")
        except FileError as e:
            assert e.code == "E405"
            refused += 1
            assert content(tmp_path / "out") == before
        else:
            before = content(tmp_path / "out")  # a flip that no checksum of tar or gzip covers
    assert refused >= len(cut) + 3


def test_a_good_archive_is_extracted(tmp_path):
    archive = tar_of(tmp_path / "good.tar", member("d", b"", type=tarfile.DIRTYPE), member("d/a", b"1"),
                     member("./e/f/b", b"2"), mode="w:gz")
    assert extract_tar(archive, tmp_path / "out") == tmp_path / "out"
    assert (tmp_path / "out/d/a").read_bytes() == b"1" and (tmp_path / "out/e/f/b").read_bytes() == b"2"
    assert sorted(os.listdir(tmp_path)) == ["good.tar", "out"]
    with pytest.raises(FileError, match="E404"):
        extract_tar(tmp_path / "none.tar", tmp_path / "out")


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("ULMFIT_EASY_CACHE", str(tmp_path))
    assert files.cache_dir() == tmp_path
    monkeypatch.delenv("ULMFIT_EASY_CACHE")
    assert files.cache_dir().name == "ulmfit_easy"
