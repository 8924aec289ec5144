"""Collect in one pass over raw texts all that is needed of them. Tokenizing is the second pass, and the last."""

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np

from ulmfit_easy.errors import FileError
from ulmfit_easy.text.rules import fields_of

SAMPLE, MOST = 1000, 10_000_000  # texts that loaders look at, and the most characters of them


class Look:
    """Read N texts for the first time. It is an iterator over them, for code that reads them anyway.

    Args:
        n_first: how many of the first texts to keep, 10 million characters at most.

    Attributes:
        first: these texts.
        is_over: True once `finish` was called. Only then are there `digests`, `hashes` and `sha256`.
        digests: (N, 32) uint8, the SHA-256 of each text.
        hashes: (N,) int64, equal for equal texts: the first bytes of these.
        sha256: the hash of all texts, as hex. `TokenStore.build` keeps their tokens under it.
    """

    def __init__(self, texts: Iterable, n_first: int = 0):
        self.first, self.is_over = list[str | tuple](), False
        self._texts, self._n_first, self._room = enumerate(texts), n_first, MOST
        self._digests = bytearray()

    @classmethod
    def of(cls, digests: np.ndarray, first: list | None = None) -> "Look":
        """Return what a look at texts with these digests, (N, 32), would be, and with these first texts."""
        look = cls(())
        look.first, look._digests = first or [], bytearray(digests)
        return look.finish()

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> str | tuple[str, ...]:
        i, text = next(self._texts)
        fields = fields_of(text, i)
        self._digests += _digest(fields)
        if len(self.first) < self._n_first and self._room > 0:
            self.first.append(text)
            self._room -= sum(map(len, fields))
        return text

    def finish(self) -> "Look":
        """Read the rest of the texts, and return this object."""
        for _ in self:
            pass
        self.is_over, self.sha256 = True, hashlib.sha256(self._digests).hexdigest()
        self.digests = np.frombuffer(self._digests, np.uint8).reshape(-1, 32)
        self.hashes = self.digests[:, :8].copy().view("<i8").ravel()
        return self


def changed() -> FileError:
    """Return the error for texts that differ from what a look at them has found."""
    return FileError("E406", received="texts that have changed while they were read",
                     expected="the same texts from first to last",
                     fix="wait until nothing writes to their files, then call this again")


def _digest(fields: Iterable[str]) -> bytes:
    data = [field.encode("utf-8", "surrogatepass") for field in fields]
    return hashlib.sha256(repr([*map(len, data)]).encode() + b"".join(data)).digest()


EMPTY = int.from_bytes(_digest([""])[:8], "little", signed=True)  # the hash of an empty text, which is no duplicate
