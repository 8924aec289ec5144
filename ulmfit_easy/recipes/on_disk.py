"""Unlabelled texts in files that may be larger than memory: read in pieces, each time a language model needs them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ulmfit_easy.data.sources import is_missing
from ulmfit_easy.data.tables import TableOnDisk
from ulmfit_easy.errors import TextError, short
from ulmfit_easy.text.given import several_texts


class FileCorpus:
    """Texts for a language model: some in memory, and all in some tables. `TextDataLoaders.from_df` takes it.

    Missing, empty and blank texts of the tables are left out. Copies are not.

    Args:
        texts: come first.
        tables: CSV, JSON-lines or Parquet files.
        cols: the columns of the texts. Each field is a text.
        without: texts that are left out of the tables, such as those kept aside.

    Attributes:
        n_on_disk: texts of the tables that the last walk has found.
    """

    def __init__(self, texts: Sequence[str], tables: Sequence[TableOnDisk], cols: Sequence = ("text",),
                 without: Sequence[str] = ()):
        self.texts, self.tables, self.cols, self.without = texts, tables, cols, {*texts, *without}
        self.path, self.n_on_disk = tables[0].path, 0

    def __iter__(self) -> Iterator[str]:
        for piece in self.pieces():
            yield from piece["text"]

    def pieces(self) -> Iterator[pd.DataFrame]:
        """Return all texts as tables with the column `text`, piece by piece."""
        self.n_on_disk = 0
        if self.texts:
            yield pd.DataFrame({"text": [*self.texts]}, dtype=object)
        for table in self.tables:
            for piece in table.pieces():
                _check_named(piece, self.cols, table.path)
                rows = several_texts(piece, self.cols)
                fields = (field for row in rows for field in (row if isinstance(row, tuple) else [row]))
                found = [text for text in fields if not is_missing(text) and str(text).strip()
                         and text not in self.without]
                self.n_on_disk += len(found)
                yield pd.DataFrame({"text": found}, dtype=object)


def _check_named(piece: pd.DataFrame, cols: Sequence, path: Path) -> None:
    """Raise E102 for one column of another name: of a file of plain text it would be the first line."""
    (name, *others) = piece.columns
    if not others and isinstance(name, str) and name not in (*cols, "text"):
        raise TextError("E102", received=f"{path}, whose first line names the column {short(name)!r}",
                        expected=f"a table with the column {cols[0]!r}, for the texts",
                        fix=f"write {cols[0]} as the first line, and texts with commas between quotes")


def tables_of(given: Any) -> list[TableOnDisk]:
    """Return the tables that a `Path`, a `TableOnDisk`, or a list of them means. An empty list for anything else.

    Raises: TextError E101 for one string, which may be a text or the name of a file.
    """
    if isinstance(given, str):
        raise TextError("E101", received=f"unlabelled={short(given)!r}, one str", expected="a list of texts, or a Path",
                        fix="pass [text]; for a file pass Path(name)")
    several = given if isinstance(given, list | tuple) else [given]
    if not all(isinstance(each, Path | TableOnDisk) for each in several):
        return []
    return [TableOnDisk(each) if isinstance(each, Path) else each for each in several]
