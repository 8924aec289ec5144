"""A cheap guess at the language of a text: by its script and, for Latin letters, by the commonest words."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice

READ = 1000  # characters that are looked at
HITS, AHEAD = 2, 1.5  # common words that must be there, and how many times those of the next language

# Twenty of the commonest words of each language, most of them not words of another one here.
COMMON = {language: frozenset(words.split()) for language, words in {
    "en": "the and of to is was it that this with for not are but have they you were from which",
    "de": "der die das und ist nicht ein eine mit den von zu auch sich auf dem ich wir aber war",
    "fr": "le les et est des une pas que dans pour ce qui sur avec je nous mais très était cette",
    "es": "el los las y es que una por con no pero muy del se este como para fue más esta",
    "it": "il di che è non un una per con della sono ma anche molto questo gli del nel era più",
    "pt": "os as e é que não uma com para do da em mas muito foi mais isso ao dos você",
    "nl": "de het een en van is niet dat met voor op maar zijn was ook ik heel dit aan ze",
    "sv": "och det att som är en inte på med för jag men var den mycket ett till av de vi",
    "pl": "nie się na jest to że w z do i jak ale był tak po od przez dla są bardzo",
    "tr": "bir ve bu çok için ile ama daha gibi olarak değil ne kadar var sonra ben o da mi en"}.items()}
SCRIPTS = {"CJK": "zh", "HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "THAI": "th", "GREEK": "el", "HEBREW": "he"}
NAMES = {"en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
         "nl": "Dutch", "sv": "Swedish", "pl": "Polish", "tr": "Turkish", "zh": "Chinese", "ja": "Japanese",
         "ko": "Korean", "th": "Thai", "el": "Greek", "he": "Hebrew"}  # those that can be guessed
SAMPLE, FEWEST = 100, 5  # texts that are looked at, and how many of them must seem to be in the other language


def language_name(lang: str) -> str:
    """Return the English name of a language, or its code if it has no name here."""
    return NAMES.get(lang, lang)


def other_language(texts: Iterable[str], lang: str) -> str | None:
    """Return the language that most of the first texts seem to be in, or None if it may be `lang`.

    A script, such as "cyrillic", is returned only if `lang` is written in another one.
    """
    guesses = Counter(guess_language(text) for text in islice(texts, SAMPLE))
    guess, n = max(guesses.items(), key=lambda pair: pair[1], default=(None, 0))
    is_other = guess not in (None, lang) and lang in NAMES
    return guess if is_other and n >= FEWEST and 2 * n > guesses.total() else None


def guess_language(text: str) -> str | None:
    """Guess a language: a code such as "en", a script such as "cyrillic", or None if the text is too short."""
    text = text[:READ]
    scripts = Counter(map(_script, filter(str.isalpha, text)))
    if scripts["HIRAGANA"] + scripts["KATAKANA"] > scripts["CJK"] / 10:
        scripts["HIRAGANA"] += scripts.pop("CJK", 0)  # Japanese mixes them, Chinese does not
    if not scripts:
        return None
    script = scripts.most_common(1)[0][0]
    if script != "LATIN":
        return SCRIPTS.get(script, script.lower())
    words = re.findall(r"[^\W\d_]+", text.lower())
    (best, hits), (_, second) = Counter({language: sum(word in common for word in words)
                                         for language, common in COMMON.items()}).most_common(2)
    return best if hits >= max(HITS, AHEAD * second) else None


@lru_cache(maxsize=10_000)
def _script(char: str) -> str:
    return "LATIN" if char.isascii() else unicodedata.name(char, "UNKNOWN").split()[0]
