"""Read the input of a command: a table, or a folder of texts as one."""

import argparse
import shlex
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ulmfit_easy.errors import FileError, TextError, nearest, short

if TYPE_CHECKING:
    import pandas as pd


def read_any(path: Path, columns: Sequence[str], args: argparse.Namespace) -> "pd.DataFrame":
    """Read a table, or a folder of folders as one: texts and folder names in `columns`, and the files."""
    from ulmfit_easy.data.sources import find_columns, likely_column, read_table
    from ulmfit_easy.files import existing

    if existing(path).is_dir():
        return _folder(path, columns, args.encoding)
    try:
        df = read_table(path, encoding=args.encoding, quoting=args.quoting, delimiter=args.delimiter)
        try:
            find_columns(df, columns)
        except TextError as e:
            taken, flags = list[Hashable](column for column in columns if column in df.columns), list[str]()
            for column, kind in zip(columns, ("text", "label"), strict=False):
                if column not in taken:
                    taken.append(name := nearest(column, df.columns, 0.75) or likely_column(df, kind, taken))
                    flags.append(f"--{kind} {_typed(name)}")
            raise TextError(e.code, received=e.received, expected=e.expected,
                            fix=f"name the column{'s' * (len(flags) > 1)}, e.g. {' '.join(flags)}") from e
    except (FileError, TextError) as e:
        if path.suffix.lower() not in (".txt", ".text", ".md") or e.code not in ("E102", "E104", "E407"):
            raise
        raise FileError("E407", received=f"{path}, which is no table with a column {columns[0]!r}",
                        expected="a table, of which a .txt file has tabs between the columns",
                        fix=f"make a table of it; or learn from plain text, which `ulmfit pretrain --corpus {path}` "
                        "reads as .txt, and then name that model with --pretrained") from e
    return df


def _typed(name: object) -> str:
    """Return the name of a column for a shell; "COL" for one that nobody would type: a text, without a header."""
    text = "" if name is None else str(name)
    return shlex.quote(text) if text and text.isprintable() and short(text) == text else "COL"


def texts_in(df: "pd.DataFrame", column: str) -> list:
    """Return the cells of a column, with an empty text for each missing one."""
    from ulmfit_easy.data.sources import is_missing

    return ["" if is_missing(cell) else cell for cell in df[column]]


def _folder(path: Path, columns: Sequence[str], encoding: str) -> "pd.DataFrame":
    import pandas as pd

    from ulmfit_easy.data.folders import classes_of_files, folder_texts
    from ulmfit_easy.decoding import read_text

    files, labels = folder_texts(path), None
    if len(columns) > 1:
        files, labels = classes_of_files(path, files)
    values = [[read_text(file, encoding) for file in files], *([labels] if labels else [])]
    return pd.DataFrame({"file": [file.relative_to(path) for file in files], **dict(zip(columns, values, strict=True))},
                        dtype=object)
