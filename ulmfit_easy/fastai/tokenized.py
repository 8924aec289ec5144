"""Tokens of texts and of tables, for looking at them or for another library; loaders keep theirs in a `TokenStore`."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice

import pandas as pd

from ulmfit_easy._fastcore import listify
from ulmfit_easy.bars import progress_bar
from ulmfit_easy.data.sources import clean_texts, find_column
from ulmfit_easy.text.given import given_texts
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.workers import encode


def parallel_tokenize(items: Iterable[str], tok: Callable | None = None, rules: Sequence[Callable] | None = None,
                      n_workers: int | None = None, progress: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Return the number and the tokens of each text, in order, from several processes, one piece in memory at a time.

    Args:
        tok: a `Tokenizer`, or what splits a text into words; spaCy's English rules by default. A subword tokenizer
            without a model learns one from a list or a Series of texts.
        n_workers: processes; by default this one for little text, one for each processor for much.
        progress: show a bar in a terminal or a notebook.

    Raises: E101 for a text that is not a string; E603 and E508 for workers, as `text.workers.encode`.
    """
    tokenizer, (items, _) = _tokenizer(tok, rules), given_texts(items)
    if hasattr(items, "__len__"):  # what can be read once only has to come with a model of pieces
        tokenizer.setup(items)
    if progress:
        items = progress_bar(items, desc="tokenizing", unit=" texts")
    return enumerate(_tokens(items, tokenizer, n_workers))


def tokenize_texts(texts: Iterable[str], n_workers: int | None = None, rules: Sequence[Callable] | None = None,
                   tok: Callable | None = None) -> list[list[str]]:
    """Return the tokens of each text, in order; arguments as for `parallel_tokenize`."""
    return [tokens for _, tokens in parallel_tokenize(texts, tok, rules, n_workers)]


def tokenize_df(df: pd.DataFrame, text_cols, n_workers: int | None = None, rules: Sequence[Callable] | None = None,
                mark_fields: bool | None = None, tok: Callable | None = None,
                tok_text_col: str = "text") -> tuple[pd.DataFrame, Counter]:
    """Return the table with tokens in the place of its text columns, and how often each token occurs.

    Args:
        mark_fields: as for `Tokenizer`: by default where there are several columns.
        tok_text_col: the column of the tokens; `<tok_text_col>_length` has their number.

    Raises: E101 and E102 for the texts, and what `parallel_tokenize` raises.
    """
    columns = [find_column(df, col) for col in listify(text_cols)]
    texts, _ = clean_texts(columns)
    tokens = tokenize_texts(texts, n_workers, tok=_tokenizer(tok, rules, mark_fields))
    left = df.drop(columns=[column.name for column in columns])
    left[tok_text_col] = pd.Series(tokens, index=left.index, dtype=object)
    left[f"{tok_text_col}_length"] = [len(each) for each in tokens]
    return left, Counter(chain.from_iterable(tokens))


def _tokenizer(tok, rules, mark_fields=None) -> Tokenizer:
    return tok if isinstance(tok, Tokenizer) else Tokenizer(tok, rules, mark_fields=mark_fields)


def _tokens(texts, tokenizer, n_workers):
    with closing(encode(tokenizer, texts, n_workers)) as pieces:
        for lexicon, ids, lengths in pieces:
            ids = iter(ids.tolist())
            for n in lengths:
                yield [lexicon[i] for i in islice(ids, n)]
