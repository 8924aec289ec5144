"""Tokens to ids and back, and ids to readable text."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NoReturn

import numpy as np

from ulmfit_easy.absent import TellsAbsent
from ulmfit_easy.errors import VocabError, some
from ulmfit_easy.files import sha256_bytes
from ulmfit_easy.text.special import BOS, CLASSIC, EOS, FAKE, PAD, SPECIAL_TOKENS, TK_MAJ, TK_REP, TK_UP, TK_WREP

MAX_REPEAT = 1000  # so that `xxrep 100000000 a` cannot fill the memory


def make_vocab(count: Counter, min_freq: int = 3, max_vocab: int = 60000,
               special_toks: Sequence[str] | None = None) -> list[str]:
    """Return the list of tokens for a vocabulary: the special ones, then the most frequent ones.

    Args:
        min_freq: the least number of times that a token must occur.
        max_vocab: the most tokens, special ones included. `xxfake` then fills the list up to a multiple of 8, with
            which GPUs are faster.
        special_toks: the special tokens, by default the nine of fastai.

    Raises: VocabError E301 if no token is frequent enough.
    """
    special = list(SPECIAL_TOKENS if special_toks is None else special_toks)
    not_words = {*special, FAKE}
    words = Counter({token: n for token, n in count.items() if token not in not_words})
    common = [token for token, n in words.most_common(max_vocab) if n >= min_freq]
    if not common or max_vocab <= len(special):
        best = max(words.values(), default=0)
        raise VocabError("E301", received=f"{len(words):,} distinct tokens, the most common {best} times, "
                         f"with min_freq={min_freq} and max_vocab={max_vocab}",
                         expected="at least one token often enough, beside the special ones",
                         fix="give more text; pass a lower min_freq=; pass a higher max_vocab=")
    itos = (special + common)[:max_vocab]
    return itos + [FAKE] * (-len(itos) % 8)


def add_words(itos: Sequence[str], words: Iterable[str]) -> list[str]:
    """Return the tokens of a vocabulary and after them the `words` that it lacks, `xxfake` moved to the end."""
    known = dict.fromkeys(token for token in (*itos, *words) if token != FAKE)
    return [*known] + [FAKE] * (-len(known) % 8)


class Vocab(TellsAbsent, Sequence[str]):
    """The vocabulary of a model: its tokens in the order of their ids. Use it like a list that cannot be changed.

    `vocab[5]` is a token, `vocab.stoi["the"]` an id, and `"the" in vocab` is True or False. `xxfake`, which fills up
    the list, has no entry in `stoi`.

    Args:
        specials: a dict from roles to special tokens. "unk" and "pad" are required. "bos", "sep", "mask" and others
            are not. By default the nine of fastai, which then have the ids 0 to 8.

    Attributes:
        pad_id, unk_id: the ids of padding and of unknown tokens.

    Raises: VocabError E303 unless every token is a string, occurs once (only `xxfake` may occur more often), and the
        special tokens are among them.
    """

    itos: tuple[str, ...]
    specials: dict[str, str]
    stoi: dict[str, int]
    sha256: str
    pad_id: int
    unk_id: int
    __slots__ = ("itos", "specials", "stoi", "sha256", "pad_id", "unk_id")

    def __init__(self, itos: Iterable[str], specials: Mapping[str, str] = CLASSIC):
        itos, specials = tuple(itos), dict(specials) if isinstance(specials, Mapping) else {}
        are_there = specials != CLASSIC or itos[:len(SPECIAL_TOKENS)] == SPECIAL_TOKENS
        if not (all(isinstance(token, str) for token in itos) and {"unk", "pad"} <= specials.keys() and are_there
                and set(itos).issuperset(specials.values())):
            raise VocabError("E303", received=f"a vocabulary that starts with {some(map(repr, itos[:9]), 9)} and has "
                             f"the special tokens {some(specials.values(), 9) or 'none'}",
                             expected=f"strings, the first nine {' '.join(SPECIAL_TOKENS)}, or special tokens "
                             "of your own anywhere among them",
                             fix="make the list with make_vocab; or name its own special tokens: Vocab(itos, "
                                 "specials={'unk': '[UNK]', 'pad': '[PAD]'})")
        stoi = {token: i for i, token in enumerate(itos) if token != FAKE}
        if len(stoi) + itos.count(FAKE) != len(itos):
            twice = [repr(token) for token, n in Counter(itos).items() if n > 1 and token != FAKE]
            raise VocabError("E303", received=f"a vocabulary with duplicates: {some(twice)}",
                             expected="every token once", fix="remove the duplicates, or use make_vocab")
        digest = sha256_bytes(json.dumps(itos if specials == CLASSIC else [itos, specials]).encode())
        values = itos, specials, stoi, digest, stoi[specials["pad"]], stoi[specials["unk"]]
        for name, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, name, value)

    @property
    def told(self) -> str:
        """Its size in words, for what an object shows of itself."""
        n_special = len(self) - len(self.stoi) + len(self.specials)
        return f"a vocabulary of {len(self):,} ({n_special} of them special)"

    def ids(self, tokens: Iterable[str]) -> np.ndarray:
        """Return the ids of tokens, (T,) int32. A token outside the vocabulary gets `unk_id`."""
        get, unknown = self.stoi.get, self.unk_id
        return np.fromiter((get(token, unknown) for token in tokens), np.int32)

    def config(self) -> list | dict:
        """Return what `from_config` needs, as JSON: the tokens, with their roles if they are not the classic ones."""
        return list(self) if self.specials == CLASSIC else {"itos": list(self), "specials": self.specials}

    @classmethod
    def from_config(cls, config: list | dict) -> "Vocab":
        """Return the vocabulary that `config()` described. E303 for anything else."""
        try:
            return cls(config) if isinstance(config, list) else cls(config["itos"], config["specials"])
        except (LookupError, TypeError, ValueError) as e:
            raise VocabError("E303", received=f"{config!r:.40} as a vocabulary", expected="a list of strings",
                             fix="write Vocab.config() to the file") from e

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Vocab is frozen")

    __delattr__ = __setattr__  # type: ignore[assignment]  # it raises, whatever it is given

    def __len__(self) -> int:
        return len(self.itos)

    def __iter__(self) -> Iterator[str]:
        return iter(self.itos)

    def __contains__(self, token: object) -> bool:
        return token in self.stoi

    def __getitem__(self, i: int | slice) -> Any:
        return list(self.itos[i]) if isinstance(i, slice) else self.itos[i]

    def __hash__(self) -> int:
        return hash(self.itos)

    def __reduce__(self) -> tuple:
        return Vocab, (self.itos,) if self.specials == CLASSIC else (self.itos, self.specials)

    def __repr__(self) -> str:
        special = {*self.specials.values()}
        return f"Vocab({len(self):,} tokens: {some((repr(t) for t in self.itos if t not in special), 4)})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Vocab):
            return (self.itos, self.specials) == (other.itos, other.specials)
        return self.itos == tuple(other) if isinstance(other, list | tuple) else NotImplemented


def padded(docs: Sequence[np.ndarray], pad_id: int, backwards: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return documents (T,) as one batch, (B, T) int64, padded on the right, and their lengths, (B,) int64.

    Args:
        backwards: read each document from its end.
    """
    lengths = np.array([len(doc) for doc in docs], dtype=np.int64)
    ids = np.full((len(docs), max(1, lengths.max())), pad_id, dtype=np.int64)
    for row, doc, n in zip(ids, docs, lengths, strict=True):
        row[:n] = doc[::-1] if backwards else doc
    return ids, lengths


class MemoryIds:
    """Ids of new texts, read like an `IdStore` but never on disk: one text is ready in 0.1 ms, not in 50."""

    def __init__(self, docs: Iterable[np.ndarray], pad_id: int, texts: Sequence = (), places: Sequence = ()):
        self.docs, self.pad_id = list(docs), pad_id
        self.texts, self.places = texts, places  # of each text, for a target that needs places
        self.lengths = np.array([len(doc) for doc in self.docs], dtype=np.int64)  # (N,)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.docs[i]

    def read(self, doc: int, start: int, stop: int) -> np.ndarray:
        """Return tokens `start` to `stop` of a text."""
        return self.docs[doc][start:stop]


class Numericalize:
    """Turn tokens into ids (int32) and back. A token outside the vocabulary gets the id of `xxunk`.

    Args:
        vocab: a `Vocab` or a list of tokens.
        min_freq, max_vocab, special_toks: as for `make_vocab`, which `setup` calls without a vocabulary.
    """

    def __init__(self, vocab: Iterable[str] | None = None, min_freq: int = 3, max_vocab: int = 60000,
                 special_toks: Sequence[str] | None = None):
        self.vocab = vocab if isinstance(vocab, Vocab | None) else Vocab(vocab)
        self.min_freq, self.max_vocab, self.special_toks = min_freq, max_vocab, special_toks

    def setup(self, count: Counter | Iterable[Sequence[str]]) -> "Numericalize":
        """Make the vocabulary from token counts, or from the tokens of some texts, if there is none yet."""
        if self.vocab is None:
            counted = count if isinstance(count, Counter) else Counter(chain.from_iterable(count))
            self.vocab = Vocab(make_vocab(counted, self.min_freq, self.max_vocab, self.special_toks))
        return self

    def __call__(self, tokens: Sequence[str]) -> np.ndarray:
        """Return the ids, (T,) int32. E301 before `setup`."""
        return self._known().ids(tokens)

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Return the tokens of some ids."""
        itos = self._known().itos
        return [itos[int(i)] for i in ids]

    def _known(self) -> Vocab:
        if self.vocab is None:
            raise VocabError("E301", received="Numericalize without a vocabulary", expected="a vocabulary",
                             fix="call .setup(count) first, or pass vocab=")
        return self.vocab


_DROPPED = {BOS, EOS, PAD, FAKE}
_CASES = {TK_UP: str.upper, TK_MAJ: lambda token: token[:1].upper() + token[1:].lower()}
# As English is printed. A face such as `:-(` or `;)` keeps its blanks.
_TIGHT = re.compile(r" (?=(?:[.,!?)\]%]+|[;:])(?!\S)|n't\b|'(?:s|m|d|re|ve|ll)\b)|(?<!\S[(\[])(?<=[(\[]) ")


def detokenize(tokens: Iterable[str], tighten: bool = True) -> str:
    """Return the text of some tokens: capitals and repetitions are put back, and words joined by spaces.

    `xxbos`, `xxeos`, `xxpad` and `xxfake` are left out, `xxunk` and `xxfld` stay. A mark such as `xxmaj` without a word
    after it is left out too. A repetition has 1,000 characters at most. `tighten` removes the spaces around
    punctuation. For the pieces of a subword tokenizer use `Tokenizer.detokenize`.

    >>> detokenize("xxbos xxmaj it was xxrep 3 a bad , xxup not good !".split())
    'It was aaa bad, NOT good!'
    """
    tokens, words = [token for token in tokens if token not in _DROPPED], []
    case: Callable[[str], str]
    case, times, glue = str, 1, ""  # what the next word goes through
    for token, previous in zip(tokens, [""] + tokens, strict=False):
        if token in _CASES:
            case = _CASES[token]
        elif token in (TK_REP, TK_WREP):
            glue = "" if token == TK_REP else " "
        elif previous in (TK_REP, TK_WREP) and token.isdecimal():
            times = int(token) if len(token) < 5 else MAX_REPEAT
        else:
            words.append(glue.join([case(token.replace("▁", " "))] * min(times, MAX_REPEAT)))
            case, times, glue = str, 1, ""
    text = " ".join(words)
    return _TIGHT.sub("", text) if tighten else text
