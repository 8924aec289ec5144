"""Files of words with tags, one word a line: CoNLL-2003, Universal Dependencies, and the roles of CoNLL-2005."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from ulmfit_easy.data.containers import opened
from ulmfit_easy.decoding import decoded
from ulmfit_easy.errors import FileError
from ulmfit_easy.schema import list_of, optional, such, takes, text, whole

__all__ = ["mark_predicate", "read_conll", "read_srl"]

MOST_COLUMNS = 1000
COLUMNS = such(list_of(whole(-MOST_COLUMNS, MOST_COLUMNS)), lambda at: len(at) == 2, "two numbers, counted from 0")
OF_UD = re.compile(r"\d+([-.]\d+)?\t([^\t]*\t){8}[^\t]*")  # a line of CoNLL-U; with a range or a point it is no word
MARKER = "*"  # stands before a predicate: a word that all vocabularies have


@takes({"columns": optional(COLUMNS)})
def read_conll(path: str | Path, columns: Sequence[int] | None = None, *, encoding: str = "utf-8") -> pd.DataFrame:
    """Return one row for each sentence, with lists of `words` and of `tags`.

    Each line of the file has a word and its tags, with tabs or spaces between them. A blank line ends a sentence.
    Lines with `-DOCSTART-` are left out. In a CoNLL-U file, comments, ranges such as `1-2` and empty nodes such as
    `1.1` are left out too. The file may be compressed. `TextDataLoaders.from_df(df, text_col="words",
    label_col="tags", y_block="tags")` takes the table.

    Args:
        columns: the positions of the word and its tag in a line, from 0, or -1 for the last. By default the first and
            the last column. For CoNLL-U the form (1) and the universal part of speech (3).

    Raises: FileError E404 if the file does not exist. E403 if it is not in `encoding`. E407 if a line does not have
        these columns, or if there is no sentence.

    Source: Tjong Kim Sang & De Meulder 2003, and universaldependencies.org/format.
    """
    rows = []
    for sentence, of_ud in _sentences(Path(path), encoding):
        word, tag = columns or ((1, 3) if of_ud else (0, -1))
        if columns is None and (bare := [number for number, fields in sentence if len(fields) < 2]):
            raise _wrong(path, bare[0], "a word and no tag")
        rows.append([[_field(path, *line, at) for line in sentence] for at in (word, tag)])
    return _table(path, rows, ["words", "tags"])


@takes({"columns": COLUMNS, "marker": text})
def read_srl(path: str | Path, columns: Sequence[int] = (0, 1), *, encoding: str = "utf-8",
             marker: str = MARKER) -> pd.DataFrame:
    """Read a file for semantic role labelling: one row for each predicate of each sentence, with `words` and `tags`.

    In `words`, the `marker` stands before the predicate. So the task is tagging: given the verb, who does what to whom?
    The tags are IOB2, such as `B-A0` and `B-V`.

    Args:
        path: a file as of CoNLL-2005. Each line has a word, its lemma if it is a predicate, else `-`, and one column
            for each predicate of the sentence with its arguments in brackets: `(A0*`, `*`, `*)`, `(V*)`.
        columns: the positions of the word and the lemma. All columns after the lemma have arguments.

    Raises: what `read_conll` raises. E407 also if a sentence has more or fewer predicates than columns of arguments.

    Source: Carreras & Màrquez 2005. With a marker: Shi & Lin 2019 (arXiv 1904.05255) name the predicate after the text.
    """
    rows = []
    for sentence, _ in _sentences(Path(path), encoding):
        words, lemmas = ([_field(path, *line, at) for line in sentence] for at in columns)
        arguments = [fields[columns[1] + 1:] for _, fields in sentence]
        predicates = [i for i, lemma in enumerate(lemmas) if lemma != "-"]
        if any(len(each) != len(predicates) for each in arguments):
            raise _wrong(path, sentence[0][0], f"{len(predicates)} predicates, and other numbers of columns after them")
        for k, at in enumerate(predicates):
            tags = _of_brackets([each[k] for each in arguments])
            inside = tags[at] if tags[at].startswith("I-") else "O"
            rows.append([mark_predicate(words, at, marker), [*tags[:at], inside, *tags[at:]]])
    return _table(path, rows, ["words", "tags"])


def mark_predicate(words: Sequence[str], at: int, marker: str = MARKER) -> list[str]:
    """Return the words with a marker before `words[at]`, the predicate. `read_srl` marks predicates in this way."""
    return [*words[:at], marker, *words[at:]]


def _sentences(path: Path, encoding: str) -> Iterator[tuple[list[tuple[int, list[str]]], bool]]:
    """Yield the lines of each sentence, by number and fields, and True if they are CoNLL-U."""
    with opened(path) as (_, file):
        lines = decoded(file.read(), path, encoding).splitlines()
    of_ud = any(OF_UD.fullmatch(line) for line in lines[:100])
    left_out = re.compile(r"#|\d+[-.]" if of_ud else r"-DOCSTART-|#(begin|end) document")
    sentence = list[tuple[int, list[str]]]()
    for number, line in enumerate([*lines, ""], 1):
        if not line.strip():
            if sentence:
                yield sentence, of_ud
            sentence = []
        elif not left_out.match(line):
            sentence.append((number, line.split("\t") if "\t" in line else line.split()))


def _field(path: str | Path, number: int, fields: list[str], at: int) -> str:
    """Return a field of a line, without the white space that words of UD may have in them, as in `10 000`."""
    if not -len(fields) <= at < len(fields) or not "".join(fields[at].split()):
        raise _wrong(path, number, f"{len(fields)} fields, none of them {at}")
    return "".join(fields[at].split())


def _of_brackets(cells: list[str]) -> list[str]:
    """Return the IOB2 tags of a predicate's arguments, `(A0*`, `*`, `*)`. Of brackets in brackets the outer count."""
    tags, depth, kind = [], 0, ""
    for cell in cells:
        opens = re.findall(r"\(([^*()]+)", cell)
        if not depth and opens:
            kind = opens[0]
        tags.append(f"B-{kind}" if opens and not depth else f"I-{kind}" if depth else "O")
        depth += len(opens) - cell.count(")")
    return tags


def _table(path: str | Path, rows: list, names: list[str]) -> pd.DataFrame:
    if not rows:
        raise FileError("E407", received=f"{path} without a sentence", expected="a word and its tag in each line",
                        fix="check the file")
    return pd.DataFrame(rows, columns=names)


def _wrong(path: str | Path, number: int, why: str) -> FileError:
    return FileError("E407", received=f"line {number} of {path} with {why}",
                     expected="a word and its tags in each line",
                     fix="name the columns of the word and of its tag, counted from 0: columns=(0, 3)")
