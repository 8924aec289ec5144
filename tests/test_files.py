"""Files are whole or absent, and what is read of them is bounded and typed."""

import os

import pytest

from ulmfit_easy import decoding, files
from ulmfit_easy.archives import extract_archive
from ulmfit_easy.bundle.artefact import load_weights
from ulmfit_easy.bundle.foreign import load_any
from ulmfit_easy.bundle.wordlist import read_words
from ulmfit_easy.data.sources import FileTexts
from ulmfit_easy.data.tables import TableOnDisk, read_table
from ulmfit_easy.decoding import guess_encoding, read_text
from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.fastai.loggers import CSVLogger
from ulmfit_easy.fastai.splits import FileSplitter
from ulmfit_easy.files import (
    atomic_folder,
    atomic_path,
    check_sha256,
    read_bytes,
    read_json,
    sha256_bytes,
    sha256_file,
    write_bytes,
    write_json,
)
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.text.corpus import Corpus
from ulmfit_easy.text.subword import SentencePieceTokenizer
from ulmfit_easy.text.vectors import read_vectors


def read_log_at(path):
    logger = CSVLogger()
    logger.target = path
    return logger.read_log()


DOORS = {
    "read_table": read_table, "from_csv": TextDataLoaders.from_csv, "TableOnDisk": lambda path:
    list(TableOnDisk(path).pieces()), "from_csv(chunksize=)": lambda path: TextDataLoaders.from_csv(path, chunksize=9),
    "FileTexts": lambda path: list(FileTexts([path])), "FileSplitter": lambda path: FileSplitter(path)([path]),
    "Corpus": lambda path: list(Corpus(path)), "read_vectors": lambda path: read_vectors(path, ["a"]),
    "extract_archive": lambda path: extract_archive(path, path.parent / "new"), "load_any": load_any,
    "load_weights": load_weights, "read_words": read_words, "SentencePieceTokenizer": lambda path:
    SentencePieceTokenizer(sp_model=path), "read_log": read_log_at,
}  # fmt: skip

# --- atomic writes ------------------------------------------------------------------------------------------


def write_folder(path, data):
    with atomic_folder(path, lambda folder: []) as tmp:
        (tmp / "a").write_bytes(data)
        (tmp / "sub").mkdir()
        (tmp / "sub" / "b").write_bytes(data)


def content(path):
    """The bytes of a file, or of all files of a folder."""
    return path.read_bytes() if path.is_file() else [p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()]


@pytest.mark.skipif(os.name != "posix", reason="needs links, permissions and pipes")
def test_links_permissions_and_pipes_stay_what_they_are(tmp_path):
    real, link, pipe = tmp_path / "real", tmp_path / "link", tmp_path / "pipe"
    real.touch(mode=0o600)
    link.symlink_to(real)
    write_bytes(link, b"new")
    assert link.is_symlink() and real.read_bytes() == b"new" and real.stat().st_mode & 0o777 == 0o600
    real.chmod(0o400)
    write_bytes(real, b"newer")
    assert real.read_bytes() == b"newer" and real.stat().st_mode & 0o777 == 0o400
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_bytes(pipe, b"through")
    assert os.read(end, 100) == b"through" and pipe.is_fifo()
    os.close(end)


def test_a_place_that_cannot_be_written_to_is_found_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="E411.*nothing can be written.*file"):
        files.writable(tmp_path / "file" / "x")
    assert files.writable(tmp_path / "new" / "x").parent.is_dir() and not list((tmp_path / "new").iterdir())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("write", [write_bytes, write_folder])
def test_an_error_while_writing_leaves_the_old_one_and_no_litter(tmp_path, write, error):
    path = tmp_path / "x"
    write(path, b"old")
    before = content(path)
    begin = atomic_path(path) if path.is_file() else atomic_folder(path, lambda folder: [])
    with pytest.raises(error), begin as tmp:
        (tmp / "a" if tmp.is_dir() else tmp).write_bytes(b"half")
        raise error
    assert content(path) == before and os.listdir(tmp_path) == ["x"]


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
    for data in (b"{", b"\xff", b"[" * 100_000, b"[NaN]", b"-Infinity", b"[1e999]", b"9" * 5000):
        file.write_bytes(data)
        with pytest.raises(FileError, match="E401"):
            read_json(file)
    with pytest.raises(FileError, match="E401"):
        read_json(tmp_path)


@pytest.mark.parametrize(("encoding", "text", "guess"), [
    ("latin-1", "caf\u00e9 na\u00efve", "cp1252"), ("cp1252", "\u20ac 5 \u201cquoted\u201d", "cp1252"),
    ("utf-16", "hello", "utf-16"), ("gb18030", "\u6211\u4eec\u559c\u6b22\u8fd9\u90e8\u7535\u5f71", "gb18030"),
    (None, b"caf\xc3\xa9 \x81 broken", "latin-1"), ("latin-1", "pel\u00edcula buena, ni\u00f1o a\u00f1os", "cp1252"),
    ("big5", "\u6211\u5011\u559c\u6b61\u9019\u90e8\u96fb\u5f71", "big5"),
    ("cp949", "\uc774 \uc601\ud654\ub294 \uc88b\uc544\uc694, \ud6cc\ub96d\ud588\ub2e4", "cp949"),
    ("euc_jp", "\u3053\u306e\u6620\u753b\u306f\u9762\u767d\u3044", "euc_jp"),
    ("cp932", "\u3053\u306e\u6620\u753b\u306f\u9762\u767d\u3044", "cp932"),
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


@pytest.mark.parametrize("size", [15, 16])
def test_a_guess_reads_a_sample_that_may_end_within_a_character(size, monkeypatch):
    monkeypatch.setattr(decoding, "SAMPLE", size)
    korean = "\uc601\ud654\uac00 \uc7ac\ubbf8\uc788\uc5b4\uc694".encode("cp949")
    assert guess_encoding(b"text,label\n" * 9 + korean + b"\xff\xff") == "cp949"


def test_an_encoding_that_python_does_not_know_is_refused(tmp_path):
    (tmp_path / "x").write_text("hello")
    for encoding in ("utf-9", "hex"):
        with pytest.raises(ArgumentError, match=f"E602.*'{encoding}'"):
            read_text(tmp_path / "x", encoding)


def test_a_byte_order_mark_is_not_text(tmp_path):
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfhello")
    assert read_text(tmp_path / "x") == "hello"


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("ULMFIT_EASY_CACHE", str(tmp_path))
    assert files.cache_dir() == tmp_path
    monkeypatch.delenv("ULMFIT_EASY_CACHE")
    assert files.cache_dir().name == "ulmfit_easy"


@pytest.mark.skipif(os.name != "posix", reason="needs pipes and devices")
@pytest.mark.parametrize("read", [read_json, read_text, sha256_file, lambda path: read_bytes(path, 9)])
def test_only_regular_files_are_read(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless", "."):
        with pytest.raises(FileError, match="E401.*regular file"):
            read(tmp_path / name)


@pytest.mark.skipif(os.name != "posix", reason="needs pipes and devices")
@pytest.mark.parametrize("door", DOORS, ids=DOORS)
def test_each_door_that_opens_a_file_refuses_what_may_never_end(tmp_path, door):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless"):
        with pytest.raises(FileError, match="E401.*a pipe or a device"):
            DOORS[door](tmp_path / name)


def test_json_of_lists_without_end_or_half_characters_is_not_read(tmp_path):
    for data in (b"[" + b"[]," * 1_000_001 + b"0]", b'["\\ud800"]'):
        (tmp_path / "x.json").write_bytes(data)
        with pytest.raises(FileError, match="E401"):
            read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_bytes(b'["\\ud83d\\ude00"]')
    assert read_json(tmp_path / "x.json") == ["\U0001f600"]


def test_a_link_that_leads_nowhere_is_told_as_such(tmp_path):
    (tmp_path / "a.csv").symlink_to(tmp_path / "b.csv")
    with pytest.raises(FileError, match=r"E404.*the link .*a\.csv, which leads nowhere"):
        files.existing(tmp_path / "a.csv")
