"""Files of words with tags, tags as numbers and back, and the spans that they name."""

import gzip
import random
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from ulmfit_easy.all import (
    AWD_LSTM,
    ColReader,
    DataBlock,
    EntityF1,
    TagBlock,
    TextBlock,
    TextDataLoaders,
    entities,
    read_conll,
    read_srl,
    text_classifier_learner,
)
from ulmfit_easy.data.targets.tags import TagTarget, carriers
from ulmfit_easy.errors import ArgumentError, FileError, LabelError, TextError, TrainingError

WORDS = ["Anna lives in Oslo", "Bert Smith sleeps", "nobody came", "Rome", "Anna met Bert", "Bert lives"]
TAGS = ["B-PER O O B-LOC", "B-PER I-PER O", "O O", "B-LOC", "B-PER O B-PER", "B-PER O"]
TABLE = pd.DataFrame({"words": [text.split() for text in WORDS], "tags": [tags.split() for tags in TAGS]})


def loaders(df=TABLE, **kwargs):
    options = dict(text_col="words", label_col="tags", y_block="tags", seed=0, bs=2, min_freq=1, pretrained=False)
    return TextDataLoaders.from_df(df, cache_dir=False, **{**options, **kwargs})


def decoded(dls):
    return sorted(dls.decode(y) for _, y in [*dls.train_ds, *dls.valid_ds])


@pytest.mark.parametrize("df", [
    TABLE, pd.DataFrame({"words": WORDS, "tags": TAGS}), TABLE.assign(tags=TABLE["tags"].map(np.array)),
    pd.DataFrame({"words": TABLE["words"].map(np.array), "tags": TAGS})], ids=["lists", "strings", "arrays", "both"])
def test_words_and_tags_are_lists_or_have_spaces_between_them(df):
    dls = loaders(df)
    assert decoded(dls) == sorted(TABLE["tags"]) and dls.classes == ["B-LOC", "B-PER", "I-PER", "O"]


def test_a_data_block_takes_them_too():
    block = DataBlock(blocks=(TextBlock.from_df("words", min_freq=1), TagBlock), get_x=ColReader("words"),
                      get_y=ColReader("tags"))
    assert decoded(block.dataloaders(TABLE, seed=0, bs=2, cache_dir=False)) == sorted(TABLE["tags"])


def test_numbers_of_classes_may_be_tags():
    dls = loaders(TABLE.assign(tags=[[len(word) for word in words] for words in TABLE["words"]]))
    assert dls.classes == [2, 3, 4, 5, 6]


WRONG = {
    "count": (["B-PER O O", *TAGS[1:]], "E207.*1 text with more or fewer tags than words, row 0 .*4 words, 3 tags"),
    "missing": ([None, *TAGS[1:]], "E202.*row 0"), "none": ([[], *TAGS[1:]], "E202.*row 0"),
    "number": ([3.5, *TAGS[1:]], "E207.*tags of type float, row 0"),
    "schemes": (["PER O O B-LOC", *TAGS[1:]], "E207.*tags of two schemes: 'B-PER', 'I-PER' beside 'PER'. .*IOB2"),
    "one": (["O O O O", "O O O", "O O", "O", "O O O", "O O"], "E201.*1 class")}


@pytest.mark.parametrize("tags, said", WRONG.values(), ids=WRONG)
def test_tags_that_do_not_fit_are_refused(tags, said):
    with pytest.raises(LabelError, match=said):
        loaders(TABLE.assign(tags=tags), valid_pct=0.3)


@pytest.mark.parametrize("word", ["New York", "", 3], ids=repr)
def test_words_that_are_no_words_are_refused(word):
    with pytest.raises(TextError, match=r"E101.*row 0\b.*lists of words without white space"):
        loaders(TABLE.assign(words=[["Anna", "lives", "in", word], *TABLE["words"][1:]]))


def test_a_language_model_reads_the_same_table():
    lm = TextDataLoaders.from_df(TABLE, text_col="words", is_lm=True, min_freq=1, bs=2, seq_len=4, pretrained=False,
                                 valid_pct=0.5, seed=0, cache_dir=False)
    assert {"anna", "oslo"} <= {*lm.vocab}


def test_a_list_of_words_is_no_text_for_other_tasks():
    with pytest.raises(TextError, match="E101.*of type list"):
        loaders(TABLE.assign(tags=list("abcabc")), y_block=None)


def test_two_columns_of_tags_are_refused():
    with pytest.raises(LabelError, match="E207.*2 label columns"):
        loaders(TABLE.assign(more=TABLE["tags"]), label_col=["tags", "more"])


def test_a_tokenizer_that_loses_every_word_is_refused():
    with pytest.raises(LabelError, match="E207.*that the tokenizer leaves out.*tok_tfm="):
        loaders(tok_tfm=lambda texts: (["xxbos"] for _ in texts), text_vocab=loaders().text_vocab)


def test_a_tag_that_training_never_saw_is_refused_or_left_out():
    with pytest.raises(LabelError, match="E203.*'B-ORG'.*row 5"):
        loaders(TABLE.assign(tags=[*TAGS[:5], "B-ORG O"]), splitter=lambda rows: ([0, 1, 2, 3, 4], [5]))
    with pytest.warns(UserWarning, match="'B-ORG' are none of the classes; their words are left out of all scores"):
        dl = loaders().test_dl(TABLE.assign(tags=["B-ORG O O O", *TAGS[1:]]), with_labels=True)
    assert dl.targets[0].tolist().count(3) == 3 and (dl.targets[0] >= 0).sum() == 3


@pytest.mark.parametrize("backwards, expected", [(False, [1, 4, -1, 5]), (True, [1, 2, -1, 5])])
def test_the_last_token_that_is_read_carries_the_tag(backwards, expected):
    words = np.array([-1, 0, 1, 1, 1, 3, 4, -1])
    assert carriers(words, 4, backwards).tolist() == expected
    y = TagTarget(["A", "B"]).aligned(np.array([[0, 1, 0, 1, -100]]), [words], backwards)
    assert np.flatnonzero(y[0] >= 0).tolist() == sorted(set(expected) - {-1})


def test_a_word_of_which_nothing_is_left_has_the_tag_before_it():
    learn = text_classifier_learner(loaders(tok_tfm=lambda texts: ([w for w in t.split() if w != "-"] for t in texts)),
                                    AWD_LSTM, config=dict(emb_sz=4, n_hid=4, n_layers=1), pretrained=False)
    found = learn.predict("anna - lives")
    assert len(found.label) == 3 and torch.equal(found.probs[0], found.probs[1])


@pytest.mark.parametrize("tags, expected", [
    ("B-PER I-PER O B-LOC", [("PER", 0, 2), ("LOC", 3, 4)]), ("I-PER I-PER", [("PER", 0, 2)]),
    ("B-PER I-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 3)]), ("B-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
    ("O I-PER", [("PER", 1, 2)]), ("S-PER B-LOC I-LOC E-LOC", [("PER", 0, 1), ("LOC", 1, 4)]),
    ("NOUN -LRB- I", []), ("", [])], ids=str)
def test_tags_name_spans(tags, expected):
    words = [f"w{i}" for i in range(9)]
    assert [each[:3] for each in entities(tags.split(), words)] == expected
    assert all(each.text == " ".join(words[each.start:each.stop]) for each in entities(tags.split(), words))


def test_spans_are_those_of_seqeval():
    theirs = pytest.importorskip("seqeval.metrics.sequence_labeling")
    draw = random.Random(0)
    for _ in range(200):
        tags = draw.choices(["O", "B-A", "I-A", "B-B", "I-B"], k=6)
        assert [(kind, start, stop - 1) for kind, start, stop, _ in entities(tags)] == theirs.get_entities(tags)


def test_a_score_of_spans_needs_spans_and_seqeval(monkeypatch):
    def learn(df):
        return text_classifier_learner(loaders(df), AWD_LSTM, config=dict(emb_sz=4, n_hid=4, n_layers=1),
                                       pretrained=False, metrics=EntityF1())

    with pytest.raises(ArgumentError, match="E603.*entity_f1 for the tags.*metrics=accuracy"):
        learn(TABLE.assign(tags=[["NOUN" if word[0].isupper() else "VERB" for word in words]
                                 for words in TABLE["words"]])).validate()
    monkeypatch.setitem(sys.modules, "seqeval", None)
    monkeypatch.setitem(sys.modules, "seqeval.metrics", None)
    with pytest.raises(TrainingError, match="E507.*seqeval"):
        learn(TABLE).validate()


FILES = {
    "conll": ("-DOCSTART- -X- O\n\nEU NNP B-ORG\n# NN O\n\nRome NNP B-LOC\n", {},
              [[["EU", "#"], ["B-ORG", "O"]], [["Rome"], ["B-LOC"]]]),
    "columns": ("EU NNP B-ORG\n", dict(columns=(0, 1)), [[["EU"], ["NNP"]]]),
    "tabs": ("a b\tX\r\n\r\nc\tY\r\n", {}, [[["ab"], ["X"]], [["c"], ["Y"]]]),
    "ud": ("# newpar\n# text = Don't!\n1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_\n1\tDo\tdo\tAUX\tVBP\t_\t0\troot\t_\t_\n"
           "1.1\tx\t_\tX\t_\t_\t_\t_\t_\t_\n2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_\n", {},
           [[["Do", "n't"], ["AUX", "PART"]]]),
    "ud, other tags": ("1\tDo\tdo\tAUX\tVBP\t_\t0\troot\t_\t_\n", dict(columns=(1, 4)), [[["Do"], ["VBP"]]])}


@pytest.mark.parametrize("text, options, expected", FILES.values(), ids=FILES)
def test_files_of_conll_are_read(text, options, expected, tmp_path):
    (tmp_path / "train.conll").write_text(text, newline="")
    found = read_conll(tmp_path / "train.conll", **options)
    assert [*found] == ["words", "tags"] and found.values.tolist() == expected
    (tmp_path / "train.gz").write_bytes(gzip.compress(text.encode()))
    assert read_conll(tmp_path / "train.gz", **options).equals(found)


@pytest.mark.parametrize("text, options, said", [
    ("", {}, "without a sentence"), ("a A\n\nb\n", dict(columns=(0, 1)), r"line 3 of .*columns=\(0, 3\)"),
    ("a A\n", dict(columns=(0,)), "E602.*columns"), ("a A\n", dict(columns=2), "E601.*columns")], ids=str)
def test_files_of_another_form_are_refused(text, options, said, tmp_path):
    (tmp_path / "train.conll").write_text(text)
    with pytest.raises((FileError, ArgumentError), match=said):
        read_conll(tmp_path / "train.conll", **options)


def test_roles_of_another_number_of_predicates_are_refused(tmp_path):
    (tmp_path / "roles").write_text("Anna - (A0*)\nsees see (V*)\nhim he *\n")
    with pytest.raises(FileError, match="E407.*line 1 of .* 2 predicates, and other numbers of columns"):
        read_srl(tmp_path / "roles")
