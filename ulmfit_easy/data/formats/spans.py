"""Spans of characters as tags of words: B-PER and I-PER for the words of a span, O for all others (IOB2)."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from ulmfit_easy.errors import counted
from ulmfit_easy.user_code import warn_user


class Span(NamedTuple):
    """The characters `text[start:end]` have a label."""

    start: int
    end: int
    label: str


def with_tags(df: pd.DataFrame, texts: Sequence[str], spans: Iterable[Sequence[Span]]) -> pd.DataFrame:
    """Return a table with the columns `words` and `tags` too. A warning counts the spans that no word can show."""
    found, left_out = [], 0
    for text, of_text in zip(texts, spans, strict=True):
        words, tags, lost = tags_of(text, of_text)
        found.append((words, tags))
        left_out += lost
    if left_out:
        warn_user(f"{counted(left_out, 'span')} left out: all words of a span must be free, and a word has one tag")
    return df.assign(words=[words for words, _ in found], tags=[tags for _, tags in found])


def tags_of(text: str, spans: Sequence[Span]) -> tuple[list[str], list[str], int]:
    """Return the W words of a text, their W tags, and how many spans were left out.

    Words stand between white space, so a full stop belongs to the word before it. A word that is partly in a span is
    in it. Of spans that share a word, the first one stays, and of those that begin together the longest one.

    Raises: ValueError for a span that does not lie in the text.
    """
    found = list(re.finditer(r"\S+", text))
    starts, ends = [m.start() for m in found], [m.end() for m in found]
    tags, lost = ["O"] * len(found), 0
    for start, end, label in sorted(spans, key=lambda span: (span.start, -span.end)):
        if not 0 <= start < end <= len(text):
            raise ValueError(f"a span from {start} to {end} in a text of {len(text)} characters")
        first, last = bisect_right(ends, start), bisect_left(starts, end)
        if first >= last or any(tag != "O" for tag in tags[first:last]):
            lost += 1
            continue
        tags[first:last] = [f"B-{label}", *[f"I-{label}"] * (last - first - 1)]
    return [m.group() for m in found], tags, lost
