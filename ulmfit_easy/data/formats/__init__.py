"""Read the JSON of annotation tools as tables with the columns `text` and `label`, or `words` and `tags`.

Each file here has one format: a subclass of `Format`. To add a format, add a file.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from ulmfit_easy.errors import FileError
from ulmfit_easy.known import Known

FORMATS: Known[type["Format"]] = Known("format of labelled data", __name__)
WRONG = (LookupError, TypeError, ValueError, AttributeError)


class Format:
    """A format of labelled data. A subclass enters the table `FORMATS`.

    Attributes:
        name: what messages call it.
        shape: of one entry, for messages.
    """

    name: str
    shape: str

    def __init_subclass__(cls) -> None:
        FORMATS[cls.name] = cls

    @staticmethod
    def fits(rows: list[dict[str, Any]]) -> bool:
        """Return True if the entries of a file, one or more, are in this format."""
        raise NotImplementedError

    @staticmethod
    def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
        """Return them as a table. A row that teaches no label has "reject" or "ignore" in the column `answer`."""
        raise NotImplementedError


def table_of(rows: list[dict[str, Any]], path: str | Path) -> pd.DataFrame | None:
    """Return the entries of a file as a table, if they are in one of the formats. Otherwise return None.

    Raises: FileError E407 if they begin as a format does, and then differ from it.
    """
    for made_by in FORMATS.filled().values():
        try:
            if rows and made_by.fits(rows):
                return made_by.table(rows)
        except WRONG as e:
            raise FileError("E407", received=f"{path}, which is not in the format of {made_by.name} "
                            f"({type(e).__name__}: {e!s:.80})", expected=made_by.shape,
                            fix="export it again, or write a table with the columns text and label") from e
    return None
