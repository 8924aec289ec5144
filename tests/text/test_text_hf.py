"""Tokenizers of pretrained transformers."""

import json
import pickle
import sys

import pytest

from ulmfit_easy.errors import FileError, TrainingError
from ulmfit_easy.text.hf import HFTokenizer
from ulmfit_easy.text.tokenizers import Tokenizer

tokenizers = pytest.importorskip("tokenizers", reason="needs the package tokenizers: pip install -e '.[hf]'")
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "soup", "##s", ",", "[", "]", "sep"]


@pytest.fixture
def folder(tmp_path):
    """A tokenizer as a saved BERT has it."""
    own = tokenizers.Tokenizer(tokenizers.models.WordPiece({piece: i for i, piece in enumerate(PIECES)},
                                                           unk_token="[UNK]"))
    own.normalizer = tokenizers.normalizers.BertNormalizer()
    own.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    own.decoder = tokenizers.decoders.WordPiece()
    own.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    own.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    own.save(str(tmp_path / "tokenizer.json"))
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "pad", "cls", "sep")}
    names["mask_token"] = {"content": "[MASK]", "special": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(names))
    return tmp_path


def test_pieces_stand_between_the_special_tokens_of_the_model(folder):
    assert list(HFTokenizer(folder)(["Good soups, good", ""])) == [
        ["[CLS]", "good", "soup", "##s", ",", "good", "[SEP]"], ["[CLS]", "[SEP]"]]


def test_the_vocabulary_has_the_ids_of_the_model(folder):
    vocab = HFTokenizer(folder).vocab
    assert list(vocab) == PIECES and (vocab.pad_id, vocab.unk_id) == (0, 1)
    assert vocab.specials == {"unk": "[UNK]", "pad": "[PAD]", "bos": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}


def test_a_special_token_that_a_user_typed_is_text(folder):
    assert list(HFTokenizer(folder)(["[SEP] good"])) == [["[CLS]", "[", "sep", "]", "good", "[SEP]"]]


def test_another_process_gets_the_same_tokenizer(folder):
    splitter, texts = HFTokenizer(folder), ["[SEP] good", ("good [SEP]", "soup"), ("", "good", "sep")]
    assert list(pickle.loads(pickle.dumps(splitter))(texts)) == list(splitter(texts))


def test_its_config_makes_the_same_tokenizer(folder):
    tokenizer = Tokenizer(HFTokenizer(folder), rules=[], post_rules=[])
    again = Tokenizer.from_config(json.loads(json.dumps(tokenizer.config())))
    assert again("good soups") == tokenizer("good soups") and again.fingerprint == tokenizer.fingerprint
    assert again.vocab == tokenizer.vocab


def test_tokens_know_their_characters_and_make_text_again(folder):
    tokenizer = Tokenizer(HFTokenizer(folder), rules=[], post_rules=[])
    [found] = tokenizer.pipe(["good soups"], where="chars")
    assert found.words == [(0, 0), (0, 4), (5, 9), (9, 10), (0, 0)]
    assert tokenizer.detokenize(found.tokens) == "good soups"


def test_tokens_know_their_words(folder):
    tokenizer = Tokenizer(HFTokenizer(folder), rules=[], post_rules=[])
    texts = ["good soups,  good", "xxbos good", ("good", "good"), ("a", "b", "good"), ("good", "xxbos")]
    assert [found.words for found in tokenizer.pipe(texts, where="words")] == [
        [-1, 0, 1, 1, 1, 2, -1], [-1, 0, 0, 1, -1], [-1, 0, -1, 1, -1], [-1, 0, -1, 1, -1, 2, -1],
        [-1, 0, -1, 1, 1, -1]]


def test_a_pair_is_joined_by_the_tokenizer_of_the_model(folder):
    tokenizer = Tokenizer(HFTokenizer(folder), rules=[], post_rules=[])
    [found] = tokenizer.pipe([("good soups", "[SEP] good")], where="chars")
    assert found.tokens == ["[CLS]", "good", "soup", "##s", "[SEP]", "[", "sep", "]", "good", "[SEP]"]
    assert found.words == [(0, 0, -1), (0, 4, 0), (5, 9, 0), (9, 10, 0), (0, 0, -1), (0, 1, 1), (1, 4, 1), (4, 5, 1),
                           (6, 10, 1), (0, 0, -1)]
    assert tokenizer(("", "")) == ["[CLS]", "[SEP]", "[SEP]"]


def test_further_fields_follow_as_the_second_does(folder):
    tokenizer = Tokenizer(HFTokenizer(folder), rules=[], post_rules=[])
    [found] = tokenizer.pipe([("good", "soups", "", "sep")], where="chars")
    assert found.tokens == ["[CLS]", "good", "[SEP]", "soup", "##s", "[SEP]", "[SEP]", "sep", "[SEP]"]
    assert [field for *_, field in found.words] == [-1, 0, -1, 1, 1, -1, -1, 3, -1]


def test_rules_go_over_each_field_of_a_pair_and_marks_are_for_those_who_ask(folder):
    shout = Tokenizer(HFTokenizer(folder), rules=[lambda text: f"{text} good"], post_rules=[])
    assert shout(("soup", "sep")) == ["[CLS]", "soup", "good", "[SEP]", "sep", "good", "[SEP]"]
    joined = Tokenizer(HFTokenizer(folder), rules=[], post_rules=[], mark_fields=False)
    assert joined(("soup", "sep")) == ["[CLS]", "soup", "sep", "[SEP]"]


@pytest.mark.parametrize("byte_level", [False, True])
def test_a_tokenizer_without_special_tokens_puts_its_separator_into_a_pair(byte_level):
    own = tokenizers.Tokenizer(tokenizers.models.BPE({piece: i for i, piece in enumerate(["a", "b", "Ġ", "<s>"])}, []))
    own.add_special_tokens(["<s>"])
    own.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    if byte_level:
        own.post_processor = tokenizers.processors.ByteLevel(trim_offsets=True)
    marks = dict.fromkeys(["unk", "pad", "sep"], "<s>")
    tokenizer = Tokenizer(HFTokenizer(tokenizer=own.to_str(), specials=marks), rules=[], post_rules=[])
    assert tokenizer("a b") == ["a", "Ġ", "b"] and tokenizer(("a", "b")) == ["a", "<s>", "b", "<s>"]
    [found] = tokenizer.pipe([("a b", "b", "a")], where="words")
    assert found.tokens[3:] == ["<s>", "b", "<s>", "a", "<s>"] and found.words[-5:] == [-1, 2, -1, 3, -1]
    del marks["sep"]
    assert "<s>" not in Tokenizer(HFTokenizer(tokenizer=own.to_str(), specials=marks), rules=[])(("a", "b"))


@pytest.mark.parametrize("content", ["{}", "no JSON", "[]"])
def test_a_broken_file_is_refused(content, folder):
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(FileError, match="E401.*tokenizer.json"):
        HFTokenizer(folder)


def test_no_file_is_refused():
    with pytest.raises(FileError, match="E401.*pass the folder"):
        HFTokenizer()


def test_ids_that_no_piece_has_keep_their_place():
    own = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[PAD]": 0, "[UNK]": 1, "good": 5}, unk_token="[UNK]"))
    vocab = HFTokenizer(tokenizer=own.to_str(), specials={"unk": "[UNK]", "pad": "[PAD]"}).vocab
    assert vocab.ids(["good", "xxfake"]).tolist() == [5, 1] and len(vocab) == 6


@pytest.mark.parametrize("config", ["[]", "no JSON", "\ud83d"])
def test_a_tokenizer_config_that_is_none_is_e401(folder, config):
    (folder / "tokenizer_config.json").write_text(config, errors="surrogatepass")
    with pytest.raises(FileError, match="E401.*tokenizer_config.json"):
        HFTokenizer(folder)


def test_without_the_package_it_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(TrainingError, match="E507.*pip install tokenizers"):
        HFTokenizer(folder)
