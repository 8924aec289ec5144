"""Pickled word lists, read by Python's reader with all but two names refused.

A pickle is a program. It can call only what it has looked up by name, and `_Reader` knows two names: fastcore's list
class `L` and our `Vocab`. `_check` refuses whatever could take more memory or time than the file is large.
"""

import io
import pickle
from collections.abc import Iterable
from pathlib import Path
from pickletools import genops

from ulmfit_easy.errors import FileError
from ulmfit_easy.files import read_bytes
from ulmfit_easy.text.special import BOS, FAKE, FLD, PAD, SPECIAL_TOKENS, TK_REP, TK_UP, TK_WREP, UNK

MAX_BYTES = 64 << 20  # twenty times the longest published list, of 238,462 words

NAMES = {"fastcore.foundation.L", "ulmfit_easy.text.vocab.Vocab"}
MANY = set("PROTO FRAME STOP MARK UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 APPEND APPENDS MEMOIZE PUT BINPUT "
           "LONG_BINPUT GET BINGET LONG_BINGET".split())  # instructions, by their names in `pickletools`
ONCE = set("LIST EMPTY_LIST TUPLE TUPLE1 EMPTY_TUPLE EMPTY_DICT SETITEM GLOBAL STACK_GLOBAL REDUCE NEWOBJ "
           "BUILD".split())

# What other libraries write for our control tokens. SentencePiece puts its mark before them, and has an unknown
# piece of its own, which is the one that text meets.
FASTAI_07 = {"_unk_": UNK, "_pad_": PAD, "xbos": BOS, "xfld": FLD, "t_up": TK_UP, "tk_rep": TK_REP, "tk_wrep": TK_WREP}
PIECES = {**{f"▁{token}": token for token in SPECIAL_TOKENS}, "<unk>": UNK}


def read_words(path: str | Path) -> list[str]:
    """Return the strings of a pickled list (or fastcore `L`, or `Vocab`), in order.

    Raises: FileError E404 for a path where nothing is. E401 for any other pickle, with the first instruction or name
        that was refused, and for a file that is none.
    """
    try:
        program = read_bytes(path, MAX_BYTES)
        _check(program)
        words = _Reader(io.BytesIO(program)).load()
        words = words.items if isinstance(words, _Words) else words
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            raise ValueError("something else than strings")
        "".join(set(words)).encode()  # a set: a few bytes of a pickle can repeat a long string a million times
    except (FileError, MemoryError):
        raise
    except Exception as e:  # a broken pickle can raise any of them
        raise FileError("E401", received=f"{path}, a word list with {str(e)[:200] or type(e).__name__}",
                        expected="a pickled list of strings and nothing else",
                        fix="do not use this file; take the original of whoever trained the model") from e
    return list(words)


class _Words:
    """Stands for fastcore's list class `L` and for our `Vocab`, and keeps the words inside."""

    def __init__(self, items: Iterable):
        self.items = items


class _Reader(pickle.Unpickler):
    """Python's reader, for which no name exists but two, both of them `_Words`: so there is nothing to call."""

    def find_class(self, module: str, name: str) -> type[_Words]:
        if f"{module}.{name}" not in NAMES:
            raise ValueError(f"the name {f'{module}.{name}'!r}")
        return _Words


def _check(program: bytes) -> None:
    """Raise ValueError unless a pickle has only the instructions of one list of strings, and a memo of its own size."""
    seen = set()
    for op, arg, _ in genops(program):
        if op.name not in MANY and (op.name not in ONCE or op.name in seen):
            raise ValueError(f"the instruction {op.name}" + " again" * (op.name in seen))
        if "PUT" in op.name and (arg or 0) > len(program):
            raise ValueError(f"the instruction {op.name} {arg}")
        seen.add(op.name)


def in_our_words(words: Iterable[str]) -> list[str]:
    """Return a word list with our names for the control tokens, and every word in it once. Length and order stay.

    If a word occurs twice, fastai looked up its last place. So the earlier ones become `xxfake`. Their rows still take
    a share of the softmax, and no text can reach them.
    """
    words = list(words)
    known = set(words)
    names = PIECES if f"▁{BOS}" in known else FASTAI_07 if "_unk_" in known and UNK not in known else {}
    words = [names.get(word, word) for word in words]
    last = {word: place for place, word in enumerate(words)}
    return [word if last[word] == place else FAKE for place, word in enumerate(words)]
