"""Pickled word lists, read without unpickling: a machine that makes lists and strings, and can do nothing else.

A pickle is a program. Python's own reader runs it, and can be made to call anything; this one knows the few
instructions that a list of strings takes and has none to import, call or construct. Two names are understood,
fastcore's list class `L` and our `Vocab`, and stand for the words inside them.
"""

from collections.abc import Iterable
from pathlib import Path
from pickletools import genops

from ulmfit_easy.errors import FileError
from ulmfit_easy.files import read_bytes
from ulmfit_easy.text.special import BOS, FAKE, FLD, PAD, SPECIAL_TOKENS, TK_REP, TK_UP, TK_WREP, UNK

MAX_BYTES = 64 << 20  # twenty times the longest published list, of 238,462 words

# What other libraries write for our control tokens. SentencePiece puts its mark before them, and has an unknown
# piece of its own, which is the one that text meets.
FASTAI_07 = {"_unk_": UNK, "_pad_": PAD, "xbos": BOS, "xfld": FLD, "t_up": TK_UP, "tk_rep": TK_REP,
             "tk_wrep": TK_WREP}
PIECES = {**{f"▁{token}": token for token in SPECIAL_TOKENS}, "<unk>": UNK}


def read_words(path: str | Path) -> list[str]:
    """The strings of a pickled list (or fastcore `L`, or `Vocab`), in order.

    Raises:
        FileError: E404 where nothing is; E401, with the first instruction that was refused, for any other pickle,
            and for what is none.
    """
    try:
        words = _run(read_bytes(path, MAX_BYTES))
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            raise ValueError("something else than strings")
        "".join(set(words)).encode()  # a set: a few bytes of a pickle can repeat a long string a million times
    except FileError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OSError) as e:
        raise FileError("E401", received=f"{path}, a word list with {str(e)[:200] or type(e).__name__}",
                        expected="a pickled list of strings and nothing else",
                        fix="do not use this file; take the original of whoever trained the model") from e
    return list(words)


_L = object()  # an `L` on the stack, until the state that follows it puts a list in its place
_VOCAB = object()  # a `Vocab` on the stack, until the tuple that it is made of takes its place
_KNOWN = {"fastcore.foundation.L": _L, "ulmfit_easy.text.vocab.Vocab": _VOCAB}


def _run(program: bytes):
    """What a pickle makes of lists and strings; ValueError at the first instruction that needs more.

    Each instruction puts one thing on the stack or moves what is there: nothing grows faster than the file.
    """
    stack, marks, memo = [], [], {}
    for op, arg, _ in genops(program):
        match op.name:
            case "PROTO" | "FRAME":
                pass
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8" | "UNICODE":
                stack.append(arg)
            case "EMPTY_LIST":
                stack.append([])
            case "MARK":
                marks.append(len(stack))
            case "LIST":
                at = marks.pop()
                stack[at:] = [stack[at:]]
            case "APPEND":
                item = stack.pop()
                stack[-1].append(item)
            case "APPENDS":
                at = marks.pop()
                stack[at - 1].extend(stack[at:])
                del stack[at:]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[arg] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[arg])
            case "GLOBAL" | "STACK_GLOBAL":
                names = arg.split(" ") if arg else [stack.pop(-2), stack.pop()]
                if (name := ".".join(names)) not in _KNOWN:
                    raise ValueError(f"the name {name!r}")
                stack.append(_KNOWN[name])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE":
                at = marks.pop()
                stack[at:] = [tuple(stack[at:])]
            case "TUPLE1":
                stack[-1:] = [(stack[-1],)]
            case "REDUCE" if stack[-2] is _VOCAB and len(stack[-1]) == 1:
                stack[-2:] = [stack[-1][0]]
            case "NEWOBJ" if stack[-2] is _L and stack[-1] == ():
                stack.pop()
            case "EMPTY_DICT":
                stack.append({})
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                stack[-1][key] = value
            case "BUILD" if stack[-2] is _L:
                stack[-2:] = [stack[-1]["items"]]
            case "STOP":
                return stack.pop()
            case other:
                raise ValueError(f"the instruction {other}")


def in_our_words(words: Iterable[str]) -> list[str]:
    """A word list with our names for the control tokens, and every word in it once; length and order stay.

    Where a word is there twice, text met its last place (fastai's look-up), so the earlier ones become `xxfake`:
    rows that still take their share of the softmax, and that no text can reach.
    """
    words = list(words)
    known = set(words)
    names = PIECES if f"▁{BOS}" in known else FASTAI_07 if "_unk_" in known and UNK not in known else {}
    words = [names.get(word, word) for word in words]
    last = {word: place for place, word in enumerate(words)}
    return [word if last[word] == place else FAKE for place, word in enumerate(words)]
