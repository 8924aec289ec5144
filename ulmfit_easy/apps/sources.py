"""Read the input of a command: a table, a folder of texts, standard input, or texts that were typed."""

import argparse
import csv
import io
import re
import shlex
import sys
import tempfile
from collections.abc import Hashable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ulmfit_easy.errors import ArgumentError, FileError, LabelError, TextError, UlmfitError, nearest, short, some

if TYPE_CHECKING:
    import pandas as pd

    from ulmfit_easy.data.tables import TableOnDisk

STDIN = "-"
BETWEEN = ",;\t|"  # what tables have between their columns

# kinds of labels that have files of their own: the columns of these
COLUMNS = {"tags": (["words"], "tags"), "span": (["question", "context"], "answers")}
PIECE = 2_000  # rows, so that texts, tokens and answers of a piece take a few MB
MOST_RATINGS = 10  # different numbers with fractions that may still be classes, such as 0.5 to 5 stars
WORDS_WITH_TAGS = (".conll", ".conllu", ".iob", ".iob2", ".bio")
ENDINGS: dict[str | None, tuple[str, ...]] = {"tags": (*WORDS_WITH_TAGS, ".txt")}  # if somebody names the kind


class Labelled(NamedTuple):
    """A table of labelled texts: its columns, and the kind of labels, None for one class each."""

    df: "pd.DataFrame"
    text: list[str]
    label: str
    kind: str | None


def read_labelled(path: Path, args: argparse.Namespace) -> Labelled:
    """Read a table of labelled texts, and find its columns and the kind of its labels unless the arguments name them.

    Words with tags (CoNLL) and answers (SQuAD) are known by their files or columns. Several classes are lists. Numbers
    to predict look like classes, so only `--task regression` names them.
    """
    from ulmfit_easy.files import existing

    kind = args.task or ("multi" if args.label_delim else None)
    if str(path) != STDIN and existing(path).is_dir():
        columns = args.text or ["text"], args.label or "label"
        return Labelled(read_any(path, [*columns[0], columns[1]], args, len(columns[0])), *columns, kind)
    df = _standard_input([], args) if str(path) == STDIN else _table(path, args, kind)
    kinds = () if {"text", "label"} <= {*df.columns} else COLUMNS.items()
    told = COLUMNS.get(kind or next((each for each, (texts, label) in kinds if {*texts, label} <= {*df.columns}), ""),
                       (["text"], "label"))
    text, label = args.text or told[0], args.label or told[1]
    check_columns(df, [*text, label], len(text), path)
    return Labelled(df, text, label, kind or _kind_of(df, text, label))


def _kind_of(df: "pd.DataFrame", text: Sequence[str], label: str) -> str | None:
    """Return the kind of labels that the cells of a column are. None for one class each."""
    _check_classes(df, text, label)
    cells, texts = ([each.tolist() if hasattr(each, "tolist") else each for each in df[name].head(100)]
                    for name in (label, text[0]))
    if not cells or not all(isinstance(each, list | dict) for each in cells):
        return None
    if any("answer_start" in part for each in cells for part in (each[:1] if isinstance(each, list) else [each])
           if isinstance(part, dict)):
        return "span"
    return "tags" if all(isinstance(each, list) for each in texts) else "multi"


def _check_classes(df: "pd.DataFrame", text: Sequence[str], label: str) -> None:
    """Raise E207 for labels that are no classes: numbers with fractions, or another label in each row."""
    from ulmfit_easy.data.sources import likely_column

    labels = df[label].tolist()
    try:
        values = {float(label) for label in labels}
    except (TypeError, ValueError):
        values = set()
    names = [each for each in labels if isinstance(each, str | int)]
    if len(names) == len({*names}) == len(labels) > 2 and not any(not v.is_integer() for v in values if v == v):
        likely = likely_column(df, "label", [label, *text]) if label != "text" else text[0]
        raise LabelError("E207", received=f"{len(labels):,} rows, each with a label of its own, such as "
                         f"{short(labels[0])!r}", expected="a class for each text, and several texts in each class",
                         fix=f"name the column of the classes, e.g. --label {_typed(likely)}")
    if len(values) > MOST_RATINGS and any(not value.is_integer() for value in values if value == value):
        raise LabelError("E207", received=f"{len(values):,} different numbers as labels, such as {labels[0]}",
                         expected="names of classes, or numbers to predict",
                         fix="add --task regression to predict numbers, or --task category for classes")


def read_any(path: Path, columns: Sequence[str], args: argparse.Namespace, n_texts: int = 1,
             kind: str | None = None) -> "pd.DataFrame":
    """Read a table, or a folder of folders as one: texts and folder names in `columns`, and the files.

    Args:
        columns: of the texts, `n_texts` of them, and of the labels. They must be there.
        kind: of the labels, if it is known.
    """
    from ulmfit_easy.files import existing

    if str(path) == STDIN:
        return _standard_input(columns, args)
    if existing(path).is_dir():
        if n_texts > 1:
            raise ArgumentError("E603", received=f"the folder {path} for {n_texts} text columns", expected="a table",
                                fix="make a table with these columns: a folder has one text in each file")
        return _folder(path, columns, args.encoding)
    df = _table(path, args, kind)
    check_columns(df, columns, n_texts, path)
    return df


def read_in_pieces(path: Path, columns: Sequence[str], args: argparse.Namespace, n_texts: int = 1,
                   kind: str | None = None) -> "Iterator[pd.DataFrame]":
    """Yield what `read_any` reads. CSV, JSON lines and Parquet come in tables of `PIECE` rows with the same columns.

    So the file may be larger than memory.
    """
    from ulmfit_easy.data.tables import comes_in_pieces, read_pieces
    from ulmfit_easy.files import existing

    if (str(path) == STDIN or not existing(path).is_file() or is_conll(path, kind)
            or not comes_in_pieces(path, args.encoding)):
        df = read_any(path, columns, args, n_texts, kind)
        yield from (df[start:start + PIECE] for start in range(0, len(df) or 1, PIECE))
        return
    try:
        for df in read_pieces(path, PIECE, encoding=args.encoding, quoting=args.quoting, delimiter=args.delimiter):
            check_columns(df, columns, n_texts, path)
            yield df
    except (FileError, TextError) as e:
        raise _plain_text(e, path, "text") from e


def is_conll(path: Path, kind: str | None) -> bool:
    """Return True for a file of words with tags."""
    return path.name.lower().removesuffix(".gz").endswith(ENDINGS.get(kind, WORDS_WITH_TAGS))


def _table(path: Path, args: argparse.Namespace, kind: str | None) -> "pd.DataFrame":
    """Read a table, or a file of words with tags as one."""
    from ulmfit_easy.data.conll import read_conll
    from ulmfit_easy.data.sources import read_table

    if is_conll(path, kind):
        return read_conll(path, encoding=args.encoding)
    try:
        return read_table(path, encoding=args.encoding, quoting=args.quoting, delimiter=args.delimiter)
    except (FileError, TextError) as e:
        raise _plain_text(e, path, "text") from e


def on_disk(files: Sequence[Path], columns: Sequence[str], args: argparse.Namespace) -> list["TableOnDisk"]:
    """Return tables with these columns of texts, to be read in pieces of `--chunksize` rows.

    Raises: E602 for a number below 1. E404. E102 for other columns. What `TableOnDisk.pieces` raises.
    """
    from ulmfit_easy.data.tables import TableOnDisk
    from ulmfit_easy.files import existing
    from ulmfit_easy.schema import checked, whole

    checked({"chunksize": whole()}, chunksize=args.chunksize)
    tables = [TableOnDisk(existing(file), args.chunksize, encoding=args.encoding, quoting=args.quoting,
                          delimiter=args.delimiter) for file in files]
    for table in tables:
        for piece in islice(table.pieces(), 1):
            check_columns(piece, columns, len(columns), table.path)
    return tables


def check_columns(df: "pd.DataFrame", columns: Sequence[str], n_texts: int, path: Path) -> None:
    """Raise E102 for columns that are not there, with those that are likely meant: `n_texts` of texts, then labels."""
    from ulmfit_easy.data.sources import find_columns, likely_column

    try:
        find_columns(df, columns)
    except TextError as e:
        taken, flags = list[Hashable](column for column in columns if column in df.columns), list[str]()
        for i, column in enumerate(columns):
            kind = "text" if i < n_texts else "label"
            if column not in taken:
                taken.append(name := nearest(column, df.columns, 0.75) or likely_column(df, kind, taken))
                flags.append(f"--{kind} {_typed(name)}")
        fix = f"name the column{'s' * (len(flags) > 1)}, e.g. {' '.join(flags)}"
        if len(df.columns) == 1 and (found := [c for c in BETWEEN if c in str(df.columns[0])]):
            between = shlex.quote("tab" if found[0] == "\t" else found[0])
            fix = f"try --delimiter {between}, which seems to be between the fields of this file"
        received = e.received.replace("not there", f"not in {path.name}")  # of many files, which one
        e = TextError(e.code, received=received, expected=e.expected, fix=fix)
        raise _plain_text(e, path, columns[0]) from e


def _plain_text(e: UlmfitError, path: Path, column: str) -> UlmfitError:
    """Return the error, or for a file of plain text another one with what reads it."""
    if path.suffix.lower() not in (".txt", ".text", ".md") or e.code not in ("E102", "E104", "E407"):
        return e
    return FileError("E407", received=f"{path}, which is no table with a column {column!r}",
                     expected="a table, of which a .txt file has tabs between the columns",
                     fix=f"make a table of it; or learn from plain text, which `ulmfit pretrain --corpus {path}` "
                     "reads as .txt, and then name that model with --pretrained")


def typed_texts(given: Sequence[str], columns: Sequence[str]) -> list | None:
    """Return the texts that were typed in place of a file. None if a file, a folder or standard input is named.

    What is no file is a text if it has a blank in it and no ending of a table. Several arguments are as many texts, or
    the fields of one text if the model reads several columns.

    Raises: E603 for several files, or for another number of fields. E104 for an empty text alone.
    """
    if not any(given):
        raise TextError("E104", received="an empty text", expected="a file, a folder or a text between quotes",
                        fix="name one: a variable of the shell may be empty")
    if 1 < len(columns) == len(given) and not any(is_there(each) for each in given):
        return [tuple(given)]
    files = [each for each in given if each == STDIN or _is_path(each)]
    if files and len(given) == 1:
        return None
    if files:
        raise ArgumentError("E603", received=f"{len(given)} arguments, {files[0]} among them", expected="one file, or "
                            "texts", fix="name one file at a time, and put a text between quotes")
    if len(columns) == 1:
        return list(given)
    raise ArgumentError("E603", received=f"{len(given)} of the fields of a text", expected=f"{some(columns)}",
                        fix="type each of them between quotes, in this order")


def is_there(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # far too long for a name
        return False


def _is_path(text: str) -> bool:
    from ulmfit_easy.apps.tables import FORMS

    endings = *FORMS, ".json", ".txt", ".xlsx", ".conll"
    return is_there(text) or not any(c.isspace() for c in text) or text.lower().endswith(endings)


def _standard_input(columns: Sequence[str], args: argparse.Namespace) -> "pd.DataFrame":
    """Read a table in CSV or JSON lines. With columns to look for, a file without a table has one text a line."""
    import pandas as pd

    from ulmfit_easy.decoding import decoded

    data = sys.stdin.buffer.read()
    if not data:
        raise TextError("E104", received="nothing from standard input", expected="a table, or a text on each line",
                        fix=f"send a file to it: {args.parser.prog} ... - < FILE")
    with tempfile.TemporaryDirectory(prefix="ulmfit-") as folder:
        form = ".jsonl" if re.match(rb"(\xef\xbb\xbf)?\s*(\[\s*)?\{", data) else ".csv"
        (file := Path(folder) / f"standard input{form}").write_bytes(data)
        if not columns:
            return _table(file, args, None)
        lines = io.StringIO(decoded(data, file, args.encoding), newline=None).read().removesuffix("\n").split("\n")
        headers = [next(csv.reader([lines[0][:9999]], delimiter=each), []) for each in args.delimiter or BETWEEN]
        if form == ".jsonl" or any(columns[0] in header for header in headers):
            return read_any(file, columns, args, len(columns))
        if len(columns) > 1:
            raise TextError("E102", received="standard input without the columns " + some(map(repr, columns)),
                            expected="a first line with the names of the columns", fix="write a table in CSV")
    return pd.DataFrame({columns[0]: lines}, dtype=object)


def _typed(name: object) -> str:
    """Return the name of a column for a shell. "COL" for one that nobody would type: a text, without a header."""
    text = "" if name is None else str(name)
    return shlex.quote(text) if text and text.isprintable() and short(text) == text else "COL"


def texts_in(df: "pd.DataFrame", *columns: str) -> list:
    """Return the texts of a table, with an empty one for each missing cell: strings, or tuples of several columns."""
    from ulmfit_easy.data.sources import is_missing, joined

    fields = [["" if is_missing(cell := joined(value)) else cell for value in df[column]] for column in columns]
    return fields[0] if len(columns) == 1 else list(zip(*fields, strict=True))


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
