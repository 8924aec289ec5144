"""From tables and folders to loaders: source -> splitter -> text -> target, in one function for all."""

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd

from ulmfit_easy._fastcore import delegates, listify
from ulmfit_easy.data.balance import balanced_rows, checked_weights
from ulmfit_easy.data.checks import (
    warn_of_duplicates,
    warn_of_language,
    warn_of_told_labels,
    warn_of_twins,
    warn_of_unequal,
    warn_of_unknown,
)
from ulmfit_easy.data.classify import ClassifierDataLoader
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.folders import PARTS, classes_of_files, folder_texts
from ulmfit_easy.data.lm import LMDataLoader
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.data.sources import (
    FileTexts,
    accepted,
    find_column,
    read_texts,
)
from ulmfit_easy.data.splits import ColSplitter, DefaultSplitter, FolderSplitter, checked_split
from ulmfit_easy.data.tables import TableOnDisk, read_table
from ulmfit_easy.data.targets import CategoryTarget, NextToken, Target, read_labels
from ulmfit_easy.errors import ArgumentError, FileError, TextError, refuse_unknown, some
from ulmfit_easy.schema import checked, list_of, name
from ulmfit_easy.text.look import SAMPLE, Look
from ulmfit_easy.text.special import CLASSIC
from ulmfit_easy.text.store import TokenStore
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vocab import Vocab, add_words, make_vocab
from ulmfit_easy.user_code import warn_user


@dataclass(frozen=True)
class Source:
    """Texts, labels and what a splitter looks at, all of N rows."""

    texts: Sequence  # strings, or tuples of strings where a text has several fields
    items: Sequence  # a table or a list of files
    labels: list | None = None
    target: type[Target] = NextToken
    names: dict = field(default_factory=dict)  # columns, delimiter, encoding: fields of `Preparation`, for later texts
    rows: np.ndarray | None = None  # (N,) the user's own row of each text, where some were left out
    block: object | None = None  # what `y_block` was; a CategoryBlock may ask for an order of classes
    total: int | None = None  # the user's rows, where some were left out
    classes_argument: str = "labels"  # of the function that was called: it takes every class


def assemble(cls, source: Source, splitter: Callable, *, path, labels, text_vocab, tok_tfm, seq_len,
             backwards, bs, val_bs, shuffle, device, seed, min_freq: int = 3, max_vocab: int = 60000,
             more_words: Sequence[str] = (), rules: Sequence[Callable] | None = None, lang: str = "en",
             mark_fields: bool | None = None, cache_dir=None, n_workers: int | None = None,
             balanced: bool = False, weights: Sequence | None = None, max_tokens: int | None = None,
             bptt_jitter: float = 0.0, num_workers: int | None = None, drop_last: bool | None = None,
             pin_memory: bool | None = None):
    """Return the loaders of a source: split it, number its labels and words by the training rows, check, batch."""
    _check_batching(not source.target.labelled, balanced, weights, max_tokens, bptt_jitter)
    sizes = checked(Preparation.SETTINGS, seq_len=seq_len, backwards=backwards, bs=bs)
    seq_len, backwards, bs = sizes.values()
    train, valid = checked_split(splitter, source.items)
    rows = np.arange(len(source.texts)) if source.rows is None else source.rows  # (N,), for messages
    target = NextToken()
    if source.target.labelled:  # first, since it is quick and tokenizing may not be
        of_train, of_valid = ([source.labels[i] for i in part] for part in (train, valid))
        target = source.target.learned(of_train, labels, source.block)
        warn_of_twins(target.classes or ())
        if target.one_class and not balanced and weights is None:
            warn_of_unequal(of_train)
        y_train = target.encode(of_train, rows=rows[train], argument=source.classes_argument)
        y_valid = target.encode(of_valid, rows=rows[valid], argument=source.classes_argument)
    tokenizer = tok_tfm
    if not isinstance(tokenizer, Tokenizer):
        tokenizer = Tokenizer(tok_tfm, rules, lang=lang, mark_fields=mark_fields)
    look = getattr(source.texts, "look", None) or Look(source.texts, SAMPLE)  # the first: its labels were read with it
    if text_vocab is None:  # pieces learned here would not be those of a vocabulary from elsewhere
        is_train = np.isin(np.arange(len(source.texts)), train)
        tokenizer.setup(compress(source.texts if look.is_over else look, is_train))
        warn_of_language(look.finish().first, tokenizer)
    look.finish()
    store = TokenStore.build(source.texts, tokenizer, cache_dir, progress=True, n_workers=n_workers, look=look)
    if text_vocab is None:
        text_vocab = tokenizer.itos or _vocab_of(store.count(train), min_freq, max_vocab, more_words)
    vocab = text_vocab if isinstance(text_vocab, Vocab) else Vocab(text_vocab)
    ids = store.numericalize(vocab)
    if target.labelled:
        target.check_tokens(source.labels, ids.lengths, rows)
    warn_of_duplicates(store.hashes, train, valid, rows, source.labels)
    if source.target.one_class:
        warn_of_told_labels(look.first, source.labels)
    warn_of_unknown(ids, train)
    for_train = dict(bs=bs, backwards=backwards, shuffle=shuffle, seed=seed)
    for_valid = dict(bs=val_bs or bs, backwards=backwards)
    if not target.labelled:
        train_dl = LMDataLoader(ids, train, seq_len=seq_len, bptt_jitter=bptt_jitter, **for_train)
        valid_dl = LMDataLoader(ids, valid, seq_len=seq_len, **for_valid)
    else:
        if weights is not None:
            weights = checked_weights(weights, source.total or len(source.texts))[rows[train]]
        drawn = balanced_rows(y_train) if balanced else weights
        train_dl = ClassifierDataLoader(ids, train, y_train, max_tokens=max_tokens, weights=drawn, **for_train)
        valid_dl = ClassifierDataLoader(ids, valid, y_valid, max_tokens=max_tokens, **for_valid)
    prepare = Preparation(tokenizer, vocab, target, **sizes, **source.names)
    return cls(train_dl, valid_dl, path=path, device=device, prepare=prepare)


def _vocab_of(count: Counter, min_freq: int, max_vocab: int, more_words: Sequence[str]) -> Vocab:
    """Return a vocabulary of the most common tokens and `more_words`, which bring their special tokens if a `Vocab`."""
    specials = getattr(more_words, "specials", CLASSIC)
    return Vocab(add_words(make_vocab(count, min_freq, max_vocab, tuple(specials.values())), more_words), specials)


def _check_batching(is_lm, balanced, weights, max_tokens, bptt_jitter):
    """E603 for what only classifiers have, or only language models, or for weights twice."""
    for_clas = {"balanced": balanced, "weights": weights is not None, "max_tokens": max_tokens is not None}
    wrong = [name for name, given in for_clas.items() if given] if is_lm else ["bptt_jitter"] if bptt_jitter else []
    if wrong or (balanced and weights is not None):
        whose = "a language model" if is_lm else "a classifier"
        raise ArgumentError("E603", received=f"{' and '.join(wrong) or 'balanced and weights'} for {whose}",
                            expected="bptt_jitter for a language model; balanced or weights, and max_tokens, for a "
                            "classifier", fix="leave it out")


class TextDataLoaders(DataLoaders):
    """`DataLoaders` made from a table or a folder of texts."""

    @classmethod
    @delegates(assemble)
    def from_df(cls, df: pd.DataFrame | TableOnDisk, path=".", valid_pct: float = 0.2, seed: int | None = None,
                text_col=0, label_col=1, label_delim: str | None = None, y_block=None, text_vocab=None,
                is_lm: bool = False, valid_col=None, tok_tfm=None, tok_text_col: str = "text",
                seq_len: int = 72, backwards: bool = False, bs: int = 64, val_bs: int | None = None,
                shuffle: bool = True, device=None, *, on_missing: str = "raise",
                splitter: Callable | None = None, labels: Sequence | None = None,
                **kwargs) -> "TextDataLoaders":
        """Make loaders from a table with a text column and, unless `is_lm`, one or more label columns.

        Of a table of Prodigy's only the rows whose `answer` is "accept" teach their label.

        Args:
            text_col, label_col: names or positions. Several text columns become marked fields of one text;
                several label columns are zeros and ones, one column for each class.
            valid_pct: fraction of the rows to validate with; few rows are split class by class.
                `valid_col` (true: validation) or `splitter` (rows -> two lists of positions) replace it.
            y_block: "category", "multi" or "regression"; by default one class for each text, or several if
                `label_delim` or more than one label column is given. Labels keep their Python type.
            text_vocab: a `Vocab` or list, such as that of the language model; else made from training rows.
            tok_tfm: a `Tokenizer`, or what splits a text into words; a `SentencePieceTokenizer` learns its pieces
                from the training rows and brings the vocabulary. Beside `text_vocab` pass the tokenizer that it was
                made with, `dls_lm.tokenizer`. (`tok_text_col` is not used.)
            seq_len: tokens that are read before the gradient is cut.
            seed: for the split and for the order of the batches.
            labels: every class, in order, where training rows do not show them all.
            on_missing: "raise", "drop" or "empty", for rows without text. Messages count the rows of `df`, a
                `splitter` and `valid_col` those that are left.
            min_freq, max_vocab: how often a word must be there; how many words a vocabulary has at most.
            more_words: words to have anyway, such as those that a pretrained model knows: later texts may use them.
            rules, lang, mark_fields: for the tokenizer, where `tok_tfm` is none.
            cache_dir, n_workers: where tokens are kept for the next time; how many processes make them, by default
                one for little text, else one for each processor. See `TokenStore`.
            balanced: draw each class equally often in training; rows of rare classes come again and again.
            weights: draw each row as often as its number tells: one for each row of `df`, also of those that
                `on_missing` drops.
            max_tokens: tokens of a classifier's batch, padding included, instead of `bs` rows.
            bptt_jitter: how much the batches of a language model differ in length; see `LMDataLoader`.
            num_workers, drop_last, pin_memory: Ignored; kept for fastai compatibility.

        Raises: E101, E102, E103 for texts; E201 to E207 for labels and splits; E301 for an empty vocabulary;
            E6xx for arguments.
        """
        refuse_unknown(kwargs, TextDataLoaders.from_df)
        text_cols, label_cols = listify(text_col), [] if is_lm else listify(label_col)
        texts, kept, total, df, text_series = read_texts(df, text_cols, on_missing)
        if not is_lm and not label_cols:
            raise TextError("E102", received="no label_col", expected="the column of the labels",
                            fix='label_col="label", or is_lm=True for a language model, which needs none')
        series = [find_column(df, col) for col in label_cols]
        if label_cols and (taught := accepted(df, [*text_series, *series])) is not None:
            if not isinstance(texts, list):
                raise FileError("E407", received="a table with rejected answers of Prodigy's, to be read in pieces",
                                expected="one without them", fix="leave out chunksize=")
            texts, kept, df = [texts[i] for i in taught], kept[taught], df.iloc[taught]
            series = [column.iloc[taught] for column in series]
        names = {"text_cols": column_names(text_series), "label_cols": column_names(series),
                 "label_delim": label_delim}
        if shared := set(names["text_cols"]) & set(names["label_cols"]):
            warn_user(f"column {min(map(str, shared))!r} is both text and label; pass text_col= and label_col=")
        target, targets = NextToken, None
        if not is_lm:
            target, targets = read_labels(series, delim=label_delim, y_block=y_block, rows=kept)
            labels = classes_of(y_block, series, target) if labels is None else labels
        if valid_col is not None:
            splitter = ColSplitter(valid_col)
        elif splitter is None:
            splitter = DefaultSplitter(targets if target.one_class else None, valid_pct, seed)
        source = Source(texts, df, targets, target, names, kept, y_block, total)
        return assemble(cls, source, splitter, path=path, labels=labels, text_vocab=text_vocab,
                        tok_tfm=tok_tfm, seq_len=seq_len, backwards=backwards, bs=bs, val_bs=val_bs,
                        shuffle=shuffle, device=device, seed=seed, **kwargs)

    @classmethod
    @delegates(from_df)
    def from_csv(cls, path, csv_fname: str = "labels.csv", header="infer", delimiter: str | None = None,
                 quoting: int = csv.QUOTE_MINIMAL, *, encoding: str = "utf-8", chunksize: int | None = None,
                 **kwargs) -> "TextDataLoaders":
        """Make loaders from the table `path/csv_fname`, or from the file `path` itself; then as `from_df`.

        All fields of CSV are read as text, labels too: `NA` and `1` are class names. JSON lines (`.jsonl`) and Parquet
        (`.parquet`) are read too, and keep their types; see `read_table`. `from_jsonl` and `from_parquet` are this.

        Args:
            chunksize: read the texts of a CSV or Parquet file that is larger than the memory in pieces of so many
                rows, and hold the other columns only. The file is read twice: once with its labels, and to
                tokenize. `SentencePieceTokenizer` reads it once more to learn its pieces.

        Raises: E403, E404 and E407 for the file; E602 for an unknown `encoding`; E507 for Parquet without pyarrow; and
            what `from_df` raises.
        """
        refuse_unknown(kwargs, TextDataLoaders.from_csv, cls.from_df)
        path = Path(path)
        file, folder = (path / csv_fname, path) if path.is_dir() else (path, path.parent)
        options = {"encoding": encoding, "header": header, "delimiter": delimiter, "quoting": quoting}
        df = TableOnDisk(file, chunksize, **options) if chunksize else read_table(file, **options)
        return cls.from_df(df, path=folder, **kwargs)

    from_jsonl = from_parquet = from_csv

    @classmethod
    @delegates(assemble)
    def from_folder(cls, path, train: str = "train", valid: str = "valid", valid_pct: float | None = None,
                    seed: int | None = None, vocab: Sequence | None = None, text_vocab=None,
                    is_lm: bool = False, tok_tfm=None, seq_len: int = 72, splitter: Callable | None = None,
                    backwards: bool = False, bs: int = 64, val_bs: int | None = None, shuffle: bool = True,
                    device=None, *, extensions: Sequence[str] = (".txt",), encoding: str = "utf-8",
                    **kwargs) -> "TextDataLoaders":
        """Make loaders from text files, `path/train/pos/1.txt`. The first folder under `train` or `valid` is the class.

        Texts may lie deeper in that folder. A warning counts the files that are left out: those in no folder of a
        class, and those of other extensions.

        Args:
            valid_pct: draw this fraction of all files under `path` instead of using the two folders. A class is then
                the first folder under `path`, or under its folders `train`, `valid` and `test`, if it has these.
            vocab: every class, in order.
            extensions: which files are texts. The rest is as in `from_df`.

        Raises: E207 if no file is in the folder of a class; E403 for a file in another encoding; E404 for a missing
            folder; and what `from_df` raises.
        """
        refuse_unknown(kwargs, TextDataLoaders.from_folder)
        folders = [train, valid] if valid_pct is None and splitter is None else None
        if folders and Path(path).is_dir() and (gone := [f for f in folders if not (Path(path) / f).is_dir()]):
            raise FileError("E404", received=f"{path} without a folder {gone[0]!r}",
                            expected="a folder to train on and one to validate with",
                            fix='name yours with train= and valid=, or pass valid_pct=0.2 to draw from all files')
        files, targets = folder_texts(path, folders, extensions), None
        if not is_lm:
            files, targets = classes_of_files(path, files, {train, valid, *(PARTS if folders is None else ())})
        if folders:
            splitter = FolderSplitter(path, train, valid)
        elif splitter is None:
            splitter = DefaultSplitter(targets, valid_pct, seed)
        source = Source(FileTexts(files, encoding), files, targets, NextToken if is_lm else CategoryTarget,
                        {"encoding": encoding}, classes_argument="vocab")
        return assemble(cls, source, splitter, path=path, labels=vocab, text_vocab=text_vocab,
                        tok_tfm=tok_tfm, seq_len=seq_len, backwards=backwards, bs=bs, val_bs=val_bs,
                        shuffle=shuffle, device=device, seed=seed, **kwargs)


def classes_of(y_block, columns: Sequence[pd.Series] | None, target: type[Target]) -> list | None:
    """Return the classes that are known before any label is read: those of a block, or of a categorical column."""
    classes = getattr(y_block, "vocab", None)
    is_one = target.one_class and columns and isinstance(columns[0].dtype, pd.CategoricalDtype)
    if classes is None and is_one:
        classes = columns[0].cat.categories.tolist()
    return classes


def column_names(columns: Sequence[pd.Series]) -> tuple:
    """Return the names of some columns as Python values; E102 for names that no file of a model can hold."""
    try:
        return tuple(list_of(name)([column.name for column in columns]))
    except (TypeError, ValueError) as e:
        raise TextError("E102", received=f"columns named {some(repr(column.name) for column in columns)}",
                        expected=f"as a name {e}", fix="rename them: df.columns = [str(name) for name in df]") from e
