"""Learn all that loaders need of raw texts in one walk over them, so that tokenizing is the second and last."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator

import numpy as np

from ulmfit_easy.text.store import hashed

SAMPLE, MOST = 1000, 10_000_000  # texts that are kept, and how many characters of them


class Look:
    """The first walk over N texts. It is itself an iterator over them, for someone who must read them anyway.

    Attributes:
        first: up to 1,000 texts.
        is_over: True when the last text was read; only then come the other two.
        keys: (N,) int64, equal for equal texts; of this process only.
        sha256: the hash under which `TokenStore.build` keeps their tokens.
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
        """Walk to the end."""
        for _ in self:
            pass
        self.is_over, self.keys, self.sha256 = True, np.array(self._keys, dtype=np.int64), self._digest.hexdigest()
        return self
