"""tokenizers.py: exactly spaCy's tokens, and a pipeline that can be saved and told from others."""

import functools
import json
import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.errors import ArgumentError, FileError, TextError
from ulmfit_easy.text.fingerprint import fingerprint
from ulmfit_easy.text.rules import DEFAULT_RULES, join_fields, lowercase
from ulmfit_easy.text.special import SPECIAL_TOKENS
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.words import BaseTokenizer, SpacyTokenizer, WordTokenizer, _Chunks, _chunks

SPACY, TOKENIZER = SpacyTokenizer(), Tokenizer()


@functools.cache
def plain_spacy(lang):
    import spacy
    from spacy.symbols import ORTH

    tokenizer = spacy.blank(lang).tokenizer
    for token in SPECIAL_TOKENS:
        tokenizer.add_special_case(token, [{ORTH: token}])
    return lambda text: [token.text for token in tokenizer(text)]


@settings(deadline=None, max_examples=500)
@given(st.text(st.characters(codec="utf-8")))
def test_any_text_gives_the_tokens_of_spacy(text):
    assert list(SPACY([text])) == [plain_spacy("en")(text)]


@pytest.mark.parametrize("lang", ["en", "de", "es", "gd"])  # the last two have cases with blanks in them
def test_special_cases_across_white_space_give_the_tokens_of_spacy(lang):
    rnd, chunks = random.Random(1), _Chunks(lang, SPECIAL_TOKENS)
    cases = sorted(chunks.cases)
    fallbacks = 0
    for _ in range(400):
        text = ""
        for _ in range(rnd.randint(1, 8)):
            case = rnd.choice(cases)
            cut = rnd.randrange(len(case) + 1)
            junk = "".join(rnd.choice("()[]:;-_=.,'\"xaX1 \n8") for _ in range(4))
            text += rnd.choice([case, case, case[:cut] + " " + case[cut:], junk])
            text += rnd.choice(["", " ", "  ", "\n", "x"])
        assert chunks.tokens(text) == plain_spacy(lang)(text), text
        fallbacks += chunks.across(text, text.split())
    assert 0 < fallbacks < 400


@pytest.mark.parametrize("lang", ["en", "de", "fi", "hu", "ru", "tr", "bn", "xx",
                                  pytest.param("fr", marks=pytest.mark.slow)])  # its rules take seconds to compile
def test_long_words_with_much_around_them_have_the_tokens_of_spacy(lang):
    rnd, chunks = random.Random(2), _Chunks(lang, SPECIAL_TOKENS)
    pieces = ["(", "[", '"', "'", "$", "€", "...", "." * 150, "…", ")", "]", "!", "km", "5km", "'s", "’S", "%", "a",
              "Z", "é", "-", "http://a.b/", "12", "U.S", "°C.", "AB.", ",", ":)", "x" * 120, "a.", "/", "+", "क"]
    for _ in range(60):
        word = "".join(rnd.choices(pieces, k=rnd.randint(1, 40)))
        assert chunks.tokens(word) == plain_spacy(lang)(word), word


def test_special_cases_between_affixes_have_the_tokens_of_spacy():
    chunks, plain = _Chunks("en", SPECIAL_TOKENS), plain_spacy("en")
    for around in ("{}", "({}", "{},", "$.{}...", "x-{}", "{}-{}", "{}'s", "#{}/{}!"):
        for case in filter(str.strip, sorted(chunks.cases)):
            word = around.format(case, case)
            assert chunks.tokens(word) == plain(word), word


def test_a_word_without_an_end_comes_in_parts():
    tokens = list(SPACY(["so " + "x" * 6000 + " it is"])).pop()
    assert [len(token) for token in tokens] == [2, 2500, 2500, 1000, 2, 2]


@pytest.mark.parametrize("lang", ["ja", "ko", "th", "vi", "zh"])
def test_languages_whose_spacy_class_needs_more_packages_get_the_plain_rules(lang):
    text = "今日は、(いい) 天気。 A b's"
    assert list(SpacyTokenizer(lang, chars=False)([text])) == [plain_spacy("xx")(text)]


@pytest.mark.parametrize("lang, text, tokens", [
    ("zh", "xxbos 我买了 iPhone，很好！ 3.5分", "xxbos 我 买 了 iPhone ， 很 好 ！ 3.5 分"),
    ("ja", "今日は、スマホ xxmaj hello。", "今 日 は 、 ス マ ホ xxmaj hello 。"),
    ("th", "ที่นี่ ดีมาก (ok)", "ที่ นี่ ดี ม า ก ( ok )"), ("ko", "이 영화는 中", "이 영화는 中")])
def test_a_character_is_a_token_in_scripts_without_blanks_and_comes_back_as_text(lang, text, tokens):
    assert list(SpacyTokenizer(lang)([text])) == [tokens.split()]
    back = "我买了手机，很好。" if lang != "ko" else "我 买 了 手 机 ， 很 好 。"
    assert Tokenizer(lang=lang).detokenize(Tokenizer(lang="zh")("我买了手机，很好。")) == back


def test_chinese_that_was_saved_before_it_came_in_characters_keeps_its_tokens():
    config = Tokenizer(lang="zh").config()
    assert config["tok"]["params"].pop("chars") is True
    old = Tokenizer.from_config(json.loads(json.dumps(config)))
    assert old("我买了") == ["xxbos", "我买了"] and Tokenizer(lang="zh")("我买了") == ["xxbos", "我", "买", "了"]
    assert "chars" not in old.config()["tok"]["params"] and old.fingerprint != Tokenizer(lang="zh").fingerprint


def test_a_text_beyond_a_million_characters_is_the_sum_of_its_parts():
    part = "It's a film, isn't it? (8/10) "
    assert list(SPACY([part * 40_000])) == [list(SPACY([part])).pop() * 40_000]


def test_the_cache_is_bounded_and_emptying_it_changes_nothing():
    tok = SpacyTokenizer()
    texts = [f"word{i} isn't {'y' * 1000}{i}." for i in range(100)]
    first, full = list(tok(texts)), _chunks("en", tuple(SPECIAL_TOKENS))
    full.room = -1
    assert list(tok(texts)) == first and _chunks("en", tuple(SPECIAL_TOKENS)) is not full


def test_what_was_read_does_not_change_the_description_of_a_tokenizer():
    def split(texts):
        return SpacyTokenizer()(texts)

    before = fingerprint(split), fingerprint(SpacyTokenizer())
    assert list(split(["words of this test alone"]))
    assert (fingerprint(split), fingerprint(SpacyTokenizer())) == before


def test_tokenizers_of_one_language_share_its_rules_and_others_do_not():
    case = ["gonna keepme"]
    assert list(SpacyTokenizer(special_toks=["gonna"])(case)) == [["gonna", "keepme"]]
    assert list(SpacyTokenizer()(case)) == [["gon", "na", "keepme"]]
    known = _chunks("en", tuple(SPECIAL_TOKENS))
    assert "keepme" in known and "keepme" not in _chunks("de", tuple(SPECIAL_TOKENS))


def test_tokenizers_stream_in_order():
    for tok in (SPACY, BaseTokenizer("-"), lambda texts: (tokens for tokens, _ in TOKENIZER.pipe(texts))):
        stream = tok(iter(["a", *(f"b{i}" for i in range(3)), None]))
        assert [next(stream)[-1] for _ in range(4)] == ["a", "b0", "b1", "b2"]
    assert list(BaseTokenizer("-")(["a-b c"])) == [["a", "b c"]] and WordTokenizer is SpacyTokenizer


def test_the_default_pipeline_gives_the_classic_tokens():
    assert TOKENIZER("I LOVE it sooooo much,<br />it's #1!!! No no no  way") == (
        "xxbos i xxup love it s xxrep 5 o much , \n it 's # 1 xxrep 3 ! xxmaj no no no way".split(" "))
    assert TOKENIZER("") == TOKENIZER(" \t ") == ["xxbos"]
    assert Tokenizer(rules=[], post_rules=[])("A  b") == ["A", " ", "b"]
    assert Tokenizer(rules=[])("A  b") == ["A", "▁", "b"]
    assert Tokenizer(BaseTokenizer, rules=[str.upper])("a b") == ["A", "B"]


def test_fields_are_marked_and_a_typed_mark_is_not_one():
    assert TOKENIZER(("A title", "xxfld 2 text")) == "xxbos xxfld 1 a title xxfld 2 xx fld 2 text".split()
    assert TOKENIZER(("&lt;", "b")) == "xxbos xxfld 1 < xxfld 2 b".split()
    assert TOKENIZER(("one",)) == TOKENIZER("one") == ["xxbos", "one"]
    assert Tokenizer(mark_fields=False)(("a", "b")) == ["xxbos", "a", "b"]
    assert Tokenizer(mark_fields=True)("a") == ["xxbos", "xxfld", "1", "a"]
    assert join_fields(["a", "b"]) == "xxfld 1 a xxfld 2 b"


@pytest.mark.parametrize("bad", [None, float("nan"), 3, b"bytes", ["a"], ("a", None)])
def test_what_is_not_text_is_an_error_that_names_the_row(bad):
    with pytest.raises(TextError, match="E101.*row 2"):
        list(TOKENIZER.pipe(["a", ("a", "b"), bad]))


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\ud83d\ude00", "\0", "\ufeff", "\u202e",
                                  "a" + "\u0301" * 999, "&#xd800;"])


def test_strange_text_gives_tokens_that_files_can_hold(text):
    tokens = TOKENIZER(text)
    assert tokens[0] == "xxbos" and "".join(tokens).encode()


def shout(text):
    return text.upper()


def make_rule(suffix):
    return lambda text: text + suffix


class OwnTok:
    def __init__(self, n):
        self.n = n

    def __call__(self, texts):
        return (t.split()[: self.n] for t in texts)


def test_the_fingerprint_changes_with_every_part():
    parts = [{}, {"lang": "de"}, {"mark_fields": True}, {"mark_fields": False}, {"tok": BaseTokenizer()},
             {"tok": BaseTokenizer("-")}, {"rules": []}, {"rules": DEFAULT_RULES[::-1]}, {"post_rules": []},
             {"rules": [shout]},
             {"rules": [make_rule("a")]}, {"rules": [make_rule("b")]}, {"tok": OwnTok(1)}, {"tok": OwnTok(2)},
             {"rules": [functools.partial(lowercase, add_eos=True)]},
             {"rules": [functools.partial(lowercase)]},
             {"rules": [lambda t: t + "a"]}, {"rules": [lambda t: t + "b"]},
             {"tok": SpacyTokenizer(special_toks=["xxa"])}]
    prints = [Tokenizer(**kwargs).fingerprint for kwargs in parts]
    assert len(set(prints)) == len(parts)
    assert prints == [Tokenizer(**kwargs).fingerprint for kwargs in parts]


def test_the_fingerprint_sees_what_a_rule_refers_to(monkeypatch):
    def rule(text):
        return shout(text)
    before = Tokenizer(rules=[rule]).fingerprint
    monkeypatch.setitem(globals(), "shout", make_rule("!"))
    assert Tokenizer(rules=[rule]).fingerprint != before


class Fastai1:
    def tokenizer(self, text):
        return text.split()


class Words:
    """As a spaCy `Doc`: an iterable of objects."""

    def __iter__(self):
        return iter([object()])


@pytest.mark.parametrize("tok", [
    lambda text: text.split(), list, Fastai1, Fastai1(), lambda texts: (text for text in texts), lambda texts: None,
    lambda texts: (text.split() for text in texts if "c" in text), lambda texts: (w for t in texts for w in [[t], [t]]),
    lambda texts: (Words() for _ in texts), lambda texts: ([1] for _ in texts), lambda texts: (None for _ in texts),
    lambda texts: []])
@pytest.mark.parametrize("errors", ["raise", "collect"])
def test_a_splitter_of_another_shape_is_told_what_it_must_be(tok, errors):
    with pytest.raises(ArgumentError, match=r"\[E602\].*`tok_tfm`.*list of words for each.*lambda texts"):
        list(Tokenizer(tok).pipe(["a a", "c"], errors))


def test_a_splitter_may_give_any_iterable_of_strings_and_its_own_errors_come_through():
    for made in (list, tuple, iter, lambda words: (w for w in words)):
        tokenizer = Tokenizer(lambda texts, f=made: (f(t.split()) for t in texts), rules=[])
        assert [found.tokens for found in tokenizer.pipe(["a b", "c"])] == [["a", "b"], ["c"]]
    assert Tokenizer(lambda texts: ([] for _ in texts))("a") == []
    with pytest.raises(TextError, match="E101.*row 0"):
        list(Tokenizer(OwnTok(1)).pipe([None]))
    with pytest.raises(ZeroDivisionError):
        list(Tokenizer(OwnTok(1), rules=[lambda text: 1 / 0]).pipe(["a"]))
    with pytest.raises(TypeError, match="mine"):
        list(Tokenizer(lambda texts: map(fails, texts)).pipe(["a"]))


def fails(text):
    raise TypeError("mine")


def test_a_config_restores_the_tokenizer():
    tokenizer = Tokenizer(SpacyTokenizer("de"), [shout, *DEFAULT_RULES], [shout], mark_fields=False)
    config = json.loads(json.dumps(tokenizer.config()))
    restored = Tokenizer.from_config(config, rules=[shout])
    assert restored.fingerprint == tokenizer.fingerprint
    assert restored(("Hallo", "x")) == tokenizer(("Hallo", "x"))
    assert Tokenizer.from_config(Tokenizer(OwnTok(1)).config(), tok=OwnTok(2)).tok.n == 2
    assert pickle.loads(pickle.dumps(tokenizer)).fingerprint == tokenizer.fingerprint


def test_a_custom_rule_that_bears_a_classic_name_is_not_mistaken_for_it():
    def lowercase(text):
        return text
    with pytest.raises(FileError, match="E402.*lowercase"):
        Tokenizer.from_config(Tokenizer(rules=[lowercase]).config())


@pytest.mark.parametrize("change", [{"rules": ["system"]}, {"rules": [{"custom": "shout"}]},
                                    {"tok": {"custom": "OwnTok"}}, {"rules": 5},
                                    {"tok": {"name": "os.system", "params": {}}}, {"rules": [{}]},
                                    {"rules": [["a"]]}])


def test_a_config_never_imports_and_names_what_is_missing(change):
    with pytest.raises(FileError, match="E402"):
        Tokenizer.from_config(TOKENIZER.config() | change)
