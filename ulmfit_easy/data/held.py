"""Hash the rows and labels that a dataset holds in memory, so that a checkpoint tells one dataset from another."""

import hashlib
from collections.abc import Mapping
from numbers import Number
from pathlib import PurePath

import numpy as np
import torch

MOST_VALUES = 100_000  # of one list; of a longer one every k-th is read
MOST_BYTES = 256 << 20  # of all arrays; of those that are larger every k-th row is read
PLAIN = Number, str, bytes, PurePath, np.generic, type(None)


def hash_of_held(data: object) -> str | None:
    """Return a hash of the tensors, arrays, tables, lists and dicts in a dataset, or None if it has none.

    It loads nothing: it asks for no item, and walks no iterator. Of large data it reads a part, evenly spread: 100,000
    values of a list, and 256 MB of all arrays. Of a path only the last part counts, because folders move. Single values
    of a torch dataset do not count, because they may be counters or times.
    """
    held = _Held()
    held.any = isinstance(data, list | tuple)  # batches, all of them, if there are any
    held.add(data)
    return held.digest.hexdigest() if held.any else None


class _Held:
    def __init__(self):
        self.digest, self.room, self.any, self.above = hashlib.sha256(), MOST_BYTES, False, []

    def add(self, value: object) -> None:
        """Add a value, with all that it holds. Objects that are no data do not count."""
        if isinstance(value, PLAIN):
            self.digest.update(_text(value).encode(errors="surrogatepass") + b"\0")
        elif any(value is each for each in self.above):  # it holds itself
            return
        elif isinstance(value, torch.utils.data.ConcatDataset):
            self._add_all(value, value.datasets)
        elif isinstance(value, torch.utils.data.Subset):
            self.add(value.dataset)
            of_dataset = self.any
            self.add(value.indices)
            self.any = of_dataset  # which rows they are tells nothing about them
        elif isinstance(value, torch.utils.data.Dataset):
            self._add_all(value, [v for _, v in sorted(vars(value).items()) if not isinstance(v, PLAIN)])
        elif isinstance(value, Mapping):
            self._add_all(value, sorted(value.items(), key=lambda pair: str(pair[0])))
        elif isinstance(value, list | tuple):
            self._add_all(value, value)
        elif isinstance(value, np.ndarray) and value.dtype.hasobject:
            self.add(value.tolist())
        elif isinstance(value, np.ndarray) or (
                isinstance(value, torch.Tensor) and value.layout is torch.strided and not value.is_meta):
            self._add_array(value)
        elif hasattr(value, "to_numpy") and not isinstance(value, type):  # of pandas
            self.add(value.to_numpy())

    def _add_all(self, value: object, parts: list | tuple) -> None:
        self.digest.update(f"{len(parts)} parts\0".encode())
        self.any |= len(parts) > 0 and not isinstance(value, torch.utils.data.Dataset)
        self.above.append(value)
        for part in parts[:: 1 + len(parts) // MOST_VALUES]:
            self.add(part)
        self.above.pop()

    def _add_array(self, array: torch.Tensor | np.ndarray) -> None:
        self.any = True
        self.digest.update(f"{array.dtype} {tuple(array.shape)}\0".encode())
        rows = array[:: 1 + array.nbytes // max(1, self.room)] if array.ndim else array
        if isinstance(rows, torch.Tensor):
            rows = rows.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        data = rows.tobytes()
        self.room -= len(data)
        self.digest.update(data)


def _text(value: object) -> str:
    if isinstance(value, str | PurePath):
        return str(value).replace("\\", "/").rpartition("/")[2]
    return repr(value.item() if isinstance(value, np.generic) else value)
