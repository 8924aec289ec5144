"""Text to words: spaCy's rules, put together from what it makes of each chunk between white space."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.reprs import described, with_settings
from ulmfit_easy.schema import MOST, flag, language, list_of, optional
from ulmfit_easy.schema import text as string
from ulmfit_easy.text.special import SPECIAL_TOKENS
from ulmfit_easy.text.vocab import detokenize

NEED_EXTRAS = {"ja", "ko", "th", "vi", "zh"}  # their spaCy classes want packages of their own

NO_BLANKS = {"ja", "th", "zh"}  # between words; a character is a token, as in spaCy's own Chinese
_SCRIPT = ("\u0e01-\u0e5b\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
           "\U00020000-\U0003ffff")  # Thai, kana, Chinese characters
_MARK = "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u3099\u309a"  # above or below the character before
_BY_CHARACTER = re.compile(rf"[{_SCRIPT}][{_MARK}]*|[^\s{_SCRIPT}]+|(?<!\S)\s+|(?! )\s+")
_BETWEEN = re.compile(rf"(?<=[{_SCRIPT}\u3001-\u3003\uff01-\uff65]) (?=[{_SCRIPT}\u3001-\u3003\uff01-\uff65])")

# spaCy's chunks: words, and white space of which one blank after a word belongs to the word.
_CHUNK = re.compile(r"(\S+|\s+) ?")
LONGEST = 2_500  # characters of a chunk: spaCy needs time that grows with their square
BLOCK = 1 << 20  # characters of a text that are split into chunks at once
ENDS = 100  # characters at the end of a chunk in which a suffix is looked for


class BaseTokenizer:
    """Split texts on a character, by default on spaces."""

    SETTINGS = {"split_char": optional(string)}  # of `params()`

    def __init__(self, split_char: str = " "):
        self.split_char = split_char

    def params(self) -> dict:
        return {"split_char": self.split_char}

    __repr__ = with_settings

    def __call__(self, texts: Iterable[str]) -> Iterator[list[str]]:
        return (text.split(self.split_char) for text in texts)


class SpacyTokenizer:
    """Split texts into words by spaCy's rules for a language. Called with texts, it yields the words of each in order.

    It gives exactly the tokens of `spacy.blank(lang).tokenizer`, several times faster, because each chunk between
    white space is tokenized once. A text may have any length: time and memory grow with it. A chunk of more than 2,500
    characters is no word, and comes in parts of as many. Japanese, Korean, Thai, Vietnamese and Chinese get spaCy's
    plain rule tokenizer. In Japanese, Thai and Chinese, which put no blanks between words, each character of their
    scripts is a token. `SentencePieceTokenizer` learns longer pieces, and suits them better.

    Args:
        special_toks: tokens that are never split. The nine control tokens by default.
        buf_sz: Ignored; kept for fastai compatibility.
        chars: make a token of each Chinese, Japanese and Thai character. By default in these languages. Models that
            were saved before this was possible have False.

    Raises: ArgumentError E602 at the first text if spaCy does not know the language.
    """

    SETTINGS = {"lang": language, "special_toks": list_of(string, MOST), "chars": flag}  # of `params()`
    EARLIER = {"chars": False}  # of saved models that lack it

    def __init__(self, lang: str = "en", special_toks: Sequence[str] | None = None, buf_sz: int = 5000,
                 *, chars: bool | None = None):
        self.lang, self.buf_sz, self.chars = lang, buf_sz, lang in NO_BLANKS if chars is None else chars
        self.special_toks = list(SPECIAL_TOKENS if special_toks is None else special_toks)

    def params(self) -> dict:
        return {"lang": self.lang, "special_toks": self.special_toks} | ({"chars": True} if self.chars else {})

    def __repr__(self) -> str:
        return described(self, repr(self.lang))

    def __call__(self, texts: Iterable[str]) -> Iterator[list[str]]:
        language = self.lang, tuple(self.special_toks), *([True] if self.chars else [])
        for text in texts:
            if _chunks(*language).room < 0:
                _chunks.cache_clear()
            yield _chunks(*language).tokens(text)

    def detokenize(self, tokens: Iterable[str]) -> str:
        """Return the text that tokens stand for, without blanks between characters that were tokens."""
        text = detokenize(tokens)
        return _BETWEEN.sub("", text) if self.chars else text


WordTokenizer = SpacyTokenizer


class _Chunks(dict):
    """chunk -> its tokens, filled by spaCy on demand. Thrown away, with spaCy's memory, once `room` < 0."""

    def __init__(self, lang: str, special_toks: Iterable[str], chars: bool = False):
        import spacy
        from spacy.symbols import ORTH
        from spacy.tokenizer import Tokenizer as SpacyRules

        try:
            tok: Any = spacy.blank("xx" if lang in NEED_EXTRAS else lang).tokenizer
        except ImportError as e:
            raise ArgumentError("E602", received=f"lang={lang!r}, which spaCy cannot load",
                                expected='a language that spaCy has rules for, such as "en" or "de"',
                                fix='pass lang="xx" for rules that suit most languages; learn pieces of words, with '
                                    "tok_tfm=SentencePieceTokenizer(); pieces of words: subword=8000") from e
        self.spacy, self.chars, self.delicate = tok, chars, set[str]()
        tok.vocab.lex_attr_getters = {}  # the shape of a word and the like, which no rule looks at
        tok.prefix_search = tok.prefix_search.__self__.match  # all its patterns begin with `^`; it tries every place
        tok.suffix_search = _at_end(tok.suffix_search)
        plain = SpacyRules(tok.vocab, None, tok.prefix_search, tok.suffix_search, tok.infix_finditer,
                           tok.token_match, tok.url_match)
        for token in special_toks:
            tok.add_special_case(token, [{ORTH: token}])
        self.cases = {case: tuple(part[ORTH] for part in parts) for case, parts in tok.rules.items()}
        self.prefix, self.suffix, self.infixes = tok.prefix_search, tok.suffix_search, tok.infix_finditer
        self.is_token, self.is_url = tok.token_match or _never, tok.url_match or _never
        self.room = 1 << 23  # characters, 32 more for each chunk: about 100 MB
        # spaCy looks for special cases a second time, among the tokens of the whole text. What it looks for
        # is what a special case would be without being one. Of interest: those that differ, and the seams
        # in them.
        looks_for = {case: _texts(plain(case)) for case in self.cases}
        effective = [tokens for case, tokens in looks_for.items() if tokens != _texts(tok(case))]
        self.inside, self.first = _any_of(map(_joined, effective)), {tokens[0] for tokens in effective}
        self.spaced = _any_of(case for case in self.cases if len(_CHUNK.findall(case)) > 1)
        self.seams = {(a[-1], b[0]) for tokens in looks_for.values() for a, b in pairwise(tokens)}

    def __missing__(self, chunk: str) -> tuple[str, ...]:
        parts = [chunk[i:i + LONGEST] for i in range(0, len(chunk), LONGEST)]
        tokens = tuple(chain.from_iterable(map(self.split, parts)))
        if is_delicate := not self.first.isdisjoint(tokens) and self.inside(_joined(tokens)) is not None:
            self.delicate.add(chunk)
        if is_delicate or chunk in self.cases:
            tokens = tuple(chain.from_iterable(_texts(self.spacy(part)) for part in parts))
        self[chunk] = tokens
        self.room -= len(chunk) + 32
        return tokens

    def split(self, rest: str) -> tuple[str, ...]:
        """Return the tokens of a chunk as spaCy finds them, before it looks for special cases among them."""
        before, after, tokens = list[str](), list[str](), tuple[str, ...]()
        while rest and not tokens:
            if rest in self.cases:
                tokens = self.cases[rest]
            elif rest in self and rest not in self.delicate:
                tokens = self[rest]
            elif self.is_token(rest):
                tokens = rest,
            else:
                start = _size(self.prefix(rest))
                stop = 0 if start and rest[start:] in self.cases else _size(self.suffix(rest[start:]))
                if stop and rest[:-stop] in self.cases:
                    start = 0
                if start:
                    before.append(rest[:start])
                if stop:
                    after.append(rest[-stop:])
                if not start and not stop:
                    tokens = (rest,) if self.is_url(rest) else tuple(self.within(rest))
                rest = rest[start:len(rest) - stop]
        return *before, *tokens, *reversed(after)

    def within(self, word: str) -> Iterator[str]:
        """Yield the parts of a word without affixes, and the infixes between them."""
        end = 0
        for infix in self.infixes(word):
            start, stop = infix.span()
            if start:
                yield from filter(None, (word[end:start], word[start:stop]))
                end = stop
        yield from filter(None, (word[end:],))

    def tokens(self, text: str) -> list[str]:
        """Return the tokens of a text, joined from those of its chunks if that surely gives the same tokens."""
        if len(text) > BLOCK:
            return list(chain.from_iterable(map(self.of_block, _blocks(text))))
        return self.of_block(text)

    def of_block(self, text: str) -> list[str]:
        """Return the tokens of a text of moderate length."""
        if self.chars:
            return list(chain.from_iterable(map(self.__getitem__, _BY_CHARACTER.findall(text))))
        chunks = _CHUNK.findall(text)
        tokens = list(chain.from_iterable(map(self.__getitem__, chunks)))
        if self.across(text, chunks) and max(map(len, chunks)) <= LONGEST:
            return list(_texts(self.spacy(text)))
        return tokens

    def across(self, text: str, chunks: list[str]) -> bool:
        """Return True if a special case may begin in one chunk and end in another, with an effect on the tokens.

        A match across chunks has a blank in it, so it names a special case only if that has one too. Any
        other leaves its tokens alone, but keeps spaCy from seeing a special case inside a `delicate` chunk
        it overlaps.
        """
        if self.spaced(text):
            return True
        return not self.delicate.isdisjoint(chunks) and any(
            (a[-1], b[0]) in self.seams and not self.delicate.isdisjoint((a, b)) for a, b in pairwise(chunks))


@lru_cache(maxsize=4)  # for all tokenizers of a process: spaCy takes a quarter of a second to set up
def _chunks(*language: Any) -> _Chunks:
    """Return what is known so far of the chunks of a language with its special tokens."""
    return _Chunks(*language)


def _blocks(text: str) -> Iterator[str]:
    """Yield the text in parts of about `BLOCK` characters, each but the first one beginning with a word."""
    start = 0
    while found := re.compile(r"(?<=\s)\S").search(text, start + BLOCK):
        yield text[start:found.start()]
        start = found.start()
    yield text[start:]


def _at_end(search: Callable) -> Callable:
    """Return spaCy's search for a suffix, which tries every place of a word. Only dots may be many at its end."""
    return lambda word: search(word, min(len(word.rstrip(".")), max(0, len(word) - ENDS)))


def _joined(tokens: Iterable[str]) -> str:
    return "\0".join(("", *tokens, ""))


def _size(found: re.Match | None) -> int:
    return found.end() - found.start() if found else 0


def _never(word: str) -> None:
    return None


def _texts(doc: Iterable) -> tuple[str, ...]:
    return tuple(token.text for token in doc)


def _any_of(strings: Iterable[str]) -> Callable:
    pattern = "|".join(map(re.escape, strings))
    return re.compile(pattern).search if pattern else _never
