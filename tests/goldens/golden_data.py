"""Goldens of ids -> batches: splits, language-model streams, the order of a sorted loader."""

import torch
from fastai.data.transforms import RandomSplitter
from fastai.text.data import LMDataLoader, SortedDL
from golden_inputs import LENGTHS, SPLITS


def documents(lengths: list[int]) -> list[torch.Tensor]:
    """Documents of running ids, so that every id names its place in the corpus."""
    ids, rows = torch.arange(sum(lengths)), []
    for n in lengths:
        rows.append(ids[:n])
        ids = ids[n:]
    return rows


def splits() -> dict:
    """Train and validation rows of random splits."""
    rows = []
    for n, valid_pct, seed in SPLITS:
        train, valid = map(list, RandomSplitter(valid_pct, seed=seed)(list(range(n))))
        rows.append({"n": n, "valid_pct": valid_pct, "seed": seed, "train": train, "valid": valid})
    return {"splits": rows}


def lm_stream() -> dict:
    """Batches of contiguous streams, documents in order, the last batch shorter."""
    cases = []
    corpora = [([7, 4, 11, 2, 9, 8], 3, 5), ([31], 3, 5), ([16, 14], 3, 5), ([3, 3, 3], 2, 9)]
    for lengths, bs, seq_len in corpora:
        loader = LMDataLoader(documents(lengths), lens=lengths, bs=bs, seq_len=seq_len, shuffle=False)
        batches = [{"x": x, "y": y} for x, y in loader]
        cases.append({"lengths": lengths, "bs": bs, "seq_len": seq_len, "batches": batches})
    return {"cases": cases}


def sorteddl() -> dict:
    """The order of rows, longest first, when the loader does not shuffle."""
    orders = []
    for lengths in LENGTHS:
        rows = [(doc, torch.tensor(0)) for doc in documents(lengths)]
        loader = SortedDL(rows, bs=2, shuffle=False, num_workers=0)
        orders.append({"lengths": lengths, "order": [int(i) for i in loader.get_idxs()]})
    return {"orders": orders}
