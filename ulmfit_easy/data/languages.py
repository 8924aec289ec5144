"""A cheap guess at the language of a text: by its script and, for Latin letters, by the commonest words."""

import re
import unicodedata
from collections import Counter
from functools import lru_cache

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


def guess_language(text: str) -> str | None:
    """A code such as "en", the name of a script such as "cyrillic", or None where a text is too short to tell."""
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
