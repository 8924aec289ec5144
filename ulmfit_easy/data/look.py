"""Collect in one pass over raw texts all that loaders need of them. Tokenizing is the second pass, and the last."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator

import numpy as np

from ulmfit_easy.text.store import hashed

SAMPLE, MOST = 1000, 10_000_000  # texts that are kept, and how many characters of them


class Look:
    """Read N texts for the first time. It is an iterator over them, for code that reads them anyway.

    Attributes:
        first: the first texts, 1,000 or 10 million characters at most.
        is_over: True once `finish` was called. Only then are there `keys` and `sha256`.
        keys: (N,) int64, equal for equal texts, in this process only.
        sha256: the hash under which `TokenStore.build` keeps their tokens, as hex.
    """

    def __init__(self, texts: Iterable):
        self.first, self.is_over = [], False
        self._keys, self._digest, self._room = array("q"), hashlib.sha256(), MOST
        self._texts = hashed(texts, self._digest)

    def __iter__(self) -> Iterator:
        return self

    def __next__(self):
        text = next(self._texts)
        self._keys.append(hash(text))
        if len(self.first) < SAMPLE and self._room > 0:
            self.first.append(text)
            self._room -= len(text) if isinstance(text, str) else sum(map(len, text))
        return text

    def finish(self) -> "Look":
        """Read the rest of the texts, and return this object."""
        for _ in self:
            pass
        self.is_over, self.keys, self.sha256 = True, np.array(self._keys, dtype=np.int64), self._digest.hexdigest()
        return self
