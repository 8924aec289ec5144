"""Functions that give splitters: functions from items to the rows to train on and to validate with."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ulmfit_easy._fastcore import listify
from ulmfit_easy.data.sources import find_column
from ulmfit_easy.errors import LabelError, in_rows, some
from ulmfit_easy.schema import random_seed, share, takes
from ulmfit_easy.text.look import EMPTY
from ulmfit_easy.user_code import warn_user

__all__ = ["ColSplitter", "IndexSplitter", "RandomSplitter", "StratifiedSplitter"]

Split = tuple[np.ndarray, np.ndarray]  # row positions, int64: training, validation
STRATIFY_BELOW = 1000  # rows; a random fifth of fewer rows than this often misses a small class


@takes({"valid_pct": share, "seed": random_seed})
def RandomSplitter(valid_pct: float = 0.2, seed: int | None = None) -> Callable[[Sequence], Split]:
    """Return a splitter that draws a share of the rows at random for validation.

    A seed draws the same rows as in fastai.
    """
    def split(items: Sequence) -> Split:
        rows = shuffled_rows(len(items), seed)
        cut = n_valid(len(items), valid_pct)
        return rows[cut:], rows[:cut]
    return split


def shuffled_rows(n: int, seed: int | None) -> np.ndarray:
    """Return the numbers 0..n-1 in random order, (n,) int64. Without a seed from torch's global random state."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return torch.randperm(n, generator=generator).numpy()


def n_valid(n: int, valid_pct: float) -> int:
    """Return a fraction of n rows, rounded down, but at least one of two rows or more."""
    return max(int(valid_pct * n), int(n > 1 and valid_pct > 0))


@takes({"valid_pct": share, "seed": random_seed})
def StratifiedSplitter(labels: Sequence, valid_pct: float = 0.2,
                       seed: int | None = None) -> Callable[[Sequence], Split]:
    """Return a splitter that draws `valid_pct` of each class. The last row of a class always stays in training."""
    def split(items: Sequence) -> Split:
        rows = shuffled_rows(len(items), seed)
        names: dict[Hashable, int] = {}
        classes = np.array([names.setdefault(label, len(names)) for label in labels])
        sizes = np.bincount(classes)
        wanted = n_valid(len(rows), valid_pct)
        quota = sizes * wanted / len(rows)  # (C,)
        take = quota.astype(np.int64)
        room = wanted - take.sum()  # what rounding down left over goes to the largest remainders
        for c in np.argsort(take - quota, kind="stable"):
            if room > 0 and take[c] < sizes[c] - 1:
                take[c] += 1
                room -= 1
        seen, valid = np.zeros_like(take), np.zeros(len(rows), bool)
        for i, c in enumerate(classes[rows]):
            valid[i] = seen[c] < take[c]
            seen[c] += 1
        return rows[~valid], rows[valid]
    return split


@takes({"valid_pct": share, "seed": random_seed})
def DefaultSplitter(labels: Sequence | None, valid_pct: float = 0.2, seed: int | None = None,
                    texts: Sequence[Hashable] | np.ndarray | None = None) -> Callable[[Sequence], Split]:
    """`RandomSplitter`. `StratifiedSplitter` for few rows or where chance leaves a class out of training.

    Args:
        texts: (N,) texts or their hashes. Copies of a text stay on one side: that of the first, which alone is drawn.
            If that leaves nothing to validate with, all rows are drawn.
    """
    def split(items: Sequence) -> Split:
        first_of = _first_copies(texts, len(items))  # (N,)
        first = np.unique(first_of)  # (M,)
        labels_of_first = None if labels is None else [labels[i] for i in first]
        train, valid = (first[rows] for rows in drawn(labels_of_first, range(len(first))))
        copies = np.flatnonzero(first_of != np.arange(len(items)))
        if labels is not None and len(copies):  # a class that only copies have must not be lost to training
            kept = {labels[i] for i in (*train, *copies[np.isin(first_of[copies], train)])}
            moved = np.isin(valid, [first_of[i] for i in copies.tolist() if labels[i] not in kept])
            train, valid = np.concatenate([train, valid[moved]]), valid[~moved]
        train, valid = (np.concatenate([rows, copies[np.isin(first_of[copies], rows)]]) for rows in (train, valid))
        return (train, valid) if len(valid) else drawn(labels, items)

    def drawn(labels: Sequence | None, items: Sequence) -> Split:
        seed_ = int(torch.randint(2**31, ())) if seed is None else seed
        train, valid = RandomSplitter(valid_pct, seed_)(items)
        if labels is None:
            return train, valid
        if len(items) < STRATIFY_BELOW or {labels[i] for i in train} != set(labels):
            train, valid = StratifiedSplitter(labels, valid_pct, seed_)(items)
        if once := [label for label, n in Counter(labels).items() if n == 1]:
            warn_user(f"{len(once)} classes have one example each, which goes to training: {some(once)}")
        return train, valid
    return split


def _first_copies(texts: Sequence[Hashable] | np.ndarray | None, n: int) -> np.ndarray:
    """Return the position of the first equal text for each of n texts, (n,) int64. Empty ones are no copies."""
    if texts is None:
        return np.arange(n)
    first: dict[Hashable, int] = {}
    return np.array([i if text in ("", EMPTY) else first.setdefault(text, i) for i, text in enumerate(texts)], np.int64)


def ColSplitter(col: int | str = "is_valid", on: object = None) -> Callable[[Sequence], Split]:
    """Return a splitter of a table: rows where `col` is true are for validation. 0 and 1, yes and no also do.

    `on` is a value, or a list of values, that stands for validation instead.
    """
    words = {"true": True, "1": True, "1.0": True, "yes": True,
             "false": False, "0": False, "0.0": False, "no": False}

    def split(df: pd.DataFrame) -> Split:
        if on is not None:
            return by_mask(np.isin(find_column(df, col).to_numpy(dtype=object), np.array(listify(on), dtype=object)))
        flags = [words.get(str(value).strip().lower()) for value in find_column(df, col)]
        if bad := [row for row, flag in enumerate(flags) if flag is None]:
            raise LabelError("E206", received=f"{len(bad):,} values in column {col!r} that are neither true "
                             f"nor false, {in_rows(bad)}", expected="true or false in each row",
                             fix="fill the column; pass valid_pct= instead to TextDataLoaders")
        return by_mask(flags)
    return split


def IndexSplitter(valid_idx: Sequence[int]) -> Callable[[Sequence], Split]:
    """Return a splitter that holds out these rows and trains on the others."""
    def split(items: Sequence) -> Split:
        valid = np.asarray(valid_idx, dtype=np.int64)
        return np.setdiff1d(np.arange(len(items)), valid), valid
    return split


def by_mask(for_valid: Sequence | np.ndarray) -> Split:
    mask = np.array(for_valid, dtype=bool)  # (N,)
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def FolderSplitter(path: str | Path, train: str = "train", valid: str = "valid") -> Callable[[Sequence], Split]:
    """Return a splitter of files by the folder directly under `path` that they are in, at any depth."""
    def split(files: Sequence) -> Split:
        for_train, for_valid = (np.flatnonzero([Path(f).is_relative_to(Path(path) / name) for f in files])
                                for name in (train, valid))
        return for_train, for_valid
    return split


def no_valid(items: Sequence) -> Split:
    """Train on all rows: a splitter for fits that validate with nothing."""
    return np.arange(len(items)), np.arange(0)


def checked_split(splitter: Callable[[Sequence], Split], items: Sequence) -> Split:
    """Return what the splitter gives as int64 arrays. Raise E206 for no row, an empty side or a row on both sides.

    Only `no_valid` may leave the side to validate with empty.
    """
    train, valid = (np.asarray(list(rows), dtype=np.int64) for rows in splitter(items))
    rows = np.concatenate([train, valid])
    if len(outside := np.unique(rows[(rows < 0) | (rows >= len(items))])):
        raise LabelError("E206", received=f"{len(outside):,} positions where no row is: {some(outside)}",
                         expected=f"positions from 0 to {len(items) - 1:,}",
                         fix="count rows from 0, whatever the index of the table is; -1 is not the last")
    shared = np.intersect1d(train, valid)
    if not len(train) or (not len(valid) and splitter is not no_valid) or len(shared):
        raise LabelError("E206", received=f"{len(train):,} rows to train on, {len(valid):,} to validate "
                         f"with, {len(shared):,} in both", expected="one or more of each, and no row in both",
                         fix="give two rows or more, some for each side; TextDataLoaders takes a share above 0 as "
                             "valid_pct=, such as 0.1, or valid_col= or splitter=")
    return train, valid
