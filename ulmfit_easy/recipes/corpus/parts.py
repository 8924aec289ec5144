"""The documents of a corpus, file by file: looked at and tokenized in this process or in those of a Dask cluster."""

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ulmfit_easy.bars import progress_bar
from ulmfit_easy.cluster import in_any_order
from ulmfit_easy.text.corpus import Corpus, Rows
from ulmfit_easy.text.look import SAMPLE, Look, changed
from ulmfit_easy.text.store import BLOCK, TokenStore
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.workers import Encoded

if TYPE_CHECKING:
    from distributed import Client


class Seen(NamedTuple):
    """The result of one walk over the N documents of a corpus.

    Attributes:
        look: at all of them.
        n_chars: (N,), the characters of each.
        ends: (files + 1,), where the documents of each file begin and end.
    """

    look: Look
    n_chars: np.ndarray
    ends: np.ndarray

    def unique(self) -> np.ndarray:
        """Return the rows of documents that are no copies of an earlier one, (M,)."""
        return np.sort(np.unique(self.look.hashes, return_index=True)[1])

    def only(self, rows: np.ndarray) -> "Seen":
        """Return the result of a walk over these documents alone."""
        return Seen(Look.of(self.look.digests[rows], self.look.first), self.n_chars[rows],
                    np.searchsorted(rows, self.ends))


def look_at(texts: Corpus, client: "Client | None" = None) -> Seen:
    """Walk over the documents of a corpus. The first ones of each file are the sample in `look.first`."""
    files = _by_file(texts)
    items = [(each, SAMPLE // len(files) + 1 if i < SAMPLE else 0) for i, each in enumerate(files)]
    found = dict(in_any_order(_look_at_file, items, client=client))
    digests, first, n_chars = zip(*(found[i] for i in range(len(files))), strict=True)
    look = Look.of(np.concatenate(digests), [text for each in first for text in each])
    return Seen(look, np.concatenate(n_chars), np.cumsum([0, *map(len, n_chars)]))


def _by_file(texts: Corpus) -> list[Corpus]:
    return [Corpus(file, texts.headings, texts.text_col) for file in texts.files]


def _look_at_file(item: tuple[Corpus, int]) -> tuple[np.ndarray, list, np.ndarray]:
    """Return digests, first texts and characters. A `Look` itself reads a file, so no other process can have it."""
    texts, n_first = item
    look = Look(texts, n_first)
    n_chars = np.fromiter(map(len, look), np.int64)
    return look.finish().digests, look.first, n_chars


def tokens_on(client: "Client", texts: Corpus, ends: np.ndarray, rows: np.ndarray, look: Look, tokenizer: Tokenizer,
              folder: Path) -> Generator[Encoded]:
    """Yield the tokens of a corpus, which a cluster makes. `TokenStore.build` joins them, byte for byte as its own.

    A worker writes a store for each file. After a crash it is found again.

    Args:
        ends: where the documents of each file begin and end, see `Seen`.
        rows: of the documents that are wanted, and `look` at these.
        folder: for the stores of the files, which all workers see.

    Raises: E406 for files that have changed since the look. What `in_any_order` and `TokenStore.build` raise.
    """
    cuts = np.searchsorted(rows, ends)
    wanted = [(Rows(each, rows[a:b] - first), look.hashes[a:b])
              for each, first, a, b in zip(_by_file(texts), ends, cuts, cuts[1:], strict=False) if b > a]
    (folder := folder.absolute()).mkdir(parents=True, exist_ok=True)
    ready, n = dict[int, Path](), 0
    with (progress_bar(total=len(wanted), desc="tokenizing", unit=" files") as bar, closing(
            in_any_order(_store_of, [texts for texts, _ in wanted], tokenizer, folder, client=client)) as done):
        for i, path in done:
            bar.update()
            ready[i] = path
            while n in ready:  # in the order of the files, while others are still made
                yield from _pieces(TokenStore(ready.pop(n)), wanted[n][1])
                n += 1


def _store_of(texts: Rows, tokenizer: Tokenizer, folder: Path) -> Path:
    """Return the folder of a store of the documents of one file."""
    path = TokenStore.build(texts, tokenizer, folder, n_workers=0).path
    assert path is not None  # only a store out of a pickle has none
    return path


def _pieces(store: TokenStore, hashes: np.ndarray) -> Generator[Encoded]:
    if not np.array_equal(store.hashes, hashes):
        raise changed()
    lengths = store.lengths.tolist()
    for start in range(0, max(1, store.n_tokens), BLOCK):
        yield store.lexicon, store.ids[start:start + BLOCK], [] if start else lengths, np.empty(0, np.int32)
