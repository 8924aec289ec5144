"""Word vectors that others have counted: the files of GloVe, word2vec and fastText, and arrays of numpy."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from os import fstat
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ulmfit_easy.errors import FileError
from ulmfit_easy.files import existing, regular_file
from ulmfit_easy.schema import any_of, list_of, optional, path, takes, text, whole
from ulmfit_easy.text.corpus import lines_of

__all__ = ["WordVectors", "read_vectors"]

LONGEST = 1 << 10  # bytes of a word, and of the first line, in a binary file


class WordVectors(NamedTuple):
    """Words and their vectors: `vectors[stoi["film"]]` is the vector of "film"."""

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
        file: a text file of GloVe, word2vec or fastText (`.vec`), which may be compressed (`.gz`, `.zst`). Each line
            has a word and its D numbers with single blanks between them. A first line with two numbers is skipped. Or
            a binary file of word2vec (`.bin`). Or an array (N, D) in a `.npy` file, with `index`.
        words: the words to keep, spelt as in the file, such as `dls.text_vocab`. None keeps all words of the file.
        limit: read at most that many vectors. Most files begin with the most frequent words.
        index: the N words of a `.npy` file, or the name of a text file with one on each line.

    If a word occurs twice, its first vector counts.

    Raises: FileError E404 if the file does not exist. E403 if it is not UTF-8. E401 if a line has fewer numbers than
        the first, if a number is NaN or infinite, or if the file has none of `words`. E401 if a `.npy` file does not
        fit its words, or a `.bin` file is shorter than its first line says.
    """
    source, wanted = existing(file), None if words is None else {*words}
    if source.name.endswith((".bin.gz", ".bin.zst")):
        raise _refused(source, "which is packed", "word2vec's binary form as it is", "unpack the file first")
    stoi, rows = dict[str, int](), list[np.ndarray]()
    lines = (_of_array(source, index) if source.suffix == ".npy" else
             _of_binary(source) if source.suffix == ".bin" else _of_text(source))
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


Lines = Iterator[tuple[int, str, Sequence | np.ndarray]]  # number from 1; word; numbers, maybe as text


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


def _of_binary(file: Path) -> Lines:
    """Yield what word2vec's C program writes: a line with N and D, then each word, a blank and D float32 numbers."""
    with regular_file(file) as f:
        n_bytes = fstat(f.fileno()).st_size
        head = re.fullmatch(rb"(\d{1,12}) (\d{1,6})\r?\n", f.readline(LONGEST))
        n_words, n_dims = map(int, head.groups()) if head else (0, 0)
        if not n_words or not n_dims or n_words * (4 * n_dims + 2) > n_bytes - f.tell():
            raise _refused(file, f"{n_bytes:,} bytes that are not as many vectors as the first line says",
                           "word2vec's binary form: the number of words and of their numbers, then these",
                           "download the file again; of fastText's models take the .vec file")
        for n in range(1, n_words + 1):
            word = bytearray()
            while (byte := f.read(1)) != b" ":
                if not byte or len(word) > LONGEST:
                    raise _refused(file, f"whose word {n:,} does not end", "words with a blank after each")
                word += byte
            numbers = f.read(4 * n_dims)
            if len(numbers) < 4 * n_dims:
                raise _refused(file, f"which ends within vector {n:,}", f"{n_words:,} vectors")
            # that program cuts long words anywhere, even inside of a character
            yield n, bytes(word).lstrip(b"\n").decode(errors="replace"), np.frombuffer(numbers, "<f4")
        if f.read(2).strip():
            raise _refused(file, f"with more than its {n_words:,} vectors", "as many as its first line says")


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
             fix: str = "pass word vectors as GloVe, word2vec or fastText write them") -> FileError:
    return FileError("E401", received=f"{file}, {received}", expected=expected, fix=fix)
