"""Text to tokens and ids: the pipeline around what splits words or pieces, which no user text can subvert."""

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from importlib.metadata import version
from inspect import getfile
from itertools import count
from typing import Any

import numpy as np

from ulmfit_easy.absent import StandIn, TellsAbsent
from ulmfit_easy.errors import ArgumentError, FileError, TextError, TrainingError, VocabError
from ulmfit_easy.files import sha256_file
from ulmfit_easy.reprs import described
from ulmfit_easy.schema import any_of, checked, flag, list_of, one_of, only, optional
from ulmfit_easy.schema import text as string
from ulmfit_easy.text import rules as rules_module
from ulmfit_easy.text import special
from ulmfit_easy.text.alignment import placed
from ulmfit_easy.text.fingerprint import Undescribed, fingerprint
from ulmfit_easy.text.given import given_texts
from ulmfit_easy.text.hf import HFTokenizer
from ulmfit_easy.text.pipeline import Splitter, Tokens, checked_tokens, no_splitter
from ulmfit_easy.text.rules import DEFAULT_POST_RULES, DEFAULT_RULES, fields_of, join_fields, neutralize
from ulmfit_easy.text.subword import SentencePieceTokenizer
from ulmfit_easy.text.vocab import Vocab, detokenize
from ulmfit_easy.text.words import BaseTokenizer, SpacyTokenizer

SCHEMA = 4  # raised when the same text, rules and tokenizer come to give other tokens or another file format
MOST_RULES, MOST_BUILT_IN = 100, 20  # each is a walk over the text; the built-in ones cost a file a word each
HOW = {"errors": one_of(("raise", "collect")), "where": optional(one_of(("words", "chars")))}  # of `Tokenizer.pipe`
MAX_CHARS = 2_000_000  # of a text, where one must not keep the others waiting


_DEFAULTS = {rule.__name__: rule for rule in (*DEFAULT_RULES, *DEFAULT_POST_RULES)}
_custom = only({"custom": string})  # a function that the user must pass in again
_TOKENIZERS = {cls.__name__: cls for cls in (SpacyTokenizer, BaseTokenizer, SentencePieceTokenizer, HFTokenizer)}


def check_language(splitter: Any, lang: str) -> None:
    """Raise E603 if a splitter is not for the language that was named. "en" is the default and fits any."""
    if lang not in ("en", theirs := getattr(splitter, "lang", lang)):
        name = type(splitter).__name__
        raise ArgumentError("E603", received=f"lang={lang!r} with a {name} for {theirs!r}", expected="one language",
                            fix=f"pass tok_tfm={name}({lang!r}); leave out lang=")


def _check_splitter(value: Any) -> dict:
    """Return what a config says of a splitter: the name and parameters of one of ours, or the name of another."""
    if not isinstance(value, dict) or "custom" in value:
        return _custom(value)
    splitter = _TOKENIZERS[one_of(_TOKENIZERS)(value.get("name"))]
    if value.keys() != {"name", "params"} or not isinstance(value["params"], dict):
        raise ValueError("a name and parameters")
    only(splitter.SETTINGS)(getattr(splitter, "EARLIER", {}) | value["params"])
    return value


def _check_rules(value: object) -> list:
    rules = list_of(any_of(string, _custom), MOST_RULES)(value)
    if sum(isinstance(rule, str) for rule in rules) > MOST_BUILT_IN:
        raise ValueError(f"at most {MOST_BUILT_IN} rules of the library")
    return rules


class Tokenizer(TellsAbsent):
    """Turn texts into tokens: `Tokenizer()("Oh, no!")` is `['xxbos', 'xxmaj', 'oh', ',', 'no', '!']`.

    It works in three steps: `rules` clean the text, `tok` splits it, and `post_rules` change single tokens. Tokens such
    as `xxmaj`, which say how a word was written, come from the rules. If a user has typed `xxmaj`, it is changed
    before, so it cannot be mistaken for one. A text may be a tuple of fields, such as a pair of sentences. They are
    joined to one text with marks (`join_fields`), unless the splitter joins them by itself (`joins_fields`).

    Args:
        tok: the splitter: called with an iterable of texts, it yields the list of tokens of each, in order. By default
            `SpacyTokenizer(lang)`.
        rules: functions `str -> str` on each text, by default `DEFAULT_RULES`.
        post_rules: functions `str -> str` on each token, by default `DEFAULT_POST_RULES`.
        mark_fields: put a mark before each field of a text. By default if there are several fields. Prediction does
            the same as training.

    Raises: TextError E101 for a text that is not a string, with its row. ArgumentError E602 for a `tok` that is not
        such a callable, at the first text if it shows only there.
    """

    SETTINGS = {"tok": _check_splitter, "rules": _check_rules, "post_rules": _check_rules,
                "mark_fields": optional(flag)}  # of `config()`
    _vocab: Vocab | None = None
    from_df = from_folder = StandIn("Tokenizer.from_df", "name columns or files to `TextDataLoaders` or `TextBlock`")

    def __init__(self, tok: Splitter | type | None = None, rules: Sequence[Callable] | None = None,
                 post_rules: Sequence[Callable] | None = None, *, lang: str = "en",
                 mark_fields: bool | None = None):
        self.tok: Any = SpacyTokenizer(lang) if tok is None else tok() if isinstance(tok, type) else tok
        if not callable(self.tok):
            raise no_splitter(f"a {type(self.tok).__name__}, which cannot be called")
        check_language(self.tok, lang)
        self.rules = tuple(DEFAULT_RULES if rules is None else rules)
        self.post_rules = tuple(DEFAULT_POST_RULES if post_rules is None else post_rules)
        self.mark_fields = mark_fields

    def __repr__(self) -> str:
        return described(self, getattr(self.tok, "__name__", self.tok), f"{len(self.rules)} rules",
                         f"{len(self.post_rules)} post_rules")

    def __call__(self, text: str | tuple[str, ...]) -> list[str]:
        """Return the tokens of one text."""
        [found] = self.pipe([text])  # to the end, where a splitter that gives more is found
        return found.tokens

    def pipe(self, texts: Iterable[str | tuple[str, ...]], errors: str = "raise", *,
             where: str | None = None) -> Iterator[Tokens | Any]:
        """Yield the `Tokens` of each text, in order, one text in memory at a time.

        Args:
            errors: with "collect" a text that cannot be tokenized does not stop the others. A TextError takes its
                place: E101 if it is not a string, E110 if a rule or the splitter fails, or if it has more than two
                million characters.
            where: "words" for the number of the word of each token. Words stand between white space, and -1 is for
                tokens of none, such as `xxbos`. Words are counted through all fields. If the rules join words, as in `a
                <br /> b`, each is tokenized alone. "chars" for the span of characters of each token, `(start, stop)`:
                what the splitter's `spans` say, if there are no rules, else see `chars_of`. A span in a tuple of fields
                is `(start, stop, field)`, and field -1 is for tokens of none.

        Raises: ArgumentError E603 for `where` with "collect".
        """
        texts = texts if isinstance(texts, list) else given_texts(texts)[0]
        if errors != "raise" or where is not None:
            checked(HOW, errors=errors, where=where)
        if errors == "collect":
            if where is not None:
                raise ArgumentError("E603", received=f'errors="collect" with where={where!r}', expected="one of them",
                                    fix="leave out the texts that fail, then ask for words or characters")
            yield from map(self._tokens_or_error, texts, count())
            return
        if where is not None:
            yield from placed(self, texts, where, self._prepare)
            return
        split = self.tok if self._builtin() else functools.partial(checked_tokens, self.tok)
        for tokens in split(map(self._prepare, texts, count())):
            for rule in self.post_rules:
                tokens = list(map(rule, tokens))
            yield Tokens(tokens)

    def ids(self, texts: Iterable[str | tuple[str, ...]]) -> Iterator[np.ndarray]:
        """Yield the ids of each text in the vocabulary, (T,) int32. Raises: VocabError E301 without a vocabulary."""
        if self.vocab is None:
            raise VocabError("E301", received=f"{self} without a vocabulary",
                             expected="a vocabulary, which gives each token its id",
                             fix="use tokenizer.with_vocab(dls.text_vocab)")
        return map(self.vocab.ids, (found.tokens for found in self.pipe(texts)))

    def _tokens_or_error(self, row: str | tuple[str, ...], i: int) -> Tokens | TextError:
        try:
            if (size := sum(map(len, fields_of(row, i)))) > MAX_CHARS:
                raise _not_tokenized(i, f"it has {size:,} characters", f"{MAX_CHARS:,} at most")
            return Tokens(self(row))
        except TextError as e:
            return e
        except (ArgumentError, TrainingError):  # about the tokenizer itself, which fails on every text
            raise
        except Exception as e:  # whatever a rule of the user's raises
            return _not_tokenized(i, f"a {type(e).__name__} in a rule or the tokenizer", "tokens of it")

    def _prepare(self, row: str | tuple[str, ...], i: int) -> str | tuple[str, ...]:
        return self._of_fields(fields_of(row, i))

    def _of_fields(self, fields: tuple[str, ...]) -> str | tuple[str, ...]:
        if self.mark_fields is None and len(fields) > 1 and getattr(self.tok, "joins_fields", False):
            return tuple(self._ruled(neutralize(field)) for field in fields)
        return self._ruled(join_fields(fields, self.mark_fields))

    def _ruled(self, text: str) -> str:
        text = rules_module.without_lone_surrogates(text)
        for rule in self.rules:
            text = rule(text)
        return text

    def setup(self, texts: Iterable[str | tuple[str, ...]]) -> "Tokenizer":
        """Learn the pieces of a subword tokenizer from texts, if it has none yet. Return this tokenizer."""
        if hasattr(self.tok, "setup"):
            self.tok.setup(map(fields_of, given_texts(texts)[0], count()), rules=[self._of_fields])
        return self

    @property
    def vocab(self) -> Vocab | Any:
        """The vocabulary of the model that the tokenizer is from, or of its pieces. None for a tokenizer of words."""
        return self._vocab or getattr(self.tok, "vocab", None)

    @property
    def is_closed(self) -> bool:
        """True if the splitter has a vocabulary, so that no text adds a word to it."""
        return hasattr(type(self.tok), "vocab")

    def with_vocab(self, vocab: Vocab | Iterable[str] | None) -> "Tokenizer":
        """Return the same tokenizer with a vocabulary. This one stays as it is."""
        new = copy(self)
        new._vocab = vocab if isinstance(vocab, Vocab | None) else Vocab(vocab)
        return new

    def detokenize(self, tokens: Iterable[str]) -> str:
        """Return the text of some tokens of this tokenizer, as a person would write it. See `detokenize`."""
        return getattr(self.tok, "detokenize", detokenize)(tokens)

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 (hex) that changes with the tokenizer, its parameters, spaCy, or a rule and all that it uses.

        Caches use it. None if a rule or splitter of your own cannot be compared. `describe()` then says why.
        """
        try:
            return self.describe()
        except Undescribed:
            return None

    def describe(self) -> str:
        """Return the `fingerprint`. Undescribed, with the part and what it uses, if there is none."""
        own = [sha256_file(getfile(module)) for module in (rules_module, special)]
        prints = [SCHEMA, json.dumps(self.config()), version(getattr(self.tok, "package", "spacy")), *own]
        mine = [rule for rule in (*self.rules, *self.post_rules) if _default_name(rule) is None]
        rest = {key: value for key, value in vars(self).items() if key not in (*self.SETTINGS, "_vocab")}
        for part in [*mine, *([] if self._builtin() else [self.tok]), type(self), rest]:
            try:
                prints.append(fingerprint(part))
            except Undescribed as e:
                name = type(self).__name__ if part is rest else _name(part)
                raise Undescribed(f"{name!r} uses {e}") from e
        return fingerprint(prints)

    def config(self) -> dict:
        """Return what `from_config` needs, as JSON: our own parts by name, others as `{"custom": name}`."""
        builtin = self._builtin()
        tok = {"name": builtin, "params": self.tok.params()} if builtin else {"custom": _name(self.tok)}

        def names(rules: Iterable[Callable]) -> list:
            return [_default_name(rule) or {"custom": _name(rule)} for rule in rules]

        return {"tok": tok, "rules": names(self.rules), "post_rules": names(self.post_rules),
                "mark_fields": self.mark_fields}

    @classmethod
    def from_config(cls, config: dict, rules: Sequence[Callable] | None = None,
                    tok: Splitter | None = None) -> "Tokenizer":
        """Return the tokenizer that `config()` described. Nothing is imported by name.

        Args:
            rules: the custom rules and post-rules among those of the config, in any order.
            tok: the custom tokenizer, if the config has one.

        Raises: FileError E402 if a custom part is missing or the config is not one of ours.
        """
        custom = {_name(rule): rule for rule in rules or ()}

        def restore(entry: str | dict) -> Callable:
            known, key = (custom, entry["custom"]) if isinstance(entry, dict) else (_DEFAULTS, entry)
            if key not in known:
                raise _not_restored(f"the rule {key!r}", "pass the function: rules=[...]")
            return known[key]

        try:
            if "name" in config["tok"]:
                name, params = config["tok"]["name"], config["tok"]["params"]
                tok = _TOKENIZERS[name](**getattr(_TOKENIZERS[name], "EARLIER", {}) | params)
            elif tok is None:
                raise _not_restored(f"the tokenizer {config['tok']['custom']!r}", "pass it: tok=...")
            pre, post = map(restore, config["rules"]), map(restore, config["post_rules"])
            return cls(tok, list(pre), list(post), mark_fields=config["mark_fields"])
        except (KeyError, TypeError) as e:
            raise _not_restored(f"a part that is none ({e!r})", "save it again with this library") from e

    def _builtin(self) -> str | None:
        name = type(self.tok).__name__
        return name if _TOKENIZERS.get(name) is type(self.tok) else None


def _default_name(rule: Callable) -> str | None:
    name = getattr(rule, "__name__", "")
    return name if _DEFAULTS.get(name) is rule else None


def _name(function: object) -> str:
    if isinstance(function, functools.partial):
        return f"partial of {_name(function.func)}"
    return getattr(function, "__name__", type(function).__name__)


def _not_restored(received: str, fix: str) -> FileError:
    return FileError("E402", received=f"a tokenizer configuration with {received}",
                     expected="the default parts, or custom parts passed back in", fix=fix)


def _not_tokenized(i: int, why: str, expected: str) -> TextError:
    return TextError("E110", received=f"text {i}, which was left out: {why}", expected=expected,
                     fix="shorten or repair it, or leave it out")
