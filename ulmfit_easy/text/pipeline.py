"""The contract of a splitter of texts into tokens, and the words of a text that its tokens come from.

A pipeline is a `Tokenizer` with its vocabulary, as one thing that a model brings. A new kind of tokens is a new
splitter, a class in a file of its own, which `tokenizers.py` names in a table.
"""

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

import numpy as np

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.text.rules import fields_of
from ulmfit_easy.text.special import BOS, EOS, FAKE, FLD, PAD, TK_MAJ, TK_REP, TK_UP, TK_WREP

NO_WORD = -1  # the number of the word of a token that comes from none, such as `xxbos`
NO_PLACE = NO_WORD, NO_WORD, NO_WORD  # start, stop and field of such a token
OF_NO_WORD = {BOS, EOS, PAD, FLD, FAKE}
MARKS = {TK_MAJ, TK_REP, TK_UP, TK_WREP}  # of the token that follows


class Splitter(Protocol):
    """Splits texts into tokens and keeps their order. A function will do.

    It may also have `vocab` and `setup(items, rules)`, if it has a vocabulary or learns one, `detokenize(tokens)`, and
    `spans(texts)` for the characters of each token. With `joins_fields = True` it joins the fields of a text by itself:
    such a text is a tuple of strings, and its spans are `(start, stop, field)`. One in the table has `SETTINGS` and
    `params()`, and `EARLIER` if saved models may lack one of these.
    """

    def __call__(self, texts: Iterable[Any], /) -> Iterable[list[str]]: ...


class Tokens(NamedTuple):
    """The tokens of a text, and where each comes from, if that was asked and is known.

    `words` has the number of a word, or a span of characters, for each token, see `Tokenizer.pipe`.
    """

    tokens: list[str]
    words: list | None = None


def checked_tokens(tok: Splitter, texts: Iterator) -> Iterator[list[str]]:
    """Yield the tokens that a splitter of your own makes of texts. Raises: E602 unless each is a list."""
    n_texts, n_lists, has_begun = 0, 0, False

    def counted() -> Iterator:
        nonlocal n_texts, has_begun
        has_begun = True
        for text in texts:
            n_texts += 1
            yield text

    try:
        for tokens in tok(counted()):
            words = [] if isinstance(tokens, str) or not isinstance(tokens, Iterable) else list(tokens)
            if not isinstance(tokens, list) and not words or not all(isinstance(word, str) for word in words):
                raise no_splitter(f"one that gives a {type(tokens).__name__} for a text")
            n_lists += 1
            if n_lists > n_texts:
                break
            yield words
    except (AttributeError, TypeError, ValueError) as e:
        if has_begun:  # what a rule raises, or the splitter about a text
            raise
        raise no_splitter(f"one that does not take them ({type(e).__name__}: {e!s:.80})") from e
    if n_lists != n_texts or next(texts, None) is not None:
        raise no_splitter("one that gives another number of lists than it had texts")


def no_splitter(received: str) -> ArgumentError:
    """Return the error for a `tok_tfm` that splits no texts."""
    return ArgumentError("E602", received=f"as `tok_tfm`, or `tok`, {received}",
                         expected="a function of many texts that gives a list of words for each, in their order",
                         fix="wrap a function of one text: lambda texts: (split(text) for text in texts)")


def numbers_of_words(words: Sequence[str], tokens: Sequence[str], spelling: Callable[[str], str]) -> list[int] | None:
    """Return which word of a text each token comes from, counted from 0, or `NO_WORD` for none.

    A token that spells several words, as after `xxwrep`, has the number of the first.

    Args:
        words: of the text, as they stand between white space.
        spelling: gives `spelled` of the tokens that a word has alone.

    Returns: None if the text is not spelled as its words are, one after the other.
    """
    alone, spells = [spelling(word) for word in words], list(spells_of(tokens))
    if "".join(alone) != "".join(spells):
        return None
    ends, starts = list(accumulate(map(len, alone))), accumulate(map(len, spells[:-1]), initial=0)
    numbers = [bisect_right(ends, start) for start in starts]
    return [NO_WORD if token in OF_NO_WORD or previous == FLD or number == len(words) else number
            for token, previous, number in zip(tokens, ["", *tokens], numbers, strict=False)]


def places_of(found: Tokens, where: str) -> np.ndarray:
    """Return the place of each token as numbers, -1 if it has none or it is not known: what `Tokens.words` has.

    Returns: (T,) int32 of `where="words"`. (T, 3) of "chars": start, stop and the number of the field.
    """
    if where == "words":
        return np.array(found.words or [NO_WORD] * len(found.tokens), np.int32)
    given = found.words or [NO_PLACE] * len(found.tokens)
    spans = (NO_PLACE if span[0] == span[1] else (*span, 0)[:3] for span in given)
    return np.array([*spans], np.int32).reshape(-1, len(NO_PLACE))


def chars_of(fields: Sequence[str], found: Tokens) -> list[tuple[int, ...]]:
    """Return where each token begins and ends in its text, `(start, stop)`, and its field if there are several.

    A token has its own characters if the tokens of its word spell the word letter by letter. Otherwise it has those
    of the whole word, for example after `xxrep`. A token of no word has `NO_PLACE`.
    """
    words = [(word, i) for i, field in enumerate(fields) for word in re.finditer(r"\S+", field)]
    spells, of_word = list(spells_of(found.tokens)), defaultdict[int, str](str)
    for n, spell in zip(found.words or (), spells, strict=True):
        of_word[n] += spell
    begun, chars = Counter[int](), list[tuple[int, ...]]()
    for n, spell in zip(found.words or (), spells, strict=True):
        place: tuple[int, ...] = NO_PLACE
        if n != NO_WORD and spell:
            (word, field), own = words[n], slice(begun[n], begun[n] + len(spell))
            begun[n] += len(spell)
            if of_word[n].lower() != word[0].lower() or len(of_word[n]) != len(word[0]):
                own = slice(0, len(word[0]))
            place = word.start() + own.start, word.start() + own.stop, field
        chars.append(place if len(fields) > 1 else place[:2])
    return chars


def words_at(spans: Iterable[tuple[int, ...]], text: str | tuple[str, ...]) -> list[int]:
    """Return which word of a text, or of all its fields, each span of characters ends in, or `NO_WORD` for none."""
    starts = [[word.start() for word in re.finditer(r"\S+", field)] for field in fields_of(text, 0)]
    before = list(accumulate(map(len, starts), initial=0))  # words in the fields before each
    return [before[field] + bisect_right(starts[field], stop - 1) - 1 if stop > start else NO_WORD
            for start, stop, field, *_ in ((*span, 0) for span in spans)]


def spelled(tokens: Sequence[str]) -> str:
    """Return the letters that tokens stand for, without blanks and capitals."""
    return "".join(spells_of(tokens))


def spells_of(tokens: Sequence[str]) -> Iterator[str]:
    """Yield the letters that each token stands for: none for control tokens and their numbers."""
    previous, times = "", 1
    for token in tokens:
        if token in OF_NO_WORD or token in MARKS or previous == FLD:
            yield ""
        elif previous in (TK_REP, TK_WREP) and token.isdecimal() and len(token) < 8:
            times = int(token)
            yield ""
        else:
            yield "".join(token.replace("▁", " ").split()) * times
            times = 1
        previous = token
