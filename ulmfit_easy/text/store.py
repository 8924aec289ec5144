"""A tokenized corpus on disk: built in bounded memory, read through a memory map, found by its content."""

import json
import re
import shutil
import tempfile
import weakref
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

import numpy as np

from ulmfit_easy import files
from ulmfit_easy.bars import progress_bar
from ulmfit_easy.errors import FileError, TextError
from ulmfit_easy.places import clear_left, hidden_folder, members, writable
from ulmfit_easy.text.fingerprint import Undescribed
from ulmfit_easy.text.given import in_batches
from ulmfit_easy.text.look import Look, changed
from ulmfit_easy.text.tokenizers import SCHEMA, Tokenizer
from ulmfit_easy.text.vocab import Vocab
from ulmfit_easy.text.workers import Encoded, encode
from ulmfit_easy.user_code import warn_user

Tokens = Callable[[Tokenizer, Path], Generator[Encoded]]
BLOCK = 1 << 20  # tokens that are handled at once
MEMBERS, PLACES = ("tokens.bin", "offsets.npy", "hashes.npy", "lexicon.json"), "places.bin"  # the last if asked for


class TokenStore:
    """A tokenized corpus in a folder. `TokenStore(folder)` opens it, `TokenStore.build` makes or finds it.

    Tokens are kept as ids of a *lexicon* of all distinct tokens in first-seen order, so that the corpus does not depend
    on a vocabulary. It may exceed the memory. The folder holds `tokens.bin` (uint32, little-endian, all documents end
    to end), `offsets.npy`, `hashes.npy` and `lexicon.json`. It may hold `places.bin` (int32). `meta.json` has the
    SHA-256 of the others. A pickle holds the tokens and needs no folder.

    Attributes:
        path: the folder. None for a store out of a pickle.
        offsets: (N + 1,) int64, where each document begins in `tokens.bin`.
        lengths: (N,) int64, tokens per document.
        hashes: (N,) int64, equal for equal texts.
        n_tokens: tokens in all.
        lexicon: list of distinct tokens.
        places: (n_tokens,) or (n_tokens, 3) int32, the place of each token in its text, see `alignment.places_of`. None
            unless it was asked for.
        members: bytes and SHA-256 of each file, by its name.

    Raises: FileError E404 and E406 if a member is missing or has the wrong size, E401 if the folder is no
        store of this version.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.members = _members(self.path)
        self.offsets = np.load(self.path / "offsets.npy")  # (N + 1,)
        self.lengths = np.diff(self.offsets)  # (N,)
        self.hashes = np.load(self.path / "hashes.npy")  # (N,)
        self.n_tokens = int(self.offsets[-1])
        self.lexicon = json.loads((self.path / "lexicon.json").read_text())
        self.ids = self._mapped("tokens.bin", "<u4")  # (n_tokens,), lexicon ids
        self.places = self._mapped(PLACES, "<i4") if PLACES in self.members else None
        if self.places is not None and len(self.places) != self.n_tokens:
            self.places = self.places.reshape(self.n_tokens, -1)

    def _mapped(self, name: str, dtype: str) -> np.ndarray:
        return np.asarray(np.memmap(self.path / name, dtype, "r") if self.n_tokens else np.empty(0, dtype))

    @classmethod
    def build(cls, texts: Iterable, tokenizer: Tokenizer, cache_dir: str | Path | bool | None = None,
              progress: bool = False, n_workers: int | None = None, *, look: Look | None = None,
              where: str | None = None, tokens: Tokens | None = None) -> "TokenStore":
        """Return the store of some texts: opened if it was built before, else built in one pass.

        Args:
            texts: strings or tuples of fields. Anything that can be iterated, also more than the memory holds. They
                are hashed first, which is cheap. An iterator cannot be hashed: its store is temporary.
            tokenizer: its fingerprint is part of the name under which the store is found again. If it has none, the
                store is temporary, and a warning says why.
            cache_dir: where stores are kept. The user's cache folder by default. `False` makes a temporary
                store that goes with the object. So does, with a warning, a user's cache that cannot be written to.
            progress: show a bar, in a terminal or a notebook but not in a log file.
            n_workers: processes that tokenize, 0 for this one alone. The store is the same, byte for byte. By default
                this one for little text, one for each processor for much. See `workers.encode`.
            look: what was collected of the texts, if they were read before.
            where: keep the place of each token too, "words" or "chars" as in `Tokenizer.pipe`. It takes longer.
            tokens: makes the tokens of these texts elsewhere, with a folder until the store is whole. Needs a `look`.

        Raises: TextError E101 for a text that is not a string, with its row. E104 if there are none. FileError E406
            for texts that change while they are read, E411 for a `cache_dir` that cannot be written to. TrainingError
            ArgumentError E603 and E508 for workers, as `workers.encode`.
        """
        if isinstance(texts, str):
            raise TextError("E101", received="one string", expected="texts", fix="pass a list: [text]")
        if cache_dir is False or iter(texts) is texts:
            return cls._temporary("store", texts, tokenizer, progress, n_workers, look, where)
        try:
            described = tokenizer.describe()
        except Undescribed as e:
            warn_user(f"these tokens are not kept for the next run: {e}, which may change without a trace. Rules "
                      "that use only functions and plain values are kept; cache_dir=False ends this warning")
            return cls._temporary("store", texts, tokenizer, progress, n_workers, look, where)
        from filelock import FileLock

        look = look or Look(texts).finish()
        name = files.sha256_bytes(json.dumps([SCHEMA, described, look.sha256, where]).encode())
        folder = (files.cache_dir() / "tokens" if cache_dir is None or cache_dir is True else Path(cache_dir)) / name
        try:
            writable(folder)
        except FileError:
            if cache_dir is not None:
                raise
            warn_user(f"the cache {folder.parent} cannot be written to, so these tokens are kept in a temporary "
                      "folder: name another place for the cache in ULMFIT_EASY_CACHE")
            return cls._temporary(name, texts, tokenizer, progress, n_workers, look, where)
        with FileLock(folder.with_suffix(".lock")):  # two processes: one builds, the other waits and opens
            clear_left(folder.parent, re.escape(name))  # of a build that was killed
            if not (folder.exists() and _intact(folder)):
                parts = folder.with_suffix(".parts")
                _write(folder, texts, tokenizer, progress, n_workers, look, where, tokens and tokens(tokenizer, parts))
                shutil.rmtree(parts, ignore_errors=True)
            return cls(folder)

    @classmethod
    def _temporary(cls, name: str, texts: Iterable, tokenizer: Tokenizer, progress: bool, n_workers: int | None,
                   look: Look | None, where: str | None) -> "TokenStore":
        """Return a store that is deleted with the object. One that a killed process left is deleted first."""
        with ExitStack() as stack:
            folder = stack.enter_context(hidden_folder(Path(tempfile.gettempdir()) / "ulmfit-tokens")) / name
            _write(folder, texts, tokenizer, progress, n_workers, look, where)
            store = cls(folder)
            weakref.finalize(store, stack.pop_all().close)
            return store

    def __len__(self) -> int:
        return len(self.lengths)

    def __getstate__(self) -> dict:
        return vars(self) | {"path": None}  # a pickle holds the tokens: the cache may be gone, or on another machine

    def __deepcopy__(self, memo: dict) -> "TokenStore":
        return self  # nothing in it changes

    def span(self, i: int) -> tuple[int, int]:
        """Return where document `i` begins and ends in `ids`. IndexError beyond the last."""
        i = range(len(self))[i]
        return int(self.offsets[i]), int(self.offsets[i + 1])

    def tokens(self, i: int) -> list[str]:
        """Return the tokens of document `i`."""
        start, stop = self.span(i)
        return [self.lexicon[j] for j in self.ids[start:stop].tolist()]

    def places_of(self, i: int) -> np.ndarray:
        """Return the place of each token of document `i`, (T,) or (T, 3) int32. See `alignment.places_of`."""
        start, stop = self.span(i)
        assert self.places is not None  # it was built with `where`
        return self.places[start:stop]

    def count(self, rows: Collection[int] | None = None) -> Counter[str]:
        """Count each token in all documents, or in the documents `rows`: a Counter in first-seen order."""
        counts, order = self.counts(rows)
        return Counter({self.lexicon[i]: int(counts[i]) for i in order})

    def counts(self, rows: Collection[int] | None = None) -> tuple[np.ndarray, list[int]]:
        """Count each lexicon id, (len(lexicon),) int64. Return also the ids that occur, in first-seen order."""
        counts, order = np.zeros(len(self.lexicon), np.int64), []
        for block in self._blocks(rows):
            new, first = np.unique(block[counts[block] == 0], return_index=True)
            order += new[np.argsort(first)].tolist()
            counts += np.bincount(block, minlength=len(counts))
        return counts, order

    def numericalize(self, vocab: Vocab) -> "IdStore":
        """Return the same documents as ids of a vocabulary, computed when they are read."""
        return IdStore(self, vocab)

    def _blocks(self, rows: Collection[int] | None) -> Iterator[np.ndarray]:
        """Yield the lexicon ids of all documents or of some, at least `BLOCK` at once but for the last."""
        if rows is None:
            yield from (self.ids[i:i + BLOCK] for i in range(0, self.n_tokens, BLOCK))
            return
        for spans in in_batches(map(self.span, rows), lambda span: span[1] - span[0], BLOCK):
            yield np.concatenate([self.ids[start:stop] for start, stop in spans])


class IdStore:
    """The documents of a `TokenStore` as ids of a vocabulary: `ids[i]` is document `i`, (T,) int32.

    Nothing is copied but what is read. Tokens outside the vocabulary read as its `unk_id`.
    """

    def __init__(self, store: TokenStore, vocab: Vocab):
        self.store, self.vocab, self.pad_id = store, vocab, vocab.pad_id
        self.lut = vocab.ids(store.lexicon)
        self.offsets, self.lengths, self.n_tokens = store.offsets, store.lengths, store.n_tokens

    def __len__(self) -> int:
        return len(self.store)

    def __reduce__(self) -> tuple:
        return type(self), (self.store, self.vocab)

    def __getitem__(self, i: int) -> np.ndarray:
        start, stop = self.store.span(i)
        return self.lut[self.store.ids[start:stop]]  # (T,)

    def read(self, doc: int, start: int, stop: int) -> np.ndarray:
        """Return tokens `start` to `stop` of a document, as in `ids[doc][start:stop]`, without reading the rest."""
        first, last = self.store.span(doc)
        start, stop, _ = slice(start, stop).indices(last - first)
        return self.lut[self.store.ids[first + start:first + stop]]  # (stop - start,)

    def unk_rate(self, rows: Collection[int] | None = None) -> float:
        """Return the share of tokens that are unknown, in all documents or in some. 0 if there are no tokens."""
        counts, _ = self.store.counts(rows)
        return float(counts[self.lut == self.vocab.unk_id].sum() / max(1, counts.sum()))


def _write(folder: Path, texts: Iterable, tokenizer: Tokenizer, progress: bool, n_workers: int | None,
           look: Look | None, where: str | None, tokens: Generator[Encoded] | None = None) -> None:
    """Tokenize the texts into a new folder that is there whole or not at all.

    Args:
        look: what was collected of the texts before, if they were read. Files may have changed since: E406 if they did.
    """
    again, in_memory = None, isinstance(texts, list | tuple)
    if tokens is None:
        if progress:
            texts = progress_bar(texts, desc="tokenizing", unit=" texts")
        if not (look and in_memory):
            again = texts = Look(texts)
        tokens = encode(tokenizer, texts, n_workers, where)
    ids_of = defaultdict[str, int](count().__next__)  # a new token gets the next id
    lengths = array("q", [0])
    with files.atomic_folder(folder, _foreign) as tmp:
        with ExitStack() as stack:
            out = stack.enter_context(open(tmp / "tokens.bin", "wb"))
            of_places = stack.enter_context(open(tmp / PLACES, "wb")) if where else None
            pieces = stack.enter_context(closing(tokens))
            for lexicon, ids, n_tokens, places in pieces:
                lut = np.fromiter(map(ids_of.__getitem__, lexicon), "<u4", len(lexicon))
                out.write(lut[ids].tobytes())
                if of_places:
                    of_places.write(places.astype("<i4").tobytes())
                lengths.extend(n_tokens)
        if again and look and again.finish().sha256 != look.sha256:
            raise changed()
        if len(lengths) == 1:
            raise TextError("E104", received="no texts at all", expected="at least one", fix="check their source")
        np.save(tmp / "offsets.npy", np.cumsum(lengths, dtype=np.int64))
        np.save(tmp / "hashes.npy", (look or again).finish().hashes)  # type: ignore[union-attr]  # one of both is there
        (tmp / "lexicon.json").write_text(json.dumps(list(ids_of)))
        members = {name: {"bytes": (tmp / name).stat().st_size, "sha256": files.sha256_file(tmp / name)}
                   for name in (*MEMBERS, *[PLACES] * (where is not None))}
        files.write_json(tmp / "meta.json", {"schema": SCHEMA, "members": members})


def _foreign(folder: Path) -> list[str]:
    """Return the names of what in a folder is not of a store."""
    own = {*MEMBERS, PLACES, "meta.json"}
    return [part.name for part in members(folder) if part.name not in own or not part.is_file()]


def _members(folder: Path) -> dict:
    """Bytes and SHA-256 of each file of a store, as they were written. E401 if it is no store of this version.

    E404 and E406 if a file is missing or has another size.
    """
    meta = files.read_json(folder / "meta.json")
    try:
        members = {name: {key: meta["members"][name][key] for key in ("bytes", "sha256")}
                   for name in (*MEMBERS, *[PLACES] * (PLACES in meta["members"]))}
        schema = meta["schema"]
    except (KeyError, TypeError):
        schema = "none"
    if schema != SCHEMA:
        raise FileError("E401", received=f"{folder}, tokens of schema {schema}", expected=f"schema {SCHEMA}",
                        fix="build them again with TokenStore.build")
    for name, member in members.items():
        size = files.existing(folder / name).stat().st_size
        if size != member["bytes"]:
            raise FileError("E406", received=f"{folder / name} with {size} bytes", expected=f"{member['bytes']} bytes",
                            fix="build the store again")
    return members


def _intact(folder: Path) -> bool:
    """Return True if all files of a store have the SHA-256 they were written with. Warn if they have not."""
    try:
        for name, member in _members(folder).items():
            files.check_sha256(folder / name, member["sha256"])
    except OSError as e:
        warn_user(f"the token cache {folder} is damaged and will be built again: {e}")
        return False
    return True
