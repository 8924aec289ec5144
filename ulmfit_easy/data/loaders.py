"""From texts and labels to loaders: source -> splitter -> text -> target, in one function for all ways in."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch

from ulmfit_easy.data import checks, ranks
from ulmfit_easy.data.balance import balanced_rows, checked_weights
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.data.sources import FileTexts
from ulmfit_easy.data.splits import checked_split
from ulmfit_easy.data.tables import TextsOnDisk
from ulmfit_easy.data.targets import NextToken, Target
from ulmfit_easy.data.targets.target import Block
from ulmfit_easy.errors import ArgumentError, TextError, some
from ulmfit_easy.schema import any_of, flag, list_of, name, number, optional, path, random_seed, several, takes, whole
from ulmfit_easy.text.look import SAMPLE, Look
from ulmfit_easy.text.special import CLASSIC
from ulmfit_easy.text.store import TokenStore
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vocab import Vocab, add_words, make_vocab
from ulmfit_easy.user_code import interrupted

D = TypeVar("D", bound=DataLoaders)


@dataclass(frozen=True)
class Source:
    """Texts, labels and what a splitter looks at, all of N rows."""

    texts: Sequence | FileTexts | TextsOnDisk  # strings, or tuples of strings where a text has several fields
    items: Sequence  # a table or a list of files
    labels: list | Any = None  # None for a language model
    target: type[Target] | Target = NextToken  # one without labels may have settings already
    names: dict = field(default_factory=dict)  # columns, delimiter, encoding: fields of `Preparation`, for later texts
    rows: np.ndarray | None = None  # (N,) the user's own row of each text, where some were left out
    block: str | Block | None = None  # what `y_block` was; a CategoryBlock may ask for an order of classes
    total: int | None = None  # the user's rows, where some were left out
    classes_argument: str = "labels"  # of the function that was called: it takes every class
    look: Look | None = None  # the first walk over the texts, if it is over: a splitter wanted their hashes


ROWS = Preparation.SETTINGS["bs"]
SETTINGS = {  # of `assemble`, for all functions that make loaders
    "labels": optional(several), "text_vocab": optional(several), "seq_len": whole(), "backwards": flag, "bs": ROWS,
    "val_bs": optional(ROWS), "shuffle": flag, "seed": random_seed, "min_freq": whole(0), "max_vocab": whole(),
    "cache_dir": optional(any_of(flag, path)), "n_workers": optional(whole(0)), "balanced": flag,
    "weights": optional(several), "max_tokens": optional(whole()), "bptt_jitter": number(0)}


@takes(SETTINGS)
@interrupted("Stopped. No loaders were made.")
def assemble(cls: type[D], source: Source, splitter: Callable, tokenizer: Tokenizer, *, path: str | Path,
             labels: Sequence | None, text_vocab: Vocab | Iterable[str] | None, seq_len: int, backwards: bool, bs: int,
             val_bs: int | None, shuffle: bool, device: torch.device | str | None, seed: int | None, min_freq: int = 3,
             max_vocab: int = 60000, cache_dir: str | Path | bool | None = None, n_workers: int | None = None,
             balanced: bool = False, weights: Sequence | None = None, max_tokens: int | None = None,
             bptt_jitter: float = 0.0, num_workers: int | None = None, drop_last: bool | None = None,
             pin_memory: bool | None = None) -> D:
    """Return the loaders of a source: split it, number its labels and words by the training rows, check, batch.

    The vocabulary is `text_vocab`, else the tokenizer's, if it has one. A language model has the most common words of
    the training rows before it, unless the tokenizer is closed. Without any the vocabulary has these words alone.
    """
    _check_batching(source.target, {"balanced": balanced, "weights": weights is not None, "max_tokens": max_tokens,
                                    "bptt_jitter": bptt_jitter})
    ranks.same_random()  # several processes draw the same split, and as many words
    train, valid = checked_split(splitter, source.items)
    rows = np.arange(len(source.texts)) if source.rows is None else source.rows  # (N,), for messages
    y_train = y_valid = None
    if isinstance(source.target, Target) or not source.target.labelled:
        target: Target = source.target if isinstance(source.target, Target) else source.target.from_config({})
    else:  # first, since it is quick and tokenizing may not be
        of_train, of_valid = ([source.labels[i] for i in part] for part in (train, valid))
        source.target.check_texts(source.texts, source.labels, rows)
        target = source.target.learned(of_train, labels, source.block)
        checks.warn_of_twins(target.classes or ())
        if target.one_class and not balanced and weights is None:
            checks.warn_of_unequal(of_train)
        y_train = target.encode(of_train, rows=rows[train], argument=source.classes_argument)
        y_valid = target.encode(of_valid, rows=rows[valid], argument=source.classes_argument)
    look = source.look or getattr(source.texts, "look", None) or Look(source.texts, SAMPLE)
    if text_vocab is None:  # pieces learned here would not be those of a vocabulary from elsewhere
        is_train = np.isin(np.arange(len(source.texts)), train)
        tokenizer.setup(compress(source.texts if look.is_over else look, is_train))
        checks.warn_of_language(look.finish().first, tokenizer)
    look.finish()
    store = TokenStore.build(source.texts, tokenizer, cache_dir, progress=True, n_workers=n_workers, look=look,
                             where=target.places)
    if text_vocab is None:
        text_vocab, is_fixed = tokenizer.vocab, tokenizer.is_closed or target.labelled
        if text_vocab is None or not is_fixed:
            text_vocab = _with_words(store.count(train), min_freq, max_vocab, text_vocab)
    tokenizer = tokenizer.with_vocab(text_vocab)
    tokenizer = tokenizer.with_vocab(target.vocab_for(tokenizer.vocab))
    ids = store.numericalize(tokenizer.vocab)
    if target.places and y_train is not None and y_valid is not None:
        y_train, y_valid = (target.aligned(y, [store.places_of(i) for i in part], backwards)
                            for y, part in ((y_train, train), (y_valid, valid)))
    checks.warn_of_duplicates(store.hashes, train, valid, rows, source.labels,
                       source.items if isinstance(source.texts, FileTexts) else None)
    if source.target.one_class:
        checks.warn_of_told_labels(look.first, source.labels)
    checks.warn_of_unknown(ids, train)
    both: dict = dict(vocab=tokenizer.vocab, seq_len=seq_len, backwards=backwards)
    for_train: dict = dict(bs=bs, shuffle=shuffle, seed=seed)
    if max_tokens:
        both["max_tokens"] = max_tokens
    if bptt_jitter:
        for_train["bptt_jitter"] = bptt_jitter
    if weights is not None:
        for_train["weights"] = checked_weights(weights, source.total or len(source.texts))[rows[train]]
    elif balanced and y_train is not None:
        for_train["weights"] = balanced_rows(y_train)
    train_dl = target.loader(ids, train, y_train, **both, **for_train)
    valid_dl = target.loader(ids, valid, y_valid, **both, bs=val_bs or bs)
    prepare = Preparation(tokenizer, target, seq_len=seq_len, backwards=backwards, bs=bs, **source.names)
    return cls(train_dl, valid_dl, path=path, device=device, prepare=prepare)


def _with_words(count: Counter, min_freq: int, max_vocab: int, known: Vocab | None) -> Vocab:
    """Return a vocabulary of the most common tokens, and of those that a model knows after them."""
    specials = CLASSIC if known is None else known.specials
    return Vocab(add_words(make_vocab(count, min_freq, max_vocab, tuple(specials.values())), known or ()), specials)


def _check_batching(target: type[Target] | Target, given: dict) -> None:
    """E603 for what the loaders of other targets have, or for weights twice."""
    named = [name for name, value in given.items() if value]
    wrong = [name for name in named if name not in target.batching]
    if wrong or {"balanced", "weights"} <= {*named}:
        whose = "a classifier" if target.labelled else "a language model"
        raise ArgumentError("E603", received=f"{' and '.join(wrong) or 'balanced and weights'} for {whose}",
                            expected="bptt_jitter for a language model; balanced or weights, and max_tokens, for a "
                            "classifier", fix="leave it out")


def classes_of(y_block: str | Block | None, columns: Sequence[pd.Series] | None,
               target: type[Target] | Target) -> list | None:
    """Return the classes that are known before any label is read: those of a block, or of a categorical column."""
    classes = getattr(y_block, "vocab", None)
    if classes is None and target.one_class and columns and isinstance(columns[0].dtype, pd.CategoricalDtype):
        classes = columns[0].cat.categories.tolist()
    return classes


def column_names(columns: Sequence[pd.Series]) -> tuple:
    """Return the names of some columns as Python values. E102 for names that no file of a model can hold."""
    try:
        return tuple(list_of(name)([column.name for column in columns]))
    except (TypeError, ValueError) as e:
        raise TextError("E102", received=f"columns named {some(repr(column.name) for column in columns)}",
                        expected=f"as a name {e}", fix="rename them: df.columns = [str(name) for name in df]") from e
