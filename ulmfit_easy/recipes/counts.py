"""Words or characters that linear models count, by the language.

Where no blanks stand between words, a whole sentence would be one word. In Korean a word has its particles and endings
with it, so most words are rare. Single characters and pairs of them are better there (docs/LOG.md, 66).
"""

from typing import Any
from unicodedata import normalize

from ulmfit_easy.text.words import NO_BLANKS


def jamo(text: str) -> str:
    """Return a text in lower case, with each Korean syllable as its letters: two or three jamo."""
    return normalize("NFD", text.lower())


# Arguments of scikit-learn's vectorizers. "char_wb" counts inside words, with a blank at their ends.
COUNTS: dict[str, dict[str, Any]] = {
    "words": {"ngram_range": (1, 2)},
    "characters": {"analyzer": "char_wb", "ngram_range": (2, 5)},
    "character_bigrams": {"analyzer": "char", "ngram_range": (1, 2)},  # and single characters
    "jamo": {"analyzer": "char_wb", "ngram_range": (2, 6), "preprocessor": jamo}}
OF_BASELINE = ("words", "character_bigrams")


def counts_for(lang: str) -> tuple[str, str]:
    """Return the two kinds of counts that suit a language. The first one is the baseline's."""
    if lang == "ko":
        return "character_bigrams", "jamo"
    return ("character_bigrams", "characters") if lang in NO_BLANKS else ("words", "characters")
