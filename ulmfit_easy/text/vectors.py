"""Word vectors that others have counted, from the text files of GloVe, word2vec and fastText."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ulmfit_easy.errors import FileError
from ulmfit_easy.files import existing
from ulmfit_easy.text.corpus import lines_of


def read_vectors(file: str | Path, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of words, (V, D) float32, zeros if unknown, and which words the file has, (V,) bool.

    Args:
        file: a word and its D numbers on each line, parted by single blanks; a first line with two numbers, as
            word2vec writes it, is passed over. UTF-8, also as `.gz` or `.zst`. It is read once, line by line.
        words: V of them, as they stand in the file.

    Raises:
        FileError: E404 where nothing is, E403 for other encodings, E401 for a line with another number of numbers, for
            numbers that are not finite, and where none of the words is there.
    """
    def refused(received: str, expected: str) -> FileError:
        return FileError("E401", received=f"{file}, {received}", expected=expected,
                         fix="pass word vectors in GloVe's or word2vec's text form")

    at, vectors, n_dims = {word: i for i, word in enumerate(words)}, None, None
    known = np.zeros(len(words), bool)
    for n, line in enumerate(lines_of(existing(file)), 1):
        word, *numbers = line.rstrip(" ").split(" ")
        if not line or (n == 1 and len(numbers) == 1):
            continue
        n_dims = n_dims or len(numbers)
        if len(numbers) != n_dims or not n_dims:
            raise refused(f"whose line {n:,} has {len(numbers)} numbers after the word",
                          f"{n_dims or 'some'}, as on the lines before")
        if (i := at.get(word)) is None or known[i]:
            continue
        if vectors is None:
            vectors = np.zeros((len(words), n_dims), np.float32)
        try:
            vectors[i] = numbers
        except ValueError as e:
            raise refused(f"whose line {n:,} is not a word and {n_dims} numbers ({e})",
                          "a word and its numbers, parted by blanks") from e
        known[i] = True
    if vectors is None or not np.isfinite(vectors).all():
        raise refused("with none of the words" if vectors is None else "with numbers that are not finite",
                      "vectors of words in this language, in lower case")
    return vectors, known
