"""Which word of a text each token comes from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.data.toy import toy_texts
from ulmfit_easy.text.alignment import spelled
from ulmfit_easy.text.pipeline import Tokens
from ulmfit_easy.text.rules import lowercase
from ulmfit_easy.text.store import TokenStore
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.words import BaseTokenizer

CLASSIC = Tokenizer()
EXAMPLES = {
    "Anna LIVES in Oslo ,": ("xxbos xxmaj anna xxup lives in xxmaj oslo ,", [-1, 0, 0, 1, 1, 2, 3, 3, 4]),
    "we don't  go!": ("xxbos we do n't go !", [-1, 0, 1, 1, 2, 2]),
    "sooo oh": ("xxbos s xxrep 3 o oh", [-1, 0, 0, 0, 0, 1]),
    "oh no no no no OK": ("xxbos oh xxwrep 4 no xxup ok", [-1, 0, 1, 1, 1, 5, 5]),
    "a &amp; b/c #d": ("xxbos a & b / c # d", [-1, 0, 1, 2, 2, 2, 3, 3]),
    "said <unk> xxmaj x": ("xxbos said xxunk xx maj x", [-1, 0, 1, 2, 2, 3]),
    "a\xa0 b\x85c": ("xxbos a \xa0▁ b \x85 c", [-1, 0, 1, 1, 2, 2]),
    "": ("xxbos", [-1]),
}


@pytest.mark.parametrize("text", EXAMPLES)
def test_each_token_has_the_number_of_its_word(text):
    tokens, numbers = EXAMPLES[text]
    assert list(CLASSIC.pipe([text], where="words")) == [Tokens(tokens.split(" "), numbers)]
    assert list(CLASSIC.pipe([text])) == [Tokens(tokens.split(" "))]


def test_words_of_several_fields_are_counted_through():
    [(tokens, numbers)] = CLASSIC.pipe([("a title", "the body")], where="words")
    assert tokens == "xxbos xxfld 1 a title xxfld 2 the body".split()
    assert numbers == [-1, -1, -1, 0, 1, -1, -1, 2, 3]


@pytest.mark.parametrize("rules", [None, [str.upper], [lambda text: lowercase(text, add_eos=True)]])
def test_other_rules_are_asked_word_by_word(rules):
    texts = ["One two, THREE"]
    [(tokens, numbers)] = Tokenizer(rules=rules).pipe(texts, where="words")
    assert tokens == Tokenizer(rules=rules)(texts[0])
    assert [n for token, n in zip(tokens, numbers, strict=True) if not token.startswith("xx")] == [0, 1, 1, 2]


@pytest.mark.parametrize("text, tokens, numbers", [
    ("A <br /> b", "xxbos a < br / > b", [-1, 0, 1, 1, 2, 2, 3]), ("1 @.@ 5", "xxbos 1 @.@ 5", [-1, 0, 1, 2]),
    (("1 @.@", "Ab xxpad"), "xxbos xxfld 1 1 @.@ xxfld 2 xxmaj ab xx pad", [-1, -1, -1, 0, 1, -1, -1, 2, 2, 3, 3])])
def test_words_that_a_rule_joins_are_tokenized_alone(text, tokens, numbers):
    assert [*CLASSIC.pipe([text], where="words")] == [Tokens(tokens.split(), numbers)]


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("abA.!' \n\t'<&;x"), max_size=40))
def test_tokens_stay_the_same_unless_a_rule_joins_words_and_numbers_grow(text):
    [(tokens, numbers)] = CLASSIC.pipe([text], where="words")
    assert tokens == CLASSIC(text) or spelled(tokens) == "".join(spelled(CLASSIC(word)) for word in text.split())
    known = [n for n in numbers if n >= 0]
    assert known == sorted(known)
    assert all(n < len(text.split()) for n in known)


class Offsets(BaseTokenizer):
    """Knows the place of its tokens in a text with single blanks."""

    def spans(self, texts):
        for text in texts:
            ends = np.cumsum([len(word) + 1 for word in text.split(" ")]).tolist()
            yield [(end - 1 - len(word), end - 1) for word, end in zip(text.split(" "), ends, strict=True)]


def test_characters_are_known_to_a_splitter_with_spans():
    tokenizer = Tokenizer(Offsets(), rules=[])
    assert list(tokenizer.pipe(iter(["ab c"]), where="chars")) == [Tokens(["ab", "c"], [(0, 2), (3, 4)])]


def test_characters_of_a_text_with_broken_control_tokens_are_those_of_the_text():
    tokenizer = Tokenizer(Offsets(), rules=[])
    text = "a xxbos xxxxup XXPAD"
    [found] = tokenizer.pipe([text], where="chars")
    assert [text[start:stop] for start, stop in found.words] == ["a", "xx", "bos", "xxxx", "up", "XX", "PAD"]
    [found] = tokenizer.pipe(["\ud83d\ude00 a"], where="chars")  # two halves of a character, which become one
    assert found.words is None


def test_characters_are_found_by_letters_elsewhere():
    question, context = "Who, A?", "A (118) LED: soooo AT&amp;T don't"
    [found] = CLASSIC.pipe([(question, context)], where="chars")
    cut = [(token, (question, context)[field][start:stop]) for token, (start, stop, field)
           in zip(found.tokens, found.words, strict=True) if start >= 0]
    assert cut == [("who", "Who"), (",", ","), ("a", "A"), ("?", "?"), ("a", "A"), ("(", "("), ("118", "118"),
                   (")", ")"), ("led", "LED"), (":", ":"), ("s", "s"), ("o", "oooo"), ("at&t", "AT&amp;T"),
                   ("do", "do"), ("n't", "n't")]
    assert [found.words for found in CLASSIC.pipe(["", "B"], where="chars")] == [[(-1, -1)], [(-1, -1), (0, 1)]]


@pytest.mark.parametrize("n_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_store_keeps_the_words_if_it_is_asked(tmp_path, n_workers):
    texts = [*toy_texts(20), "a <br /> b"]
    plain = TokenStore.build(texts, CLASSIC, tmp_path)
    store = TokenStore.build(texts, CLASSIC, tmp_path, where="words", n_workers=n_workers)
    again = TokenStore.build(texts, CLASSIC, tmp_path, where="words")
    assert plain.places is None
    assert store.path == again.path != plain.path
    for i, (tokens, numbers) in enumerate(CLASSIC.pipe(texts, where="words")):
        assert (again.tokens(i), again.places_of(i).tolist()) == (tokens, numbers)


def test_a_store_keeps_the_characters_if_it_is_asked(tmp_path):
    store = TokenStore.build(["ab c", "xxbos", "", "d"], Tokenizer(Offsets(), rules=[]), tmp_path, where="chars")
    places = [store.places_of(i).tolist() for i in range(4)]
    assert places == [[[0, 2, 0], [3, 4, 0]], [[0, 2, 0], [2, 5, 0]], [[-1, -1, -1]], [[0, 1, 0]]]
