"""The nine control tokens. No user can type one: `rules.neutralize` breaks what looks like it.

One text is meant to become one: `<unk>`, as WikiText writes an unknown word, is read as `xxunk`.
"""

__all__ = ["BOS", "EOS", "FLD", "PAD", "SPECIAL_TOKENS", "TK_MAJ", "TK_REP", "TK_UP", "TK_WREP", "UNK"]

UNK, PAD, BOS, EOS, FLD = "xxunk", "xxpad", "xxbos", "xxeos", "xxfld"
TK_REP, TK_WREP, TK_UP, TK_MAJ = "xxrep", "xxwrep", "xxup", "xxmaj"

CLASSIC = {"unk": UNK, "pad": PAD, "bos": BOS, "eos": EOS, "fld": FLD, "rep": TK_REP, "wrep": TK_WREP, "up": TK_UP,
           "maj": TK_MAJ}  # the special tokens of a `Vocab` by their roles, unless it is given others
SPECIAL_TOKENS = tuple(CLASSIC.values())
MASK = "[MASK]"  # hides a token from a masked language model; in a vocabulary only if such a model needs one
FAKE = "xxfake"  # fills a vocabulary up to a multiple of 8; no text ever gets its id
