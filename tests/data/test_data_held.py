"""The hash of what a dataset holds changes with any row or label, and with nothing else; nothing is loaded for it."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset

from ulmfit_easy.data import held
from ulmfit_easy.data.held import hash_of_held


class Own(Dataset):
    """A dataset of someone's own, which must not be asked for a row."""

    def __init__(self, rows, **more):
        self.rows, self.itself = rows, self
        vars(self).update(more)

    def __len__(self):
        return 4

    def __getitem__(self, i):
        raise AssertionError("a row was loaded")


class Stream(IterableDataset):
    def __iter__(self):
        raise AssertionError("a stream was read")


X = torch.arange(12.0).reshape(4, 3)
TABLE = {"text": ["a", "b", "c", "d"], "label": ["pos", "neg", "pos", "neg"]}
KINDS = {
    "tensors": lambda y: TensorDataset(X, torch.tensor(y)), "a subset": lambda y: Subset(TensorDataset(
        X, torch.tensor(y)), [0, 1, 2]), "several": lambda y: ConcatDataset([Own([1]), TensorDataset(torch.tensor(y))]),
    "pairs": lambda y: list(zip("abcd", y, strict=True)), "batches": lambda y: [(X, torch.tensor(y))],
    "an array": lambda y: Own(np.array(y, dtype=np.int8)), "objects": lambda y: Own(np.array(y, dtype=object)),
    "a table": lambda y: Own(pd.DataFrame(TABLE | {"label": y})), "a column": lambda y: Own(pd.Series(y)),
    "a dict": lambda y: Own(dict(zip("abcd", y, strict=True))), "bfloat16": lambda y: Own(
        torch.tensor(y, dtype=torch.bfloat16, requires_grad=True)), "one number": lambda y: Own(torch.tensor(y[0])),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_one_other_label_gives_another_hash_and_a_copy_the_same(kind):
    same, again, other = (hash_of_held(KINDS[kind](y)) for y in ([0, 1, 0, 1], [0, 1, 0, 1], [1, 1, 0, 1]))
    assert same == again != other and len(same) == 64


def test_counters_functions_and_the_folder_of_a_file_do_not_count():
    assert hash_of_held(Own(["a/1.txt"], epoch=1, f=len)) == hash_of_held(Own(["b\\1.txt"], epoch=2, f=max))
    assert hash_of_held(Own(["a/1.txt"])) != hash_of_held(Own(["a/2.txt"]))


@pytest.mark.parametrize("data", [Own(None, path="x.csv"), Own(7), Subset(Own(7), [1]), ConcatDataset([Own(7)] * 2),
                                  Own(pd.Series), Own(torch.eye(2).to_sparse()), Own(torch.ones(2, device="meta")),
                                  Stream(), iter([1]), object()])
def test_of_data_that_is_loaded_later_there_is_no_hash(data):
    assert hash_of_held(data) is None


def test_large_data_is_read_in_part(monkeypatch):
    monkeypatch.setattr(held, "MOST_BYTES", 100)
    monkeypatch.setattr(held, "MOST_VALUES", 10)
    large = np.arange(1000)
    assert hash_of_held([large, large]) != hash_of_held([large, large[1:]])
    assert hash_of_held(list(range(100))) != hash_of_held(list(range(1, 101)))
    total = []
    monkeypatch.setattr(held.hashlib, "sha256", lambda: type("", (), {
        "update": lambda self, data: total.append(len(data)), "hexdigest": lambda self: ""})())
    hash_of_held([large, large, list(range(100))])
    assert sum(total) < 600
