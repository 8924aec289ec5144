"""special.py: no user can type a control token."""

import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.text.rules import neutralize
from ulmfit_easy.text.special import SPECIAL_TOKENS
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer

TOKENIZER, BY_SPACE = Tokenizer(), Tokenizer(BaseTokenizer())
AFFIXES = ["{}", "({})", "{}.", "{}'s", "don't{}", "{}n't", '"{}"', "{}{}", "-{}-", "a/{}/b", "{}km", "x{}",
           "x{}x"]


def control(tokens):
    return [token for token in tokens if token in SPECIAL_TOKENS]


def encoded(token):
    """The token with letters hidden in entities, which `fix_html` decodes."""
    yield "".join(f"&#{ord(c)};" for c in token)
    yield f"&#x{ord(token[0]):x};" + token[1:]
    yield f"&amp;#{ord(token[0])};" + token[1:]
    yield token[:2] + "&#1;" + token[2:]  # decodes to nothing
    yield token[:4] + f"&#{ord(token[4].upper())}" + token[5:] if len(token) > 4 else "&#120" + token[1:]


def test_the_special_tokens_have_their_classic_names_and_ids():
    assert SPECIAL_TOKENS == ("xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj")


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
def test_a_typed_control_token_leaves_only_those_that_the_rules_make_of_any_word(token):
    forms = [(form, "xx zap") for form in (token, token.replace("k", "\u212a"), *encoded(token))]
    for form, harmless in [*forms, (token.upper(), "XX ZAP"), (token.capitalize(), "Xx zap")]:
        for affix in AFFIXES:  # they may make xxrep of xxx
            for tokenizer in (TOKENIZER, BY_SPACE):
                made, allowed = (
                    control(tokenizer(f"see {affix.replace('{}', word)} here")) for word in (form, harmless))
                assert not Counter(made) - Counter(allowed), (form, affix)


def test_every_character_that_lowers_to_a_letter_of_a_control_token_is_seen():
    letters = set("".join(SPECIAL_TOKENS))
    for i in range(sys.maxunicode + 1):
        if (low := chr(i).lower()) in letters:
            for token in SPECIAL_TOKENS:
                forged = token.replace(low, chr(i))
                assert token not in neutralize(forged).lower(), (hex(i), token)


@settings(deadline=None)
@given(st.text())
def test_other_text_is_not_touched(text):
    assert neutralize(text) == text or any(t in text.lower() for t in SPECIAL_TOKENS)


PIECES = [*SPECIAL_TOKENS, "XX", "xx", "x", "pad", "PAD", "K", "\u212a", "un", "&#120;", "&#1;", "<br />", " ", "",
          ".", "'", "(", "&", "amp;", "#", " @-@ ", "\\n", "\0"]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_no_mixture_of_pieces_forges_unk_pad_eos_or_fld(pieces):
    tokens = TOKENIZER("".join(pieces))
    assert not {"xxunk", "xxpad", "xxeos", "xxfld"} & set(tokens)
    assert tokens.count("xxbos") == 1
