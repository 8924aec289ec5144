r"""The classic text rules of ULMFiT: pure `str -> str`, linear in the length of the text; none ever raises.

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
from collections.abc import Callable

from ulmfit_easy.text.special import BOS, EOS, SPECIAL_TOKENS, TK_MAJ, TK_REP, TK_UP, TK_WREP, UNK

# The rules lower the text later, so every character that becomes one of these letters counts: the capitals
# and U+212A, the Kelvin sign (a test goes through all of Unicode).
_LETTER = {c: f"[{c}{c.upper()}{chr(0x212A) if c == 'k' else ''}]" for c in set("".join(SPECIAL_TOKENS))}
_ENDINGS = "|".join("".join(_LETTER[c] for c in token[2:]) for token in SPECIAL_TOKENS)
_FORGED = re.compile(f"([xX]{{2}})(?={_ENDINGS})")


def neutralize(text: str) -> str:
    """Return the text, with every control token in it broken by a space: `xxpad` becomes `xx pad`.

    In any case of letters, and inside words too, where a tokenizer may split a control token off an affix.
    Everything else stays as it is. What is broken cannot grow together again: no rule, no tokenizer joins
    words.
    """
    return _FORGED.sub(r"\1 ", text)


# In this order. The `&` of an entity is optional: scraped text often lost it.
_MESS = [("#39;", "'"), ("amp;", "&"), ("#146;", "'"), ("nbsp;", " "), ("#36;", "$"), ("\\n", "\n"),
         ("quot;", "'"), ("<br />", "\n"), ('\\"', '"'), (" @.@ ", "."), (" @-@ ", "-"), ("...", " …")]
_CONTROL = re.compile("(<unk>|" + "|".join(SPECIAL_TOKENS) + ")")
_LONG_NUMBER = re.compile("&#([0-9]{8,});?")  # Unicode ends at 1114111; int() refuses 4,301 digits


def _decode(text: str) -> str:
    for mess, char in _MESS:
        if mess.endswith(";"):
            text = text.replace("&" + mess, char)
        text = text.replace(mess, char)
    text = _LONG_NUMBER.sub(lambda m: f"&#{m[1].lstrip('0')[:8] or '0'};", text)
    return html.unescape(text)


def fix_html(text: str) -> str:
    """Return the text with HTML entities and WikiText marks decoded; `<unk>` becomes `xxunk`.

    Control tokens already in the text stay. What the decoding would forge (`&#120;xpad`) is neutralised.
    """
    parts = _CONTROL.split(text)  # plain, control, plain, ..., plain
    parts[::2] = [neutralize(_decode(part)) for part in parts[::2]]
    parts[1::2] = [UNK if part == "<unk>" else part for part in parts[1::2]]
    return "".join(parts)


_REP = re.compile(r"(\S)\1{2,}+")


def replace_rep(text: str) -> str:
    """Return the text with a character repeated three times or more counted: `cccc` -> ` xxrep 4 c `."""
    return _REP.sub(lambda m: f" {TK_REP} {len(m[0])} {m[1]} ", text)


_WREP = re.compile(r"(?:^|\s)(\w+)(?:\s+\1\b){2,}+(\W|$)")  # possessive: five million words keep no way back


def replace_wrep(text: str) -> str:
    """Return the text with a word repeated three times or more counted: ` no no no ` -> ` xxwrep 3 no  `."""
    return _WREP.sub(lambda m: f" {TK_WREP} {m[0].count(m[1])} {m[1]} {m[2]}", text)


_SLASHES = re.compile(r"([/#\\])")


def spec_add_spaces(text: str) -> str:
    """Return the text with spaces around `/`, `#` and backslash."""
    return _SLASHES.sub(r" \1 ", text)


_SPACES = re.compile(" {2,}")


def rm_useless_spaces(text: str) -> str:
    """Return the text with runs of spaces made one."""
    return _SPACES.sub(" ", text)


def _lower(marker: str) -> Callable[[re.Match], str]:
    return lambda m: (f"{marker} " if len(m[0]) > 1 else "") + m[0].lower()


# Possessive (`*+`): a word that ends in the wrong letter fails at once, so that no text makes them quadratic.
_ALL_CAPS = re.compile(r"(?<!\S)[A-Z][^a-z\s]*+(?!\S)")
_CAPITALISED = re.compile(r"(?<!\S)[A-Z][^A-Z\s]*+(?!\S)")


def replace_all_caps(text: str) -> str:
    """Return the text with words in capitals lowered and marked: `NOT` -> `xxup not`; one letter gets no mark."""
    return _ALL_CAPS.sub(_lower(TK_UP), text)


def replace_maj(text: str) -> str:
    """Return the text with capitalised words lowered and marked: `Oslo` -> `xxmaj oslo`; one letter gets no mark."""
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
