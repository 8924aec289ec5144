"""The long tail of splitters: `from_df` needs none of them, and takes any."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ulmfit_easy._fastcore import listify
from ulmfit_easy.data.sources import values_of
from ulmfit_easy.data.splits import Split, by_mask, n_valid, shuffled_rows
from ulmfit_easy.decoding import read_text
from ulmfit_easy.errors import ArgumentError, LabelError
from ulmfit_easy.schema import fraction, random_seed, share, takes

__all__ = ["EndSplitter", "FileSplitter", "FuncSplitter", "GrandparentSplitter", "MaskSplitter",
           "RandomSubsetSplitter", "TrainTestSplitter"]


def MaskSplitter(mask: Sequence[bool]) -> Callable[[Sequence], Split]:
    """Return a splitter that validates with the rows where `mask`, (N,), is true."""
    def split(items: Sequence) -> Split:
        if len(mask) != len(items):
            raise LabelError("E206", received=f"a mask of {len(mask):,} values for {len(items):,} rows",
                             expected="one value for each row", fix="make the mask from the same rows")
        return by_mask(mask)
    return split


def FuncSplitter(func: Callable) -> Callable[[Sequence], Split]:
    """Return a splitter that validates with the items, or the rows of a table, of which `func` is true."""
    return lambda items: by_mask([bool(flag) for flag in values_of(func, items)])


def FileSplitter(fname: str | Path) -> Callable[[Sequence], Split]:
    """Return a splitter that validates with the files named in the text file `fname`, one a line.

    Raises: E404 if that file does not exist. E403 if it is not UTF-8.
    """
    def split(files: Sequence) -> Split:
        names = set(read_text(fname).splitlines())
        return by_mask([Path(file).name in names for file in files])
    return split


@takes({"valid_pct": share})
def EndSplitter(valid_pct: float = 0.2, valid_last: bool = True) -> Callable[[Sequence], Split]:
    """Return a splitter that validates with the last rows, or the first ones. Use it for rows in time order."""
    def split(items: Sequence) -> Split:
        n = len(items)
        cut = n_valid(n, valid_pct)
        return by_mask(np.arange(n) >= n - cut if valid_last else np.arange(n) < cut)
    return split


@takes({"train_sz": fraction, "valid_sz": fraction, "seed": random_seed})
def RandomSubsetSplitter(train_sz: float, valid_sz: float, seed: int | None = None) -> Callable[[Sequence], Split]:
    """Return a splitter that draws two shares of the rows, for training and validation. All other rows are left out.

    A seed draws the same rows as in fastai.

    Raises: E603 if the two shares add up to more than 1.
    """
    if train_sz + valid_sz > 1:
        raise ArgumentError("E603", received=f"train_sz={train_sz}, valid_sz={valid_sz}",
                            expected="two fractions of 1 in all at most", fix="choose smaller ones")

    def split(items: Sequence) -> Split:
        n = len(items)
        rows = shuffled_rows(n, seed)
        n_train, n_held = int(n * train_sz), int(n * valid_sz)
        return rows[:n_train], rows[n_train:n_train + n_held]
    return split


def GrandparentSplitter(train_name: str | Sequence[str] = "train",
                        valid_name: str | Sequence[str] = "valid") -> Callable[[Sequence], Split]:
    """Return a splitter of files by the folder two levels up: `train/pos/1.txt` is for training.

    Each argument may be a list of folders. The files are then in the order of that list.
    """
    def split(files: Sequence) -> Split:
        names = np.array([Path(file).parent.parent.name for file in files])  # (N,)
        train, valid = (np.concatenate([np.flatnonzero(names == name) for name in listify(wanted)])
                        for wanted in (train_name, valid_name))
        return train, valid
    return split


def TrainTestSplitter(test_size: float = 0.2, random_state: int | None = None,
                      stratify: Sequence | None = None, train_size: float | None = None,
                      shuffle: bool = True) -> Callable[[Sequence], Split]:
    """Return a splitter that calls scikit-learn's `train_test_split`, with its arguments."""
    def split(items: Sequence) -> Split:
        from sklearn.model_selection import train_test_split

        train, valid = train_test_split(np.arange(len(items)), test_size=test_size, random_state=random_state,
                                        stratify=stratify, train_size=train_size, shuffle=shuffle)
        return train, valid
    return split
