"""vectors.py: what is in a file of word vectors comes out as it is, and nothing else is taken for one."""

import gzip

import numpy as np
import pytest

from ulmfit_easy.errors import FileError
from ulmfit_easy.text.vectors import read_vectors

LINES = ["the 0.5 -1 2e-1", "film 1 2 3", "été 0 0 1", "the 9 9 9", ". . . 7 8 9", "... 4 5 6"]
WORDS = ["xxunk", "film", "the", "été", "unheard", "..."]


@pytest.fixture
def write(tmp_path):
    def to(lines, name="vectors.txt"):
        path, data = tmp_path / name, ("\n".join(lines) + "\n").encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path
    return to


@pytest.mark.parametrize("lines", [LINES, ["5 3", *LINES], [line + " " for line in LINES]],
                         ids=["GloVe", "word2vec", "blanks at the end"])
@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
def test_words_have_their_vectors_and_the_others_none(write, lines, name):
    vectors, known = read_vectors(write(lines, name), WORDS).of(WORDS)
    assert known.tolist() == [False, True, True, True, False, True] and vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [[0] * 3, [1, 2, 3], [.5, -1, .2], [0, 0, 1], [0] * 3, [4, 5, 6]], rtol=1e-6)


def test_all_words_are_kept_unless_some_are_asked_for(write):
    every = read_vectors(write(LINES))
    assert list(every.stoi) == ["the", "film", "été", ". . .", "..."] and every.vectors.shape == (5, 3)
    assert list(read_vectors(write(["6 3", *LINES]), limit=2).stoi) == ["the", "film"]
    few = read_vectors(write(LINES), ["...", "the", "unheard"])
    assert few.vectors.tolist() == [every.vectors[0].tolist(), [4, 5, 6]]


@pytest.mark.parametrize("as_file", [True, False])
def test_an_array_has_the_words_of_its_index(tmp_path, as_file):
    np.save(tmp_path / "rows.npy", np.arange(6, dtype=np.float16).reshape(3, 2))
    (tmp_path / "words.txt").write_text("the\nfilm\n...\n")
    index = tmp_path / "words.txt" if as_file else ["the", "film", "..."]
    found = read_vectors(tmp_path / "rows.npy", ["film"], index=index)
    assert found.stoi == {"film": 0} and found.vectors.tolist() == [[2, 3]] and found.vectors.dtype == np.float32


@pytest.mark.parametrize(("array", "index", "told"), [
    (np.ones((3, 2)), None, "without its words.*index="), (np.ones((3, 2)), ["the"], r"\(3, 2\).*for 1 words"),
    (np.ones(3), ["a", "b", "c"], r"\(3,\)"), (np.array([["a"]]), ["a"], "<U1"),
    (np.array([[object()]]), ["a"], "numpy cannot read")])
def test_an_array_that_does_not_fit_its_words_is_e401(tmp_path, array, index, told):
    np.save(tmp_path / "rows.npy", array, allow_pickle=True)
    with pytest.raises(FileError, match=rf"\[E401\].*{told}"):
        read_vectors(tmp_path / "rows.npy", index=index)


def binary(words, rows, end=b"\n"):
    """Return what word2vec writes; gensim writes no line ends."""
    numbers = np.array(rows, "<f4")
    return b"%d %d\n" % numbers.shape + b"".join(
        word + b" " + row.tobytes() + end for word, row in zip(words, numbers, strict=True))


SAID, ROWS = ["the", "Oslo", "caf\u00e9", "the"], [[1, 2, 3], [-4, 5.5, 6], [7, 8, 9], [0, 0, 0]]
WHOLE = binary([word.encode() for word in SAID], ROWS)


@pytest.mark.parametrize("end", [b"\n", b""])
def test_the_binary_form_of_word2vec_is_read(tmp_path, end):
    (tmp_path / "vectors.bin").write_bytes(binary([word.encode() for word in SAID], ROWS, end))
    found = read_vectors(tmp_path / "vectors.bin")
    assert found.stoi == {"the": 0, "Oslo": 1, "caf\u00e9": 2} and found.vectors.tolist() == ROWS[:3]
    assert [*read_vectors(tmp_path / "vectors.bin", limit=2).stoi] == ["the", "Oslo"]
    assert read_vectors(tmp_path / "vectors.bin", ["Oslo"]).vectors.tolist() == ROWS[1:2]


def test_a_word_that_was_cut_inside_of_a_character_spoils_no_other(tmp_path):
    (tmp_path / "vectors.bin").write_bytes(binary(["\u00e9".encode()[:1], b"the"], [[1], [2]]))
    assert read_vectors(tmp_path / "vectors.bin", ["the"]).vectors.tolist() == [[2]]


@pytest.mark.parametrize(("content", "said"), [
    (b"", "0 bytes"), (b"\x80\x04pickle", "first line"), (b"PK\x03\x04", "first line"), (b"0 3\n", "first line"),
    (b"-1 3\nthe ", "first line"), (b"999999999999 300\nthe ", "not as many"), (b"1 999999\nthe ", "not as many"),
    (b"9" * 5000, "first line"), (WHOLE[:-9], "ends within"), (WHOLE.replace(b"4 3", b"3 3"), "more than its 3"),
    (b"1 1\n" + b"a" * 2000 + b" 1234", "does not end"), (b"1 1\nabcdefgh", "does not end"),
    (b"1 2\nabcd 1234567", "ends within"), (binary([b"a"], [[np.nan]]), "not finite"),
    (binary([b"a"], [[np.inf]]), "not finite"), (b"\xba\x16\x4f\x2f\x0c\0\0\0", "\\.vec")], ids=repr)
def test_a_binary_file_that_is_not_what_its_first_line_says_is_e401(tmp_path, content, said):
    (tmp_path / "vectors.bin").write_bytes(content)
    with pytest.raises(FileError, match=rf"\[E401\].*{said}"):
        read_vectors(tmp_path / "vectors.bin")


def test_no_change_of_a_binary_file_gives_anything_but_vectors_or_a_coded_error(tmp_path):
    rng, file = np.random.default_rng(0), tmp_path / "vectors.bin"
    for _ in range(200):
        content = bytearray(WHOLE)
        content[rng.integers(len(content))] = rng.integers(256)
        file.write_bytes(content[:rng.integers(1, len(content) + 1)] if rng.random() < 0.5 else content)
        try:
            assert np.isfinite(read_vectors(file).vectors).all()
        except FileError as e:
            assert "[E401]" in str(e)


def test_a_packed_binary_file_is_e401(tmp_path):
    (tmp_path / "vectors.bin.gz").write_bytes(b"")
    with pytest.raises(FileError, match=r"\[E401\].*unpack"):
        read_vectors(tmp_path / "vectors.bin.gz")


@pytest.mark.parametrize(("lines", "told"), [
    (["film 1 2 3", "the 1 2"], "line 2 has 2 numbers"), (["film 1 x 3"], "line 1 is not"),
    (["cinema 1 2"], "none of the words"),
    (["film 1 nan"], "not finite"), ([""], "none of the words"), (["film"], "line 1 has 0")])
def test_what_is_no_word_vector_is_e401_and_says_where(write, lines, told):
    with pytest.raises(FileError, match=rf"\[E401\].*{told}"):
        read_vectors(write(lines), WORDS)


def test_no_file_and_other_encodings_have_their_codes(tmp_path):
    with pytest.raises(FileError, match="E404"):
        read_vectors(tmp_path / "no.txt", WORDS)
    (tmp_path / "latin.txt").write_bytes("été 1 2\n".encode("latin-1"))
    with pytest.raises(FileError, match="E403"):
        read_vectors(tmp_path / "latin.txt", WORDS)
