"""The contract of a splitter of texts into tokens.

A pipeline is a `Tokenizer` with its vocabulary, as one thing that a model brings. A new kind of tokens is a new
splitter, a class in a file of its own, which `tokenizers.py` names in a table.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from ulmfit_easy.errors import ArgumentError


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
