"""The nine control tokens, and the guarantee that no user can type one.

One text is meant to become one: `<unk>`, as WikiText writes an unknown word, is read as `xxunk`.
"""

import re

__all__ = ["BOS", "EOS", "FLD", "PAD", "SPECIAL_TOKENS", "TK_MAJ", "TK_REP", "TK_UP", "TK_WREP", "UNK"]

UNK, PAD, BOS, EOS, FLD = "xxunk", "xxpad", "xxbos", "xxeos", "xxfld"
TK_REP, TK_WREP, TK_UP, TK_MAJ = "xxrep", "xxwrep", "xxup", "xxmaj"

CLASSIC = {"unk": UNK, "pad": PAD, "bos": BOS, "eos": EOS, "fld": FLD, "rep": TK_REP, "wrep": TK_WREP, "up": TK_UP,
           "maj": TK_MAJ}  # the special tokens of a `Vocab` by their roles, unless it is given others
SPECIAL_TOKENS = tuple(CLASSIC.values())
FAKE = "xxfake"  # fills a vocabulary up to a multiple of 8; no text ever gets its id

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
