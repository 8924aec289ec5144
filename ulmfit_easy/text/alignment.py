"""The words or characters of a text that its tokens come from."""

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from functools import lru_cache
from itertools import accumulate, count, tee
from typing import Any

import numpy as np

from ulmfit_easy.text.pipeline import Tokens
from ulmfit_easy.text.rules import fields_of, unbroken
from ulmfit_easy.text.special import BOS, EOS, FAKE, FLD, PAD, TK_MAJ, TK_REP, TK_UP, TK_WREP

NO_WORD = -1  # the number of the word of a token that comes from none, such as `xxbos`
NO_PLACE = NO_WORD, NO_WORD, NO_WORD  # start, stop and field of such a token
OF_NO_WORD = {BOS, EOS, PAD, FLD, FAKE}
MARKS = {TK_MAJ, TK_REP, TK_UP, TK_WREP}  # of the token that follows


def placed(tokenizer: Any, texts: Iterable, where: str, prepare: Callable) -> Iterator[Tokens]:
    """Yield the tokens of each text with the words or characters that they come from, see `Tokenizer.pipe`.

    Args:
        prepare: from a text and its number to what the splitter of this `Tokenizer` reads.
    """
    if tokenizer.rules or not hasattr(tokenizer.tok, "spans"):
        spelling = lru_cache(1 << 18)(lambda word: spelled(tokenizer(word)))
        texts, again = tee(texts)
        for i, (row, found) in enumerate(zip(again, tokenizer.pipe(texts), strict=True)):
            words = " ".join(fields := fields_of(row, i)).split()
            numbers = numbers_of_words(words, found.tokens, spelling)
            found = _by_word(tokenizer, fields) if numbers is None else Tokens(found.tokens, numbers)
            yield found if where == "words" else Tokens(found.tokens, chars_of(fields, found))
        return
    texts, again, prepared = tee(texts, 3)
    prepared, read = tee(map(prepare, prepared, count()))
    for found, row, text, spans in zip(tokenizer.pipe(texts), again, prepared, tokenizer.tok.spans(read), strict=True):
        places = spans if text == row else unbroken(spans, fields_of(row, 0), fields_of(text, 0))
        if places is not None and where == "words":
            places = words_at(places, row)
        yield Tokens(found.tokens, places)


def _by_word(tokenizer: Any, fields: tuple[str, ...]) -> Tokens:
    """Return the tokens of the words of a text, each word tokenized alone."""
    alone, numbers = copy(tokenizer), count()
    alone.mark_fields = False
    ends, is_marked = alone(""), len(fields) > 1 if tokenizer.mark_fields is None else tokenizer.mark_fields
    found = [(token, NO_WORD) for token in ends if token == BOS]
    for i, field in enumerate(fields, 1):
        found += [(FLD, NO_WORD), (str(i), NO_WORD)] if is_marked else []
        for word, n in zip(field.split(), numbers, strict=False):
            found += [(token, n) for token in alone(word) if token not in OF_NO_WORD]
    found += [(token, NO_WORD) for token in ends if token == EOS]
    return Tokens([token for token, _ in found], [n for _, n in found])


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
