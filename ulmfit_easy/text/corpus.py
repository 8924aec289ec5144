"""Documents of files that may be larger than the memory, read one after the other: plain, `.gz`, `.zst` or Parquet."""

import codecs
import gzip
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from glob import glob
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ulmfit_easy.decoding import guess_encoding
from ulmfit_easy.errors import FileError, TextError, some
from ulmfit_easy.extras import optional_package
from ulmfit_easy.files import existing, regular_file

BLOCK = 1 << 16  # bytes that are read at once
LONGEST = 1 << 20  # characters of a document; what is longer comes in several
TABLES = (".csv", ".tsv", ".json", ".jsonl")
PARQUET, ROWS = ".parquet", 1000  # rows that are read at once
HELD_OUT = 500_000  # characters, about 100,000 English tokens
_HEADING = re.compile(r"\s*(=+) .+ \1\s*")  # as Wikipedia writes them


class Corpus:
    """The documents of text files, as an iterable of strings. Each loop over it reads the files again.

    Documents are separated by blank lines. The lines of one are joined by line feeds. One document is in memory at a
    time. One of more than `LONGEST` characters (a million) comes as several, cut at the ends of lines. So a file
    without blank lines, or even without line ends, is read in bounded memory too.

    Each row of a Parquet file is a document. Missing, empty and blank ones are left out.

    Args:
        files: UTF-8 text, compressed where the name ends in `.gz` or `.zst` (which needs the package zstandard), or
            Parquet (which needs pyarrow).
        headings: keep lines such as `= Title =` and `== Section ==`. They are dropped by default: no text that a
            model will meet later marks its headings like this. Published WikiText perplexities count them.
        text_col: the column of Parquet files with the texts.

    Raises:
        FileError: E404 for a missing file, E407 for one with the name of a table. While reading, E403 for a byte that
            is not UTF-8, E401 for damaged data and for a pipe or a device.
        TextError: E102 for a Parquet file without that column, E101 for one with other values than texts in it. E104,
            at the end of the last file, if there was no document.
        TrainingError: E507 without the package that a file needs.
    """

    def __init__(self, files: Iterable[str | Path] | str | Path, headings: bool = False, text_col: str = "text"):
        self.files = [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]
        self.headings, self.text_col = headings, text_col
        for file in self.files:
            if existing(file).is_dir():
                raise FileError("E404", received=f"the folder {file}", expected="text files", fix=f"try {file}/*.txt")
            plain = file.with_suffix("") if file.suffix in (".gz", ".zst") else file
            if plain.suffix.lower() in TABLES:
                raise FileError("E407", received=f"{file}, a table",
                                expected="plain text, documents between blank lines",
                                fix="write its texts to a .txt or Parquet file (`ulmfit lm` reads CSV and TSV)")
            if file.suffix == ".zst":
                optional_package("zstandard")
            if file.suffix == PARQUET:
                _check_column(file, text_col)

    def __iter__(self) -> Iterator[str]:
        empty = True
        for file in self.files:
            for document in self._documents(file):
                empty = False
                yield document
        if empty:
            raise TextError("E104", received=f"{some(self.files) or 'no files'} without a document",
                            expected="one or more", fix="check them; a heading alone is none")

    def _documents(self, file: Path) -> Iterator[str]:
        if file.suffix == PARQUET:
            yield from (part for cell in _cells(file, self.text_col) for part in _parts(cell))
            return
        lines, size = list[str](), 0
        for line in chain(lines_of(file), [""]):
            blank = not line or line.isspace()
            if lines and (blank or size + len(line) > LONGEST):
                yield "\n".join(lines)
                lines, size = [], 0
            if not blank and (self.headings or not _HEADING.fullmatch(line)):
                lines.append(line)
                size += len(line) + 1


def matching(*names: str | Path) -> list[Path]:
    """Return the files that patterns such as `in/*.parquet` stand for, sorted. Other names stay as they are.

    Raises: E404 for a pattern without files.
    """
    found = list[Path]()
    for name in names:
        is_pattern = {*os.fspath(name)} & {*"*?["} and not os.path.lexists(name)
        several = sorted(glob(os.fspath(name), recursive=True)) if is_pattern else [name]
        found += map(Path, several or [existing(name)])
    return found


class Rows:
    """Some of the documents of a corpus, in its order."""

    def __init__(self, corpus: Iterable[str], rows: Iterable[int]):
        rows = np.asarray(rows, np.int64)
        self.corpus = corpus
        self.marked = np.zeros(rows.max(initial=-1) + 1, bool)  # a bit of memory for each document, not a set of rows
        self.marked[rows] = True

    def __iter__(self) -> Iterator[str]:
        n = len(self.marked)
        return (document for i, document in enumerate(self.corpus) if i < n and self.marked[i])


def hold_out(lengths: np.ndarray, total: int = HELD_OUT) -> np.ndarray:
    """Return every k-th of N documents, (M,) row positions, with `total` characters in all, a tenth of a small corpus.

    Raises: TextError E103 for one document alone.
    """
    if len(lengths) < 2:
        raise TextError("E103", received="one document",
                        expected="documents to learn from and documents to validate with",
                        fix="put blank lines between documents, or name files to validate with")
    total = min(total, int(lengths.sum()) // 10)
    k = min(len(lengths), round(lengths.sum() / max(1, total)))
    rows = np.arange(k - 1, len(lengths), k)
    return rows[np.cumsum(lengths[rows]) <= max(total, lengths[rows[0]])]


def _check_column(file: Path, column: str) -> None:
    """Raise E102 for a Parquet file without a column, and E101 for one that has no texts."""
    with _parquet(file) as table:
        schema = table.schema_arrow
    if column not in schema.names:
        raise TextError("E102", received=f"{file} with the columns {some(schema.names)}", expected=f"{column!r}, with "
                        "the texts", fix="name the column of the texts with text_col=")
    if not re.match("(large_)?string|dictionary<values=string", str(schema.field(column).type)):
        raise TextError("E101", received=f"{file}, whose column {column!r} has {schema.field(column).type}",
                        expected="texts", fix="name the column of the texts with text_col=")


def _cells(file: Path, column: str) -> Iterator[str]:
    """Yield the texts of a column of a Parquet file, without missing, empty and blank ones."""
    with _parquet(file) as table:
        for batch in table.iter_batches(ROWS, columns=[column]):
            yield from (cell for cell in batch.column(0).to_pylist() if cell and not cell.isspace())


@contextmanager
def _parquet(file: Path) -> Iterator[Any]:
    """Open a Parquet file. E507 without pyarrow, E401 for damaged data."""
    pyarrow, parquet = optional_package("pyarrow"), optional_package("pyarrow.parquet")
    try:
        with regular_file(file) as source, parquet.ParquetFile(source) as table:
            yield table
    except (pyarrow.ArrowException, OSError) as e:
        if isinstance(e, FileError):
            raise
        raise FileError("E401", received=f"{file}, which is damaged or no Parquet file ({e})",
                        expected="whole Parquet data", fix="fetch or write it again") from e


def lines_of(file: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 text file, plain, `.gz` or `.zst`, without line ends. Very long ones in parts."""
    return _lines(_characters(file))


def _lines(blocks: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a text that comes in blocks, without their ends. In parts, where they are very long."""
    rest = ""
    for block in blocks:
        *lines, rest = (rest + block).split("\n")
        for line in lines:
            yield from _parts(line.removesuffix("\r"))
        *parts, rest = _parts(rest)
        yield from parts
    yield rest


def _parts(line: str) -> list[str]:
    """Return the line in parts of at most `LONGEST` characters, cut at blanks if there are any."""
    parts = []
    while len(line) > LONGEST:
        cut = line.rfind(" ", 1, LONGEST) if " " in line[1:LONGEST] else LONGEST
        parts.append(line[:cut])
        line = line[cut:]
    return [*parts, line]


def _characters(file: Path) -> Iterator[str]:
    """Yield the text of a file, block by block, without a byte-order mark."""
    decoder, read = codecs.getincrementaldecoder("utf-8-sig")(), 0
    for data in chain(_bytes(file), [b""]):
        read += len(data)
        try:
            yield decoder.decode(data, final=not data)
        except UnicodeDecodeError as e:
            byte = read - len(e.object) + e.start
            raise FileError("E403", received=f"{file}, whose byte {byte:,} is not UTF-8", expected="UTF-8 text",
                            fix=f"convert it; it looks like {guess_encoding(e.object)}") from e


def _bytes(file: Path) -> Iterator[bytes]:
    """Yield the unpacked bytes of a file, none of them empty."""
    try:
        with regular_file(file) as packed, gzip.open(packed) if file.suffix == ".gz" else nullcontext(packed) as f:
            blocks = iter(lambda: f.read(BLOCK), b"")
            yield from _unzstd(blocks) if file.suffix == ".zst" else blocks
    except (gzip.BadGzipFile, zlib.error, EOFError) as e:
        raise FileError("E401", received=f"{file}, which is damaged or cut short ({e})",
                        expected=f"whole {file.suffix} data", fix="fetch or write it again") from e


def _unzstd(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress Zstandard frames. zstandard's own reader would take a file that is cut short for a whole one."""
    import zstandard

    frame = None
    try:
        for data in blocks:
            while data:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                if unpacked := frame.decompress(data):
                    yield unpacked
                data, frame = (frame.unused_data, None) if frame.eof else (b"", frame)
    except zstandard.ZstdError as e:
        raise EOFError(e) from e
    if frame is not None:
        raise EOFError("the last frame has no end")
