"""Text to tokens: spaCy's rules for words, and the pipeline around them that no user text can subvert."""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import chain, count, pairwise
from pathlib import Path

from ulmfit_easy.errors import FileError, TextError, TrainingError
from ulmfit_easy.files import sha256_file
from ulmfit_easy.text import rules as rules_module
from ulmfit_easy.text import special
from ulmfit_easy.text.fingerprint import fingerprint
from ulmfit_easy.text.rules import DEFAULT_POST_RULES, DEFAULT_RULES
from ulmfit_easy.text.special import FLD, SPECIAL_TOKENS, neutralize

SCHEMA = 1  # raised when the same text, rules and tokenizer come to give other tokens or another file format
NEED_EXTRAS = {"ja", "ko", "th", "vi", "zh"}  # their spaCy classes want packages of their own

# spaCy's chunks: words, and white space of which one blank after a word belongs to the word.
_CHUNK = re.compile(r"\S+|(?<!\S)\s+|(?! )\s+")


class BaseTokenizer:
    """Splits on a character."""

    def __init__(self, split_char: str = " "):
        self.split_char = split_char

    def params(self) -> dict:
        return {"split_char": self.split_char}

    def __call__(self, texts: Iterable[str]) -> Iterator[list[str]]:
        return (text.split(self.split_char) for text in texts)


class SpacyTokenizer:
    """spaCy's rule tokenizer of a language: `Iterable[str] -> Iterator[list[str]]`, streaming, order kept.

    It gives exactly the tokens of `spacy.blank(lang).tokenizer`, several times faster: what spaCy makes of a
    chunk between white space does not depend on the other chunks (but for the rare case in
    `_Chunks.across`), so that every chunk is tokenized once. Nor is there a limit of 1,000,000 characters.
    Japanese, Korean, Thai, Vietnamese and Chinese get spaCy's plain rule tokenizer.

    Args:
        special_toks: tokens that are never split; the nine control tokens by default.
        buf_sz: taken for fastai's signature; texts are streamed one by one.

    Raises: TrainingError E502 at the first text if spaCy does not know the language.
    """

    def __init__(self, lang: str = "en", special_toks: Sequence[str] | None = None, buf_sz: int = 5000):
        self.lang, self.buf_sz = lang, buf_sz
        self.special_toks = list(SPECIAL_TOKENS if special_toks is None else special_toks)
        self._chunks = None

    def params(self) -> dict:
        return {"lang": self.lang, "special_toks": self.special_toks}

    def __call__(self, texts: Iterable[str]) -> Iterator[list[str]]:
        for text in texts:
            if self._chunks is None or self._chunks.room < 0:
                self._chunks = _Chunks(self.lang, self.special_toks)
            yield self._chunks.tokens(text)

    def __reduce__(self):  # spaCy is loaded anew where it is needed
        return type(self), (self.lang, self.special_toks, self.buf_sz)


WordTokenizer = SpacyTokenizer


class _Chunks(dict):
    """chunk -> its tokens, filled by spaCy on demand; thrown away, with spaCy's memory, once `room` < 0."""

    def __init__(self, lang, special_toks):
        import spacy
        from spacy.symbols import ORTH
        from spacy.tokenizer import Tokenizer as SpacyRules

        try:
            self.spacy = tok = spacy.blank("xx" if lang in NEED_EXTRAS else lang).tokenizer
        except ImportError as e:
            raise TrainingError("E502", received=f"lang={lang!r}, which spaCy cannot load",
                                expected='a language that spaCy has rules for, such as "en" or "de"',
                                fix='pass lang="xx" for rules that suit most languages') from e
        plain = SpacyRules(tok.vocab, None, tok.prefix_search, tok.suffix_search, tok.infix_finditer,
                           tok.token_match, tok.url_match)
        for token in special_toks:
            tok.add_special_case(token, [{ORTH: token}])
        self.room = 1 << 23  # characters, 32 more for each chunk: about 100 MB
        # spaCy looks for special cases a second time, among the tokens of the whole text. What it looks for
        # is what a special case would be without being one. Of interest: those that differ, and the seams
        # in them.
        looks_for = {case: _texts(plain(case)) for case in tok.rules}
        becomes = {case: new for case, old in looks_for.items() if (new := _texts(tok(case))) != old}
        self.inside, self.first = _any_of(becomes), {tokens[0] for tokens in becomes.values()}
        self.spaced = _any_of(case for case in tok.rules if len(case) > 1 and _CHUNK.fullmatch(case) is None)
        self.seams = {(a[-1], b[0]) for tokens in looks_for.values() for a, b in pairwise(tokens)}
        self.rules, self.delicate = set(tok.rules), set()

    def __missing__(self, chunk):
        tokens = _texts(self.spacy(chunk))
        if not self.first.isdisjoint(tokens) and chunk not in self.rules and self.inside.search(chunk):
            self.delicate.add(chunk)
        self[chunk] = tokens
        self.room -= len(chunk) + 32
        return tokens

    def tokens(self, text: str) -> list[str]:
        """The tokens of a text, put together from those of its chunks where that is sure to be right."""
        chunks = _CHUNK.findall(text)
        tokens = list(chain.from_iterable(map(self.__getitem__, chunks)))
        if self.across(text, chunks):
            return list(_texts(self.spacy(text)))
        return tokens

    def across(self, text, chunks):
        """Whether a special case may begin in one chunk and end in another, with an effect on the tokens.

        A match across chunks has a blank in it, so it names a special case only if that has one too. Any
        other leaves its tokens alone, but keeps spaCy from seeing a special case inside a `delicate` chunk
        it overlaps.
        """
        if self.spaced.search(text):
            return True
        return not self.delicate.isdisjoint(chunks) and any(
            (a[-1], b[0]) in self.seams and not self.delicate.isdisjoint((a, b)) for a, b in pairwise(chunks))


def _texts(doc) -> tuple[str, ...]:
    return tuple(token.text for token in doc)


def _any_of(strings) -> re.Pattern:
    return re.compile("|".join(map(re.escape, strings)) or "(?!)")


def join_fields(fields: Sequence[str], mark_fields: bool | None = None) -> str:
    """The fields of a row as one text, neutralised: `xxfld 1 <first> xxfld 2 <second>`.

    `mark_fields=None` marks them when there is more than one; `False` puts a space between them.
    """
    if mark_fields is None:
        mark_fields = len(fields) > 1
    fields = [neutralize(field) for field in fields]
    if mark_fields:
        fields = [f"{FLD} {i} {field}" for i, field in enumerate(fields, 1)]
    return " ".join(fields)


def fields_of(row, i: int) -> tuple[str, ...]:
    """A row (a string or a tuple of strings) as a tuple of fields; E101, with `i`, if it is anything else."""
    fields = row if isinstance(row, tuple) else (row,)
    for field in fields:
        if not isinstance(field, str):
            raise TextError("E101", received=f"{field!r:.40} ({type(field).__name__}) as the text of row {i}",
                            expected="a string, or a tuple of strings",
                            fix="drop rows without text, or replace them by the empty string")
    return fields


class Tokenizer:
    """Text to tokens: `Tokenizer()("Oh, no!")` is `['xxbos', 'xxmaj', 'oh', ',', 'no', '!']`.

    The way is: control tokens in the text broken, `rules`, `tok`, `post_rules`.
    A text may also be a tuple of fields (`join_fields`). Control tokens that a user typed are broken before
    any rule runs, so that those in the result come from the rules alone; lone surrogates, which no file can
    hold, become U+FFFD. A rule of your own may write control tokens.

    Args:
        tok: callable `Iterable[str] -> Iterator[list[str]]` that keeps order; else `SpacyTokenizer(lang)`.
        rules: functions `str -> str` on the text; the classic ones by default.
        post_rules: functions `str -> str` on every token; `replace_space` by default.
        mark_fields: as for `join_fields`; remembered, so that prediction sees what training saw.

    Raises: TextError E101 for a text that is not a string, with its row.
    """

    def __init__(self, tok: Callable | None = None, rules: Sequence[Callable] | None = None,
                 post_rules: Sequence[Callable] | None = None, *, lang: str = "en",
                 mark_fields: bool | None = None):
        self.tok = SpacyTokenizer(lang) if tok is None else tok() if isinstance(tok, type) else tok
        self.rules = tuple(DEFAULT_RULES if rules is None else rules)
        self.post_rules = tuple(DEFAULT_POST_RULES if post_rules is None else post_rules)
        self.mark_fields = mark_fields

    def __call__(self, text: str | tuple[str, ...]) -> list[str]:
        """The tokens of one text."""
        return next(self.pipe([text]))

    def pipe(self, texts: Iterable[str | tuple[str, ...]]) -> Iterator[list[str]]:
        """The tokens of each text, in order, one text in memory at a time."""
        for tokens in self.tok(map(self._prepare, texts, count())):
            for rule in self.post_rules:
                tokens = list(map(rule, tokens))
            yield tokens

    def _prepare(self, row, i):
        text = _without_lone_surrogates(join_fields(fields_of(row, i), self.mark_fields))
        for rule in self.rules:
            text = rule(text)
        return text

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) that changes with the tokenizer, its parameters, spaCy, or a rule and its code.

        Meant for caches: it may change where the tokens do not.
        """
        own = [sha256_file(Path(module.__file__)) for module in (rules_module, special)]
        mine = [rule for rule in (*self.rules, *self.post_rules) if _default_name(rule) is None]
        tok = self.tok if self._builtin() is None else None
        return fingerprint([SCHEMA, self.config(), version("spacy"), own, mine, tok])

    def config(self) -> dict:
        """What `from_config` needs, as JSON: our own parts by name, others as `{"custom": name}`."""
        builtin = self._builtin()
        tok = {"name": builtin, "params": self.tok.params()} if builtin else {"custom": _name(self.tok)}

        def names(rules):
            return [_default_name(rule) or {"custom": _name(rule)} for rule in rules]

        return {"tok": tok, "rules": names(self.rules), "post_rules": names(self.post_rules),
                "mark_fields": self.mark_fields}

    @classmethod
    def from_config(cls, config: dict, rules: Sequence[Callable] | None = None,
                    tok: Callable | None = None) -> "Tokenizer":
        """The tokenizer that `config()` described; nothing is imported by name.

        Args:
            rules: the custom rules and post-rules among those of the config, in any order.
            tok: the custom tokenizer, if the config has one.

        Raises: FileError E402 if a custom part is missing or the config is not one of ours.
        """
        custom = {_name(rule): rule for rule in rules or ()}

        def restore(entry):
            known, key = (custom, entry["custom"]) if isinstance(entry, dict) else (_DEFAULTS, entry)
            if key not in known:
                raise _not_restored(f"the rule {key!r}", "pass the function: rules=[...]")
            return known[key]

        try:
            if "name" in config["tok"]:
                tok = _TOKENIZERS[config["tok"]["name"]](**config["tok"]["params"])
            elif tok is None:
                raise _not_restored(f"the tokenizer {config['tok']['custom']!r}", "pass it: tok=...")
            pre, post = map(restore, config["rules"]), map(restore, config["post_rules"])
            return cls(tok, list(pre), list(post), mark_fields=config["mark_fields"])
        except (KeyError, TypeError) as e:
            raise _not_restored(f"a part that is none ({e!r})", "save it again with this library") from e

    def _builtin(self):
        name = type(self.tok).__name__
        return name if _TOKENIZERS.get(name) is type(self.tok) else None


_DEFAULTS = {rule.__name__: rule for rule in (*DEFAULT_RULES, *DEFAULT_POST_RULES)}
_TOKENIZERS = {"SpacyTokenizer": SpacyTokenizer, "BaseTokenizer": BaseTokenizer}


def _default_name(rule) -> str | None:
    name = getattr(rule, "__name__", None)
    return name if _DEFAULTS.get(name) is rule else None


def _name(function) -> str:
    if isinstance(function, functools.partial):
        return f"partial of {_name(function.func)}"
    return getattr(function, "__name__", type(function).__name__)


def _not_restored(received, fix):
    return FileError("E402", received=f"a tokenizer configuration with {received}",
                     expected="the default parts, or custom parts passed back in", fix=fix)


def _without_lone_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # a pair of them is one character; what is left over is none
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
