"""vectors.py: what is in a file of word vectors comes out as it is, and nothing else is taken for one."""

import gzip

import numpy as np
import pytest

from ulmfit_easy.errors import FileError
from ulmfit_easy.text.vectors import read_vectors

LINES = ["the 0.5 -1 2e-1", "film 1 2 3", "été 0 0 1", "the 9 9 9", "... 4 5 6"]
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
    vectors, known = read_vectors(write(lines, name), WORDS)
    assert known.tolist() == [False, True, True, True, False, True] and vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [[0] * 3, [1, 2, 3], [.5, -1, .2], [0, 0, 1], [0] * 3, [4, 5, 6]], rtol=1e-6)


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
