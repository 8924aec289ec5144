"""rules.py: the classic output, in linear time, whatever the text."""

import doctest
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.text import rules
from ulmfit_easy.text.rules import DEFAULT_RULES, replace_space

CASES = {
    "fix_html": [
        ("&#39;tis &amp; &quot;x&quot;", "'tis & 'x'"), ("#39;tis amp; quot;", "'tis & '"), ("a<br />b", "a\nb"),
        ("a nbsp;b&nbsp;c", "a  b c"), ("a\\nb \\\" c", 'a\nb " c'), ("the <unk> said", "the xxunk said"),
        ("1 @.@ 5 well @-@ known", "1.5 well-known"), ("wait...", "wait …"), ("&eacute;&#233;&#xe9;&lt;", "ééé<"),
        ("#36;5 #146;s", "$5 's"), ("&amp;amp;", "&&"), ("xxfld 1 &lt;", "xxfld 1 <"), ("&lt;unk&gt;", "<unk>")],
    "replace_rep": [
        ("cccc", " xxrep 4 c "), ("aa", "aa"), ("1999", "1 xxrep 3 9 "), ("a!!!b", "a xxrep 3 ! b"), ("   ", "   ")],
    "replace_wrep": [
        ("ok no no no yes", "ok xxwrep 3 no  yes"), ("a a", "a a"), ("no no no.", " xxwrep 3 no ."),
        ("a a a a", " xxwrep 4 a "), ("a a ab", "a a ab"), ("No no no", "No no no"),
        ("a a a b b b", " xxwrep 3 a  b b b")],
    "spec_add_spaces": [("a/b#c\\d", "a / b # c \\ d")],
    "rm_useless_spaces": [("a  b   c\n\n", "a b c\n\n")],
    "replace_all_caps": [
        ("I AM HERE", "i xxup am xxup here"), ("A-1 B2b U.S.", "xxup a-1 B2b xxup u.s."), ("ÉTÉ", "ÉTÉ")],
    "replace_maj": [("Am I Here", "xxmaj am i xxmaj here"), ("MacDonald", "MacDonald"), ("\nHi", "\nxxmaj hi")],
    "lowercase": [(" Ab ", "xxbos ab"), ("", "xxbos ")],
    "replace_space": [("a b", "a▁b"), ("\n", "\n")],
}


@pytest.mark.parametrize("name, text, expected", [(name, *case) for name, cases in CASES.items() for case in cases])
def test_the_rule_gives_the_classic_output(name, text, expected):
    assert getattr(rules, name)(text) == expected


def test_the_rules_come_in_the_classic_order():
    assert [rule.__name__ for rule in DEFAULT_RULES] == list(CASES)[:-1]
    assert rules.lowercase("A", add_bos=False, add_eos=True) == "a xxeos"
    assert doctest.testmod(rules).failed == 0


HOSTILE_PIECES = ["&#", "1" * 5000, "x" * 5000, ";", "&#x", "f" * 300, "&", "\ud800", "\0", "A", "a ",
                  "<unk>", "xxfld", "\u0130", "\\"]


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(), st.lists(st.sampled_from(HOSTILE_PIECES)).map("".join),
                 st.text(st.characters(codec=None, categories=None))))
def test_no_rule_raises(text):
    for rule in (*DEFAULT_RULES, replace_space):
        assert isinstance(rule(text), str)
        assert rule(text) == rule(text[:])
    for rule in DEFAULT_RULES:
        text = rule(text)
    assert text.startswith("xxbos ")


@pytest.mark.parametrize("number, char", [("1" * 5000, "\ufffd"), ("0" * 5000 + "65", "A"),
                                          ("x" + "f" * 5000, "\ufffd")])
def test_a_number_of_any_length_is_decoded(number, char):
    assert rules.fix_html(f"a &#{number};") == f"a {char}"


def test_a_word_without_end_is_counted_in_the_memory_of_its_text():
    text = "good " * 400_000
    tracemalloc.start()
    try:
        assert rules.replace_wrep(text) == " xxwrep 400000 good  "
        assert tracemalloc.get_traced_memory()[1] < 4 * len(text)
    finally:
        tracemalloc.stop()
