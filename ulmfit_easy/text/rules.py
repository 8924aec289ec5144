r"""The fields of a text as one, and the classic rules of ULMFiT: pure `str -> str` in linear time. No rule raises.

Each rule takes what the one before it gives, in the order of `DEFAULT_RULES`. They write down as control
tokens what lowering and tokenizing would lose:

>>> text = "I LOVE it sooooo much<br />The end"
>>> for rule in DEFAULT_RULES: text = rule(text)
>>> text
'xxbos i xxup love it s xxrep 5 o much\nxxmaj the end'

Source: the rules of fastai 2, which go back to the code published with the paper (arXiv 1801.06146).
"""

import html
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from ulmfit_easy.errors import TextError
from ulmfit_easy.text.special import BOS, EOS, FLD, SPECIAL_TOKENS, TK_MAJ, TK_REP, TK_UP, TK_WREP, UNK

# The rules lower the text later, so every character that becomes one of these letters counts: the capitals
# and U+212A, the Kelvin sign (a test goes through all of Unicode).
_LETTER = {c: f"[{c}{c.upper()}{chr(0x212A) if c == 'k' else ''}]" for c in set("".join(SPECIAL_TOKENS))}
_ENDINGS = "|".join("".join(_LETTER[c] for c in token[2:]) for token in SPECIAL_TOKENS)
_FORGED = re.compile(f"([xX][xX])(?={_ENDINGS})")


def neutralize(text: str) -> str:
    """Return the text, with every control token in it broken by a space: `xxpad` becomes `xx pad`.

    In any case of letters, and inside words too, where a tokenizer may split a control token off an affix.
    Everything else stays as it is. What is broken cannot grow together again: no rule, no tokenizer joins
    words.
    """
    return _FORGED.sub(r"\1 ", text)


def unbroken(spans: Iterable[Sequence[int]], fields: Sequence[str], broken: Sequence[str]) -> list | None:
    """Return spans `(start, stop, ...)` of characters as they were before `neutralize`. None if more was changed.

    Args:
        spans: in the text, or each in the field that its third number tells.
        fields, broken: before and after.
    """
    if [*map(len, broken)] != [len(neutralize(field)) for field in fields]:
        return None
    blanks = [[found.end() + i for i, found in enumerate(_FORGED.finditer(field))] for field in fields]
    moved = []
    for start, stop, *field in spans:
        own = blanks[field[0] if field else 0]
        moved.append((start - bisect_left(own, start), stop - bisect_left(own, stop), *field))
    return moved


def join_fields(fields: Sequence[str], mark_fields: bool | None = None) -> str:
    """Return the fields of a row as one text, neutralised: `xxfld 1 <first> xxfld 2 <second>`.

    `mark_fields=None` marks them when there is more than one. `False` puts a space between them.
    """
    if mark_fields is None:
        mark_fields = len(fields) > 1
    fields = [neutralize(field) for field in fields]
    if mark_fields:
        fields = [f"{FLD} {i} {field}" for i, field in enumerate(fields, 1)]
    return " ".join(fields)


def fields_of(row: str | tuple[str, ...], i: int) -> tuple[str, ...]:
    """Return a row (a string or a tuple of strings) as a tuple of fields. E101, with `i`, if it is anything else."""
    fields = row if isinstance(row, tuple) else (row,)
    for field in fields:
        if not isinstance(field, str):
            raise TextError("E101", received=f"{field!r:.40} ({type(field).__name__}) as the text of row {i}",
                            expected="a string, or a tuple of strings",
                            fix="drop rows without text, or replace them by the empty string")
    return fields


def without_lone_surrogates(text: str) -> str:
    """Return a text that a file can hold: halves of a character become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:  # a pair of them is one character; what is left over is none
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


# In this order. The `&` of an entity is optional: scraped text often lost it.
_MESS = [("#39;", "'"), ("amp;", "&"), ("#146;", "'"), ("nbsp;", " "), ("#36;", "$"), ("\\n", "\n"),
         ("quot;", "'"), ("<br />", "\n"), ('\\"', '"'), (" @.@ ", "."), (" @-@ ", "-"), ("...", " …")]
_CONTROL = re.compile("(<unk>|" + "|".join(SPECIAL_TOKENS) + ")")
_LONG_NUMBER = re.compile("&#([0-9]{8,});?")  # Unicode ends at 1114111; int() refuses 4,301 digits


def _decode(text: str) -> str:
    for mess, char in _MESS:
        if mess in text:
            text = text.replace("&" + mess, char).replace(mess, char) if mess[-1] == ";" else text.replace(mess, char)
    text = _LONG_NUMBER.sub(lambda m: f"&#{m[1].lstrip('0')[:8] or '0'};", text)
    return html.unescape(text)


def fix_html(text: str) -> str:
    """Return the text with HTML entities and WikiText marks decoded. `<unk>` becomes `xxunk`.

    Control tokens already in the text stay. What the decoding would forge (`&#120;xpad`) is neutralised.
    """
    parts = _CONTROL.split(text)  # plain, control, plain, ..., plain
    parts[::2] = [neutralize(_decode(part)) for part in parts[::2]]
    parts[1::2] = [UNK if part == "<unk>" else part for part in parts[1::2]]
    return "".join(parts)


_REP = re.compile(r"(\S)\1\1++")


def replace_rep(text: str) -> str:
    """Return the text with a character repeated three times or more counted: `cccc` -> ` xxrep 4 c `."""
    return _REP.sub(lambda m: f" {TK_REP} {len(m[0])} {m[1]} ", text)


_WREP = re.compile(r"\s(\w++)(?:\s+\1\b){2,}+(\W|$)")  # possessive: five million words keep no way back


def replace_wrep(text: str) -> str:
    """Return the text with a word repeated three times or more counted: ` no no no ` -> ` xxwrep 3 no  `."""
    def counted(m: re.Match) -> str:
        return f"{' ' if m.start() else '  '}{TK_WREP} {m[0].count(m[1])} {m[1]} {m[2]}"

    return _WREP.sub(counted, " " + text)[1:]  # a blank ahead, for the first word


_SLASHES = re.compile(r"([/#\\])")


def spec_add_spaces(text: str) -> str:
    """Return the text with spaces around `/`, `#` and backslash."""
    return _SLASHES.sub(r" \1 ", text)


_SPACES = re.compile("  +")


def rm_useless_spaces(text: str) -> str:
    """Return the text with runs of spaces made one."""
    return _SPACES.sub(" ", text)


def _lower(marker: str) -> Callable[[re.Match], str]:
    return lambda m: (f"{marker} " if len(m[0]) > 1 else "") + m[0].lower()


# Possessive (`*+`): a word that ends in the wrong letter fails at once, so that no text makes them quadratic.
# They begin with a letter, which `re` looks for quickly, and then look what is before it.
_ALL_CAPS = re.compile(r"[A-Z](?<!\S[A-Z])[^a-z\s]*+(?!\S)")
_CAPITALISED = re.compile(r"[A-Z](?<!\S[A-Z])[^A-Z\s]*+(?!\S)")


def replace_all_caps(text: str) -> str:
    """Return the text with words in capitals lowered and marked: `NOT` -> `xxup not`. One letter gets no mark."""
    return _ALL_CAPS.sub(_lower(TK_UP), text)


def replace_maj(text: str) -> str:
    """Return the text with capitalised words lowered and marked: `Oslo` -> `xxmaj oslo`. One letter gets no mark."""
    return _CAPITALISED.sub(_lower(TK_MAJ), text)


def lowercase(text: str, add_bos: bool = True, add_eos: bool = False) -> str:
    """Return the text stripped and lowered, between `xxbos` (on by default) and `xxeos` (off)."""
    return (f"{BOS} " if add_bos else "") + text.lower().strip() + (f" {EOS}" if add_eos else "")


def replace_space(token: str) -> str:
    """Return the token with spaces inside it made `▁`, so that tokens joined by spaces can be split again."""
    return token.replace(" ", "▁")


DEFAULT_RULES = (fix_html, replace_rep, replace_wrep, spec_add_spaces, rm_useless_spaces, replace_all_caps,
                 replace_maj, lowercase)
DEFAULT_POST_RULES = (replace_space,)
