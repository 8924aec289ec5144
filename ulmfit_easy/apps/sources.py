"""What a command reads: a table, or a folder of texts as one."""

import warnings
from pathlib import Path

from ulmfit_easy.errors import FileError, LabelError, TextError, some


def read_any(path: Path, columns, args):
    """A table; or a folder of folders as one: texts and folder names under the names `columns`, and the files."""
    from ulmfit_easy.data.sources import find_column, read_table
    from ulmfit_easy.files import existing

    if existing(path).is_dir():
        return _folder(path, columns, args.encoding)
    try:
        df = read_table(path, encoding=args.encoding, quoting=args.quoting, delimiter=args.delimiter)
        for column in columns:
            find_column(df, column)
    except (FileError, TextError) as e:
        if path.suffix.lower() not in (".txt", ".text", ".md") or e.code not in ("E102", "E104", "E407"):
            raise
        raise FileError("E407", received=f"{path}, which is no table with a column {columns[0]!r}",
                        expected="a table, of which a .txt file has tabs between the columns",
                        fix=f"make a table of it; or learn from plain text, which `ulmfit pretrain --corpus {path}` "
                        "reads as .txt, and then name that model with --pretrained") from e
    return df


def _folder(path: Path, columns, encoding):
    import pandas as pd

    from ulmfit_easy.data.sources import get_text_files, parent_label
    from ulmfit_easy.files import read_text

    files = get_text_files(path)
    if len(columns) > 1 and (loose := [f.name for f in files if f.parent == path]):
        raise LabelError("E207", received=f"{some(loose)} in {path}", expected="each text in a folder of its class",
                         fix="move these files to such folders, or away")
    if others := sorted({f for f in path.rglob("*") if f.is_file()} - set(files)):
        warnings.warn(f"{len(others):,} files in {path} are hidden or do not end in .txt, and were left out: "
                      f"{some(f.relative_to(path) for f in others)}", stacklevel=2)
    found = [(f.relative_to(path), read_text(f, encoding), parent_label(f)) for f in files]
    names = ["file", *columns]
    return pd.DataFrame([row[: len(names)] for row in found], columns=names)
