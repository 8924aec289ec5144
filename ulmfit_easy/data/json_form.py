"""Read JSON lines, and JSON of other shapes, as tables."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import pandas as pd

from ulmfit_easy.data.formats import table_of
from ulmfit_easy.errors import FileError

SEEN = 2_000  # lines that decide if a file is of JSON lines


def json_table(path: Path, text: str) -> pd.DataFrame:
    """Return one row for each line, or each object of one list. Values stay what JSON says they are."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as e:  # at the second of several lines
        if text.lstrip().startswith("["):
            raise _refused(path, "all", f"no JSON ({e})") from e
        found = None
    if isinstance(found, dict | list):
        rows = found if isinstance(found, list) else [found]
        for number, row in enumerate(rows, 1):
            _check(row, path, f"entry {number}")
    else:
        rows = list(_objects(path, text.split("\n")))  # nothing else ends a line
    if not any(rows):
        raise empty(path)
    table = table_of(rows, path)
    return pd.DataFrame(rows, dtype=object) if table is None else table


def keys_of_lines(path: Path, lines: Iterable[str]) -> list[str] | None:
    """Return all keys of JSON lines. None for other JSON, and for what annotation tools write: it is read whole.

    Raises: E407 for a later line that is no object, and for an empty file.
    """
    lines = iter(lines)
    try:
        head = list(_objects(path, islice(lines, SEEN)))
    except FileError:
        return None
    if table_of(head, path) is not None:
        return None
    if not (keys := list(dict.fromkeys(key for row in chain(head, _objects(path, lines, SEEN)) for key in row))):
        raise empty(path)
    return keys


def json_pieces(path: Path, lines: Iterable[str], keys: list[str], chunksize: int) -> Iterator[pd.DataFrame]:
    """Yield the rows of JSON lines as tables of `chunksize` rows with these columns, at least one table."""
    rows = _objects(path, lines)
    piece = list(islice(rows, chunksize))
    while True:
        yield pd.DataFrame(piece, columns=keys, dtype=object)
        if not (piece := list(islice(rows, chunksize))):
            return


def without_mark(file: IO[str]) -> Iterator[str]:
    """Yield the lines of a file without its byte-order mark."""
    yield file.readline().removeprefix("\ufeff")
    yield from file


def _objects(path: Path, lines: Iterable[str], before: int = 0) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, before + 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as e:
            raise _refused(path, f"line {number}", f"no JSON ({e})") from e
        _check(row, path, f"line {number}")
        yield row


def _check(row: object, path: Path, where: str) -> None:
    if not isinstance(row, dict):
        raise _refused(path, where, f"a {type(row).__name__}")


def empty(path: Path) -> FileError:
    return FileError("E407", received=f"{path}, which is empty", expected="a table", fix="check how it was written; "
                     "a header alone is a table without rows")


def _refused(path: Path, where: str, why: str) -> FileError:
    return FileError("E407", received=f"{path}, {where} of which is {why}", expected="a JSON object, {...}, for "
                     "each row", fix="write one object per line, or one list of objects")
