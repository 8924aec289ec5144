"""Word vectors that others have counted: the text files of GloVe, word2vec and fastText, and arrays of numpy."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ulmfit_easy.errors import FileError
from ulmfit_easy.files import existing, regular_file
from ulmfit_easy.schema import any_of, list_of, optional, path, takes, text, whole
from ulmfit_easy.text.corpus import lines_of

__all__ = ["WordVectors", "read_vectors"]


class WordVectors(NamedTuple):
    """Words and their vectors."""

    stoi: dict[str, int]
    vectors: np.ndarray  # (N, D) float32

    def of(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors of V words, (V, D), zeros if unknown, and which words have one, (V,) bool."""
        at = np.array([self.stoi.get(word, -1) for word in words], dtype=np.int64)  # (V,)
        return np.where(at[:, None] >= 0, self.vectors[at], np.float32(0)), at >= 0


@takes({"file": path, "limit": optional(whole()), "index": optional(any_of(path, list_of(text)))})
def read_vectors(file: str | Path, words: Iterable[str] | None = None, limit: int | None = None,
                 index: str | Path | Sequence[str] | None = None) -> WordVectors:
    """Return word vectors from a file. Only those of `words` are kept, so that a file of any size fits into memory.

    Args:
        file: a word and its D numbers on each line, parted by single blanks, as GloVe, word2vec and fastText (`.vec`)
            write it. A first line with two numbers is passed over. UTF-8, also as `.gz` or `.zst`. It is read once,
            line by line. Or an array (N, D) in a `.npy` file, with `index`.
        words: as they stand in the file, such as `dls.text_vocab`. None keeps all that the file has.
        limit: read no more than so many vectors. Files have the most frequent words first.
        index: the N words of a `.npy` file, or the name of a text file with one on each line.

    A word that is there twice has its first vector.

    Raises: FileError E404 if nothing is there, E403 for other encodings. E401 for a line with fewer numbers than the
        first, for numbers that are not finite, for a `.npy` file that does not fit its words, for word2vec's binary
        form, and if none of the words is there.
    """
    source, wanted = existing(file), None if words is None else {*words}
    if source.suffix == ".bin":
        raise _refused(source, "in word2vec's binary form", "text, or a .npy file")
    stoi, rows = dict[str, int](), list[np.ndarray]()
    lines = _of_array(source, index) if source.suffix == ".npy" else _of_text(source)
    for n, word, numbers in islice(lines, limit):
        if word in stoi or not (wanted is None or word in wanted):
            continue
        try:
            row = np.array(numbers, np.float32)  # (D,)
        except ValueError as e:
            raise _refused(source, f"whose line {n:,} is not a word and {len(numbers)} numbers ({e})",
                           "a word and its numbers, parted by blanks") from e
        stoi[word] = len(rows)
        rows.append(row)
    if not rows:
        raise _refused(source, "with none of the words", "vectors of words in this language, in lower case")
    if not np.isfinite(vectors := np.stack(rows)).all():  # (N, D)
        raise _refused(source, "with numbers that are not finite", "word vectors")
    return WordVectors(stoi, vectors)


Lines = Iterator[tuple[int, str, Sequence]]  # number of the line, from 1; word; numbers, which may still be text


def _of_text(file: Path) -> Lines:
    n_dims = 0
    for n, line in enumerate(lines_of(file), 1):
        word, *numbers = line.rstrip(" ").rsplit(" ", n_dims or -1)  # a word may have blanks in it
        if not line or (n == 1 and len(numbers) == 1):
            continue
        n_dims = n_dims or len(numbers)
        if len(numbers) != n_dims or not n_dims:
            raise _refused(file, f"whose line {n:,} has {len(numbers)} numbers after the word",
                           f"{n_dims or 'some'}, as on the lines before")
        yield n, word, numbers


def _of_array(file: Path, index: str | Path | Sequence[str] | None) -> Lines:
    if index is None:
        raise _refused(file, "an array without its words", "the words of its rows",
                       "pass index=, a list of words or a text file with one on each line")
    words = [word for word in lines_of(Path(index)) if word] if isinstance(index, str | Path) else index
    try:
        with regular_file(file):
            array = np.load(file, mmap_mode="r", allow_pickle=False)  # (N, D), read as it is needed
    except (ValueError, EOFError) as e:
        raise _refused(file, f"which numpy cannot read ({e!s:.100})", "an array (N, D) of numbers") from e
    if array.ndim != 2 or array.dtype.kind != "f" or len(array) != len(words):
        raise _refused(file, f"an array {array.shape} of {array.dtype} for {len(words):,} words",
                       "numbers (N, D) and N words", "pass the index= that belongs to it")
    yield from zip(range(1, len(words) + 1), words, array, strict=True)


def _refused(file: Path, received: str, expected: str,
             fix: str = "pass word vectors in GloVe's or word2vec's text form") -> FileError:
    return FileError("E401", received=f"{file}, {received}", expected=expected, fix=fix)
