"""Find out how a CSV file is written: its delimiter, blank lines that are rows, and quotes that join lines."""

import csv
import io
import re
from collections.abc import Callable, Iterable
from itertools import islice, takewhile
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ulmfit_easy.errors import in_rows
from ulmfit_easy.user_code import warn_user

HEAD = 1 << 16  # characters in which the form of a table is looked for
SAMPLE = 20  # rows that must all have as many fields for a delimiter to be believed
NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons"}


def csv_options(head: str, name: Path, delimiter: str | None, quoting: int,
                header: int | Literal["infer"] | None) -> dict:
    """Return the arguments of `pandas.read_csv` for a table that begins with `head`. The others as for `read_table`."""
    head = head.removeprefix("\ufeff")
    skip, named = 0, re.match(r"sep=([^\r\n])\r?\n", head, re.IGNORECASE)  # a line that Excel writes and reads
    if named:
        skip, delimiter, head = 1, delimiter or named[1], head[named.end():]
    elif delimiter is None:
        delimiter = "\t" if name.suffix.lower() in (".tsv", ".tab") else _guessed_delimiter(head, quoting)
    one_column = max(map(len, _records(head, delimiter, quoting, 1)), default=0) < 2
    if one_column and header is not None:
        skip += len(list(takewhile(lambda line: not line.strip(), _lines(head))))
    return {"sep": delimiter, "quoting": quoting, "dtype": str, "keep_default_na": False, "index_col": False,
            "skiprows": skip, "skip_blank_lines": not one_column}


def _guessed_delimiter(head: str, quoting: int) -> str:
    """Return a comma, unless the first row has none and a tab or semicolon gives the first rows as many fields each."""
    for delimiter in ",\t;":
        rows = _records(head, delimiter, quoting, SAMPLE)
        if rows and len(rows[0]) > 1 and (delimiter == "," or len(set(map(len, rows))) == 1):
            return delimiter
    return ","


def _records(head: str, delimiter: str, quoting: int, n: int) -> list[list[str]]:
    """Return the first n rows that are not blank, without one that may continue behind the head."""
    lines = _lines(head)
    whole = lines[:-1] if len(head) >= HEAD - 1 and len(lines) > 1 else lines
    try:
        rows = csv.reader(whole, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]  # one of csv.QUOTE_*
        return list(islice((row for row in rows if any(map(str.strip, row))), n))
    except (csv.Error, TypeError):  # a field without end, or a delimiter of several characters
        return []


def _lines(text: str) -> list[str]:
    return list(io.StringIO(text, newline=""))  # str.splitlines would end a line at other characters, too


def warn_of_quotes(df: pd.DataFrame, options: dict, misquoted: Callable[[], bool], first: int = 0) -> None:
    """Warn of rows that a lone " has joined: fields with line ends and delimiters, in a file with wrong quotes.

    Args:
        options: what `csv_options` gave.
        misquoted: takes a second look at the file. A TSV needs none, because a field with tabs and line ends is rare.
        first: the number of the first row.
    """
    sep = options["sep"]
    if options["quoting"] != csv.QUOTE_MINIMAL or len(sep) > 1:
        return
    joined = [[isinstance(v, str) and "\n" in v and sep in v for v in df.iloc[:, i]] for i in range(df.shape[1])]
    rows = first + np.flatnonzero(np.any(joined, axis=0))
    if len(rows) and (sep == "\t" or misquoted()):
        warn_user(f"line ends and {NAMES.get(sep, repr(sep))} between quotes, in {in_rows(rows)}: if \" is an "
                  "ordinary character here, lines were joined; pass quoting=csv.QUOTE_NONE")


def is_misquoted(lines: Iterable[str], delimiter: str) -> bool:
    """Return True if letters follow the end of a quoted field, as they do after a lone "."""
    try:
        for _ in csv.reader(lines, delimiter=delimiter, strict=True):
            pass
    except csv.Error as e:
        return "expected after" in str(e)
    return False
