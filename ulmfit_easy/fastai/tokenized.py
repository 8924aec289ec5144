"""Tokens of texts, tables and files, for another program or to look at. Loaders keep theirs in a `TokenStore`."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import chain, islice
from pathlib import Path

import pandas as pd

from ulmfit_easy._fastcore import listify
from ulmfit_easy.bars import progress_bar
from ulmfit_easy.data.sources import FileTexts, clean_texts, find_column, get_text_files
from ulmfit_easy.data.tables import TableOnDisk
from ulmfit_easy.errors import ArgumentError, FileError, TextError, some
from ulmfit_easy.files import atomic_folder, atomic_path, existing, read_json, sha256_bytes, write_json
from ulmfit_easy.places import file_place, free_place, members
from ulmfit_easy.text.given import given_texts
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.workers import encode

__all__ = ["parallel_tokenize", "tokenize_csv", "tokenize_df", "tokenize_files", "tokenize_folder", "tokenize_texts"]

COUNTER, LENGTHS, MADE_OF = "counter.json", "lengths.json", "tokenized.json"


def parallel_tokenize(items: Iterable[str], tok: Callable | None = None, rules: Sequence[Callable] | None = None,
                      n_workers: int | None = None, progress: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Yield `(number, tokens)` of each text in order.

    Several processes tokenize, with one piece of the texts in memory.

    Args:
        tok: a `Tokenizer`, or a splitter of texts into words. By default spaCy's English rules. A subword tokenizer
            without a model first learns one from the texts, which must be a list or a Series.
        n_workers: the number of processes, 0 for this one alone. By default 0 for short texts, else one for each
            processor.
        progress: show a bar in a terminal or a notebook.

    Raises: E101 for a text that is not a string. E603 and E508 for workers, as `text.workers.encode`.
    """
    tokenizer, (items, _) = _tokenizer(tok, rules), given_texts(items)
    if hasattr(items, "__len__"):  # what can be read once only has to come with a model of pieces
        tokenizer.setup(items)
    if progress:
        items = progress_bar(items, desc="tokenizing", unit=" texts")
    return enumerate(_tokens(items, tokenizer, n_workers))


def tokenize_texts(texts: Iterable[str], n_workers: int | None = None, rules: Sequence[Callable] | None = None,
                   tok: Callable | None = None) -> list[list[str]]:
    """Return the tokens of each text, in order. Arguments as for `parallel_tokenize`."""
    return [tokens for _, tokens in parallel_tokenize(texts, tok, rules, n_workers)]


def tokenize_df(df: pd.DataFrame, text_cols: int | str | Sequence, n_workers: int | None = None,
                rules: Sequence[Callable] | None = None, mark_fields: bool | None = None, tok: Callable | None = None,
                tok_text_col: str = "text") -> tuple[pd.DataFrame, Counter]:
    """Return a table with tokens instead of its text columns, and a `Counter` of all tokens.

    Args:
        mark_fields: as for `Tokenizer`: by default if there are several columns.
        tok_text_col: the new column for the tokens. `<tok_text_col>_length` has their number.

    Raises: E101 and E102 for the texts, and what `parallel_tokenize` raises.
    """
    columns = [find_column(df, col) for col in listify(text_cols)]
    texts, _ = clean_texts(columns)
    tokens = tokenize_texts(texts, n_workers, tok=_tokenizer(tok, rules, mark_fields))
    left = df.drop(columns=[column.name for column in columns])
    left[tok_text_col] = pd.Series(tokens, index=left.index, dtype=object)
    left[f"{tok_text_col}_length"] = [len(each) for each in tokens]
    return left, Counter(chain.from_iterable(tokens))


def _tokenizer(tok: Callable | None, rules: Sequence[Callable] | None, mark_fields: bool | None = None) -> Tokenizer:
    return tok if isinstance(tok, Tokenizer) else Tokenizer(tok, rules, mark_fields=mark_fields)


def _tokens(texts: Iterable, tokenizer: Tokenizer, n_workers: int | None) -> Iterator[list[str]]:
    with closing(encode(tokenizer, texts, n_workers)) as pieces:
        for lexicon, ids, lengths, _ in pieces:
            ids = iter(ids.tolist())
            for n in lengths:
                yield [lexicon[i] for i in islice(ids, n)]


def tokenize_files(files: Sequence, path: str | Path, output_dir: str | Path, output_names: Sequence | None = None,
                   n_workers: int | None = None, rules: Sequence[Callable] | None = None, tok: Callable | None = None,
                   encoding: str = "utf-8") -> Path:
    """Write the tokens of each file to a new folder `output_dir`, and return it.

    Each new file has the tokens of one text in UTF-8, with spaces between them. `counter.json` counts each token,
    `lengths.json` has the number of tokens of each text, and `tokenized.json` the hashes of texts, rules and
    tokenizer. The folder appears when it is complete. Until then an older one stays. One piece of the texts is in
    memory at a time.

    Args:
        path: a folder that all `files` are in.
        output_names: the file in `output_dir` for each of `files`. By default they keep their places under `path`.
        n_workers, rules, tok: as for `parallel_tokenize`. A subword tokenizer without a model learns one.
        encoding: of the texts.

    Raises: E403 for a file in another encoding. E404 for a missing file. E412 if `output_dir` has other files, or if
        two files have one output name. E508 if a worker dies.
    """
    files, path = [_absolute(existing(file)) for file in files], _absolute(path)
    output_dir = free_place(_absolute(output_dir), _foreign)
    if outside := [str(file) for file in files if not file.is_relative_to(path)]:
        raise ArgumentError("E602", received=f"files that are not in {path}: {some(outside)}",
                            expected="files in this folder", fix="pass a path that all of them are in")
    return _tokenize(files, path, output_dir, output_names, _tokenizer(tok, rules), n_workers, encoding)


def tokenize_folder(path: str | Path, extensions: Sequence[str] | None = None, folders: Sequence[str] | None = None,
                    output_dir: str | Path | None = None, skip_if_exists: bool = True, n_workers: int | None = None,
                    rules: Sequence[Callable] | None = None, tok: Callable | None = None,
                    encoding: str = "utf-8") -> Path:
    """Return a folder with the tokens of each text file under `path`, in files of the same names: see `tokenize_files`.

    Args:
        extensions: the endings of text files, by default `.txt`.
        folders: only these folders directly under `path`.
        output_dir: by default `<path>_tok`.
        skip_if_exists: keep an existing folder if its texts, rules and tokenizer were the same. Otherwise, or if the
            rules cannot be compared (see `Tokenizer.fingerprint`), make it again.

    Raises: E104 if there is no such file. What `tokenize_files` raises.
    """
    path, extensions = _absolute(existing(path)), [end.lower() for end in listify(extensions or ".txt")]
    output_dir = path.with_name(f"{path.name}_tok") if output_dir is None else _absolute(output_dir)
    free_place(output_dir, _foreign)
    files = get_text_files(path, folders=None if folders is None else listify(folders), extensions=extensions)
    files = [file for file in files if not file.is_relative_to(output_dir)]
    if not files:
        raise TextError("E104", received=f"{path}, in which no file ends in {' or '.join(extensions)}",
                        expected="text files", fix='name their ending, e.g. extensions=[".md"]')
    return _tokenize(files, path, output_dir, None, _tokenizer(tok, rules), n_workers, encoding, skip_if_exists)


def tokenize_csv(fname: str | Path, text_cols: int | str | Sequence, outname: str | Path | None = None,
                 n_workers: int = 4, rules: Sequence[Callable] | None = None, mark_fields: bool | None = None,
                 tok: Callable | None = None, header: int | str | None = "infer", chunksize: int = 50_000) -> Path:
    """Write a CSV file with `text` (the tokens) and `text_length` instead of the text columns. Return its path.

    A second file, `<name>_counter.json`, has the number of times that each token occurs. All other columns stay as
    they are.

    Args:
        fname: a file that `read_table` takes, but for JSON, in UTF-8.
        text_cols: names, or positions from 0.
        outname: by default `<fname>_tok.csv`.
        mark_fields: as for `Tokenizer`: by default if there are several columns.
        header: the row with the names. None if the file has no names. The new file has none then.
        chunksize: rows in memory at a time.

    Raises: E101 and E102 for the texts. What `read_table` raises for the file. E603 and E508 for workers.
    """
    fname = existing(fname)
    is_named, outname = outname is not None, Path(outname or fname.with_name(f"{fname.stem}_tok.csv"))
    counter = outname.with_name(f"{outname.stem}_{COUNTER}")
    _check_replaced(outname, counter, is_named)
    table, tokenizer = TableOnDisk(fname, chunksize, header=header), _tokenizer(tok, rules, mark_fields)

    def columns_of(piece: pd.DataFrame) -> list[pd.Series]:
        return [find_column(piece, col) for col in listify(text_cols)]

    def texts():
        first = 0
        for piece in table.pieces():
            yield from clean_texts(columns_of(piece), first=first)[0]
            first += len(piece)

    # the file is read twice at once, so that the workers live through all of it
    count, found = Counter[str](), parallel_tokenize(texts(), tokenizer.setup(texts()), n_workers=n_workers)
    with atomic_path(outname) as tmp:
        for i, piece in enumerate(table.pieces()):
            tokens = [each for _, each in islice(found, len(piece))]
            count.update(chain.from_iterable(tokens))
            left = piece.drop(columns=[column.name for column in columns_of(piece)])
            left = left.assign(text=list(map(" ".join, tokens)), text_length=list(map(len, tokens)))
            with_names = i == 0 and header is not None
            left.to_csv(tmp, mode="a", index=False, header=with_names, lineterminator="\r\n")  # so a "\r" gets quotes
    write_json(counter, count)
    return outname


def _tokenize(files: Sequence[Path], path: Path, output_dir: Path, names: Sequence | None, tokenizer: Tokenizer,
              n_workers: int | None, encoding: str, keep: bool = False) -> Path:
    own = _free_names(files, [file.relative_to(path) for file in files] if names is None else names, output_dir)
    texts = FileTexts(files, encoding)
    tokenizer.setup(texts)
    places, described = [file.relative_to(path).as_posix() for file in files], tokenizer.fingerprint

    def made_of(hashes: Iterable[str]) -> dict:
        each = list(zip(places, map(Path.as_posix, own), hashes, strict=True))
        return {"tokenizer": described, "encoding": encoding, "texts": sha256_bytes(json.dumps(each).encode()),
                "files": [name.as_posix() for name in own]}

    written = (*map(str, own), COUNTER, LENGTHS, MADE_OF)
    if keep and described and all((output_dir / name).is_file() for name in written) \
            and read_json(output_dir / MADE_OF, errors="surrogateescape") == made_of(map(_hash, texts)):
        return output_dir
    with atomic_folder(output_dir, _foreign) as tmp:
        count, lengths = Counter[str](), dict[str, int]()
        hashes = list[str]()  # of the very texts that are tokenized: files may change meanwhile

        def read() -> Iterator[str]:
            for text in texts:
                hashes.append(_hash(text))
                yield text

        for i, tokens in parallel_tokenize(read(), tokenizer, n_workers=n_workers):
            out = tmp / own[i]
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(" ".join(tokens).encode())
            count.update(tokens)
            lengths[places[i]] = len(tokens)
        for name, content in ((COUNTER, count), (LENGTHS, lengths), (MADE_OF, made_of(hashes))):
            write_json(tmp / name, content)
    return output_dir


def _foreign(path: Path) -> list[str]:
    """Return the names of files that `tokenize_files` did not write. All of them if nothing proves that it did."""
    found = [file for part in members(path) for file in (part.rglob("*") if part.is_dir() else [part])]
    names = [file.relative_to(path).as_posix() for file in found if file.is_symlink() or not file.is_dir()]
    try:
        made_of = read_json(path / MADE_OF, errors="surrogateescape")
        ours = {COUNTER, LENGTHS, MADE_OF, *made_of["files"]} if {"tokenizer", "texts"} <= made_of.keys() else set()
    except (FileError, AttributeError, KeyError, TypeError):
        ours = set()
    return [name for name in names if name not in ours]


def _check_replaced(outname: Path, counter: Path, is_named: bool) -> None:
    """E411 for a folder, E412 for a file that `tokenize_csv` would replace, did not write and was not told to."""
    if not file_place(counter).exists():
        wrong = file_place(outname).exists() and not is_named and outname
    else:
        wrong = file_place(outname) and counter
        with suppress(FileError):
            count = read_json(counter)
            if isinstance(count, dict) and all(type(n) is int for n in count.values()):
                return
    if wrong:
        raise FileError("E412", received=f"{wrong}, a file that this function did not write",
                        expected="nothing of this name", fix="pass another outname, or move that file away")


def _hash(text: str) -> str:
    return sha256_bytes(text.encode("utf-8", "surrogatepass"))


def _free_names(files: Sequence[Path], names: Sequence, output_dir: Path) -> list[Path]:
    """Return the place in the folder for the tokens of each file. E602 for one outside, taken, or not there."""
    places = [_absolute(output_dir / name) for name in names]
    n = Counter([*places, *(output_dir / own for own in (COUNTER, LENGTHS, MADE_OF))])
    wrong = [str(place) for place in places if n[place] > 1 or output_dir not in place.parents]
    if wrong or len(places) != len(files):
        received = f"the places {some(wrong)}" if wrong else f"{len(places):,} output names for {len(files):,} files"
        raise ArgumentError("E602", received=received, expected=f"for each file a place of its own in {output_dir}",
                            fix="pass other output_names, or leave them out")
    return [place.relative_to(output_dir) for place in places]


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(path))
