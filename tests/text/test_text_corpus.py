"""corpus.py: the same documents whatever the packing, in bounded memory, and a coded error for every damage."""

import gzip
import os
import sys
import tracemalloc
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.errors import FileError, TextError, TrainingError
from ulmfit_easy.text import corpus as corpus_module
from ulmfit_easy.text.corpus import Corpus, Rows, hold_out

TEXT = ("= One =\nfirst line\n== Part ==\nsecond line\n\n\n \t\n=1+1 is no heading\nünïcode 的 🙂\n\n"
        "= Only a title =\n\nlast")
DOCS = ["first line\nsecond line", "=1+1 is no heading\nünïcode 的 🙂", "last"]
ZST = zstandard.ZstdCompressor(write_checksum=True).compress  # as the command `zstd` does
PACK = {".txt": lambda b: b, ".gz": gzip.compress, ".zst": ZST}


def written(folder, text=TEXT, suffix=".txt", name="a"):
    path = Path(folder) / f"{name}{suffix}"
    path.write_bytes(PACK[suffix](text if isinstance(text, bytes) else text.encode()))
    return path


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("turn", [str, lambda t: t.replace("\n", "\r\n"), lambda t: "\ufeff" + t, lambda t: t + "\n\n"])
@pytest.mark.parametrize("block", [1, 2, 7, 1 << 16])
def test_documents_are_the_same_however_they_are_packed(tmp_path, monkeypatch, suffix, turn, block):
    monkeypatch.setattr(corpus_module, "BLOCK", block)
    assert list(Corpus(written(tmp_path, turn(TEXT), suffix))) == DOCS


def test_headings_stay_where_they_are_asked_for(tmp_path):
    kept = list(Corpus(written(tmp_path), headings=True))
    assert kept == ["= One =\n" + DOCS[0].replace("\n", "\n== Part ==\n"), DOCS[1], "= Only a title =", "last"]


def test_files_follow_each_other_and_can_be_read_again(tmp_path):
    files = [written(tmp_path, f"{i} a\n\n{i} b", suffix, name=i) for i, suffix in enumerate([".zst", ".txt", ".gz"])]
    corpus = Corpus(map(str, files))
    assert list(corpus) == list(corpus) == ["0 a", "0 b", "1 a", "1 b", "2 a", "2 b"]
    assert list(Corpus(str(files[1]))) == ["1 a", "1 b"]


@settings(deadline=None, max_examples=150)
@given(text=st.text(st.sampled_from("ab \n\r="), max_size=80), longest=st.integers(1, 30), block=st.integers(1, 9))
def test_long_documents_come_in_parts_and_nothing_is_lost(tmp_path_factory, text, longest, block):
    file = written(tmp_path_factory.getbasetemp(), text + "\n\nx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_module, "LONGEST", longest)
        patch.setattr(corpus_module, "BLOCK", block)
        parts = list(Corpus(file, headings=True))
    assert max(map(len, parts)) <= longest
    assert "".join("".join(parts).split()) == "".join(text.split()) + "x"


def test_long_documents_are_cut_between_lines_and_words_where_there_are_any(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_module, "LONGEST", 10)
    text = "one two\nthree\nfour five six seven\nabcdefghijklmnop"
    assert list(Corpus(written(tmp_path, text))) == ["one two", "three", "four five", " six seven", "abcdefghij",
                                                     "klmnop"]


def test_memory_does_not_grow_with_a_file_without_line_ends(tmp_path):
    words = np.random.default_rng(0).integers(33, 127, (1_200_000, 7), dtype=np.uint8)
    words[:, 6] = ord(" ")

    def peak(n):
        file = written(tmp_path, words[:n].tobytes(), ".zst")
        tracemalloc.start()
        try:
            return sum(map(len, Corpus(file))), tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    (short, small), (long, large) = peak(400_000), peak(1_200_000)
    assert long == 3 * short and large - small < 2_000_000 < long - short


def test_frames_and_members_in_one_file_are_read_to_the_end(tmp_path):
    (tmp_path / "a.zst").write_bytes(ZST(b"one\n\nt") + ZST(b"") + ZST(b"wo"))
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one\n\nt") + gzip.compress(b"wo"))
    assert list(Corpus([tmp_path / "a.zst", tmp_path / "a.gz"])) == ["one", "two"] * 2


def flipped(data):
    return data[:len(data) // 2] + bytes([data[len(data) // 2] ^ 0xFF]) + data[len(data) // 2 + 1:]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:len(b) // 2], flipped, lambda b: b"no" + b,
                                    lambda b: b + b"trailing", lambda b: b"plain text"])
def test_a_damaged_archive_is_an_error_and_never_a_shorter_text(tmp_path, suffix, damage):
    noise = np.random.default_rng(0).integers(97, 122, 50_000, dtype=np.uint8).tobytes()
    path = written(tmp_path, noise, suffix)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FileError, match=f"E401.*a{suffix}"):
        list(Corpus(path))


@pytest.mark.parametrize(("data", "byte"), [(b"caf\xe9 au lait", 3), (b"a" * 7000 + b"\xe9b", 7000),
                                            (b"\xef\xbb\xbfab\xe9c", 5), ("é".encode() * 5 + b"\xc3", 10)])
@pytest.mark.parametrize("block", [3, 1000])
def test_text_that_is_not_utf_8_is_an_error_with_its_byte(tmp_path, monkeypatch, data, byte, block):
    monkeypatch.setattr(corpus_module, "BLOCK", block)
    with pytest.raises(FileError, match=f"E403.*byte {byte:,} is not UTF-8"):
        list(Corpus(written(tmp_path, data, ".gz")))


def test_missing_files_folders_and_packages_are_told_before_anything_is_read(tmp_path, monkeypatch):
    written(tmp_path)
    with pytest.raises(FileError, match="E404.*none"):
        Corpus([tmp_path / "a.txt", tmp_path / "none.txt"])
    with pytest.raises(FileError, match="E404.*folder"):
        Corpus(tmp_path)
    packed = written(tmp_path, suffix=".zst")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(TrainingError, match=r"E507.*pip install zstandard"):
        Corpus(packed)


@pytest.mark.parametrize("text", ["", "\n \n", "= Title ="])
def test_files_without_a_document_are_an_error(tmp_path, text):
    with pytest.raises(TextError, match="E104"):
        list(Corpus(written(tmp_path, text)))
    with pytest.raises(TextError, match="E104"):
        list(Corpus([]))


@given(st.lists(st.integers(1, 500), min_size=2, max_size=300), st.integers(1, 5000))
def test_what_is_held_out_is_evenly_spread_and_small_and_never_everything(lengths, total):
    lengths = np.array(lengths)
    rows = hold_out(lengths, total)
    assert 1 <= len(rows) < len(lengths) and len(set(np.diff(rows))) <= 1
    assert lengths[rows].sum() <= max(min(total, lengths.sum() / 10), lengths[rows[0]])


def test_a_large_corpus_keeps_as_much_aside_as_asked_for():
    lengths = np.random.default_rng(0).integers(1, 2000, 10_000)
    assert 45_000 < lengths[hold_out(lengths, 50_000)].sum() <= 50_000
    assert hold_out(np.full(50, 10)).tolist() == [9, 19, 29, 39, 49]
    with pytest.raises(TextError, match="E103"):
        hold_out(np.array([10]))


def test_rows_are_those_documents_of_the_corpus_in_its_order(tmp_path):
    some = Rows(Corpus(written(tmp_path)), np.array([2, 0]))
    assert list(some) == list(some) == [DOCS[0], DOCS[2]]


def test_a_real_corpus_reads_as_its_description_says():
    folder = os.environ.get("ULMFIT_EASY_CORPUS")
    if not folder:
        pytest.skip("set ULMFIT_EASY_CORPUS to a folder of .zst files whose documents begin with `= Title =`")
    file = sorted(Path(folder).glob("*.zst"))[0]
    with_title = list(islice(Corpus(file, headings=True), 50))
    assert all(doc.startswith("= ") and doc.count("\n= ") == 0 for doc in with_title)
    without = list(islice(Corpus(file), 50))
    assert not any(line.startswith("=") for doc in without for line in doc.split("\n"))


@pytest.mark.parametrize("name", ["reviews.csv", "Reviews.TSV.gz", "reviews.jsonl"])
def test_a_table_is_not_read_as_one_document(tmp_path, name):
    (tmp_path / name).write_text("text,label\ngood,1\n")
    with pytest.raises(FileError, match="E407.*ulmfit lm"):
        Corpus(tmp_path / name)
    (tmp_path / f"{name}.txt").write_text("its texts")
    assert list(Corpus(tmp_path / f"{name}.txt")) == ["its texts"]
