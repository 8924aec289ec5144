"""What may be written where: nothing of a user is replaced, and what a kill leaves is cleared."""

import os
import signal
import stat

import pytest

from ulmfit_easy import files, places
from ulmfit_easy.errors import FileError
from ulmfit_easy.files import atomic_folder, atomic_path, read_json, write_bytes, write_json
from ulmfit_easy.places import Hold, clear_left, free_place, hidden_folder

posix = pytest.mark.skipif(os.name != "posix", reason="needs locks, permissions and other names than UTF-8")


def write_folder(path, version, **options):
    with atomic_folder(path, lambda folder: [], **options) as tmp:
        for name in ("a", "inner/b"):
            (tmp / name).parent.mkdir(exist_ok=True)
            (tmp / name).write_text(version)


def tree(path):
    return {str(p.relative_to(path)): p.read_text() for p in path.rglob("*") if p.is_file()}


def test_only_what_is_proven_ours_may_be_replaced(tmp_path):
    def foreign(folder):
        return [part.name for part in folder.iterdir() if part.name != "ours"]

    assert free_place(tmp_path / "new") == tmp_path / "new" and free_place(tmp_path) == tmp_path
    (tmp_path / "ours").touch()
    assert free_place(tmp_path, foreign) == tmp_path
    for path, options in ((tmp_path, []), (tmp_path / "ours", [foreign])):
        with pytest.raises(FileError, match="E412.*something is: ours"):
            free_place(path, *options)
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(FileError, match="E412.*something is: thesis.txt"):
        free_place(tmp_path, foreign)


def test_what_came_while_it_was_written_is_not_replaced(tmp_path):
    with pytest.raises(FileError, match="E412.*thesis.txt"), atomic_folder(tmp_path / "x") as tmp:
        (tmp / "new").touch()
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "thesis.txt").write_text("mine")
    with pytest.raises(FileError, match="E411.*is a folder"), atomic_path(tmp_path / "y") as tmp:
        tmp.touch()
        (tmp_path / "y").mkdir()
    assert tree(tmp_path) == {"x/thesis.txt": "mine"} and sorted(os.listdir(tmp_path)) == ["x", "y"]


def test_a_folder_never_becomes_a_file(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(FileError, match="E411.*x, which is a folder"):
        write_bytes(tmp_path / "x", b"")
    assert os.listdir(tmp_path) == ["x"]


def test_adding_to_a_folder_keeps_what_is_there(tmp_path):
    write_bytes(tmp_path / "x" / "mine", b"mine")
    write_bytes(tmp_path / "x" / "inner" / "mine", b"mine")
    write_folder(tmp_path / "x", "new", add=True)
    expected = {"mine": "mine", "inner/mine": "mine", "a": "new", "inner/b": "new"}
    assert tree(tmp_path / "x") == expected
    write_folder(tmp_path / "x", "new", add=True)  # the same once more is no hindrance
    with pytest.raises(FileError, match="E412.*a, inner/b differs"):
        write_folder(tmp_path / "x", "newer", add=True)
    (tmp_path / "x" / "a").unlink()
    (tmp_path / "x" / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileError, match="E412.*a differs"):
        write_folder(tmp_path / "x", "new", add=True)
    assert tree(tmp_path) == {"x/" + name: text for name, text in expected.items() if name != "a"}


@posix
@pytest.mark.parametrize("where", ["empty", "working folder", "set-gid"])
def test_a_folder_that_must_stay_itself_gets_other_members(where, tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.mkdir()
    if where != "empty":
        write_folder(path, "old")
    if where == "working folder":
        monkeypatch.chdir(path)
    if where == "set-gid":
        path.chmod(0o2770)
    before = path.stat()
    write_folder(path, "new")
    assert tree(path) == {"a": "new", "inner/b": "new"} and path.stat().st_mode == before.st_mode
    assert where == "set-gid" or path.stat().st_ino == before.st_ino
    assert os.listdir(tmp_path) == ["x"] and sorted(os.listdir(path)) == ["a", "inner"]


@posix
@pytest.mark.parametrize("write", [write_folder, write_bytes])
def test_what_a_kill_left_is_cleared_when_the_place_is_used_next(tmp_path, monkeypatch, write):
    monkeypatch.setattr(files, "_put", lambda new, path: os.kill(os.getpid(), signal.SIGKILL))
    for _ in range(2):
        if not (pid := os.fork()):
            write(tmp_path / "x", "half" if write is write_folder else b"half")
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
        assert len(os.listdir(tmp_path)) == 1  # the first one's was cleared by the second
    monkeypatch.undo()
    (tmp_path / ".x.tmp-mine").mkdir()
    with hidden_folder(tmp_path / "x") as alive:  # another one that writes there at this moment
        write(tmp_path / "x", "whole" if write is write_folder else b"whole")
        assert sorted(os.listdir(tmp_path)) == sorted([".x.tmp-mine", alive.name, "x"])
    assert sorted(os.listdir(tmp_path)) == [".x.tmp-mine", "x"]


@posix
def test_the_only_copy_of_an_older_one_stays_until_there_is_a_new_one(tmp_path):
    left = tmp_path / f".x.tmp-{'0' * 16}"
    write_bytes(left / places.OLD / "a", b"old")
    assert clear_left(tmp_path, "x") == [left] and clear_left(tmp_path, "y") == []
    with pytest.raises(ValueError), atomic_folder(tmp_path / "x"):
        raise ValueError
    assert tree(left) == {".old/a": "old"}
    write_folder(tmp_path / "x", "new")
    assert os.listdir(tmp_path) == ["x"]


@posix
def test_one_at_a_time_holds_a_folder(tmp_path):
    first = Hold(tmp_path)
    with pytest.raises(BlockingIOError):
        Hold(tmp_path)
    first.release(), first.release()
    second = Hold(tmp_path)
    del second
    assert Hold(tmp_path).is_known


@posix
def test_names_need_not_be_utf8_nor_short(tmp_path):
    for name in (os.fsdecode(b"mod\xe8le"), "n" * 255, "a\nb", "[x]"):
        try:
            write_bytes(tmp_path / name, b"1")
        except OSError as e:  # a file system that takes UTF-8 only
            pytest.skip(str(e))
        write_json(tmp_path / name, {name: 1})
        assert read_json(tmp_path / name, errors="surrogateescape") == {name: 1}
    assert len(os.listdir(tmp_path)) == 4


@posix
def test_a_file_that_is_a_mount_is_written_in_its_place(tmp_path, monkeypatch):
    def busy(a, b):
        raise OSError(16, "Device or resource busy")

    write_bytes(tmp_path / "x", b"longer than what comes")
    inode = (tmp_path / "x").stat().st_ino
    monkeypatch.setattr(os, "replace", busy)
    write_bytes(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new" and (tmp_path / "x").stat().st_ino == inode
    assert stat.S_ISREG((tmp_path / "x").stat().st_mode) and os.listdir(tmp_path) == ["x"]
