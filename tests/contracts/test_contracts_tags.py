"""Tagging with every encoder: a tag for each word, whatever its tokens."""

import json
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import torch
from encoder_toys import Causal, Neighbours

from ulmfit_easy.all import (
    AWD_LSTM,
    BaseTokenizer,
    CausalTransformer,
    ELMo,
    EntityF1,
    TextDataLoaders,
    Tokenizer,
    Transformer,
    accuracy,
    get_text_classifier,
    load_predictor,
    mark_predicate,
    read_srl,
    set_seed,
    text_classifier_learner,
)
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.text.hf import HFTokenizer

SMALL = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
             max_position_embeddings=12)
SIZES = {AWD_LSTM: dict(emb_sz=8, n_hid=12, n_layers=1), Causal: {}, Neighbours: {},
         ELMo: dict(emb_sz=8, n_hid=12, n_layers=1, reads="both")}
HEADS = {AWD_LSTM: dict(n_hid=16), Causal: dict(n_hid=16), ELMo: dict(n_hid=8, states="both")}
if find_spec("transformers"):
    HEADS[CausalTransformer] = dict(n_hid=16)
    SIZES |= {Transformer: {"body": dict(model_type="bert", **SMALL)},
              CausalTransformer: {"body": dict(model_type="gpt2", n_embd=16, n_layer=1, n_head=2, n_positions=12)}}
TAGS = {"Anna": "B-PER", "Bert": "B-PER", "Smith": "I-PER", "Oslo": "B-LOC", "lives": "O", "in": "O", "sees": "O"}
SENTENCES = [[*who, verb, where] for who in (["Anna"], ["Bert"], ["Anna", "Smith"], ["Bert", "Smith"], ["Oslo"])
             for verb in ("lives", "sees", "in") for where in ("Oslo", "Bert", "Anna")]
TABLE = pd.DataFrame({"words": SENTENCES, "tags": [[TAGS[word] for word in words] for words in SENTENCES]})


def tagger(arch, df=TABLE, config=None, text_col="words", **kwargs):
    dls = TextDataLoaders.from_df(df, text_col=text_col, label_col="tags", y_block="tags", seed=0, min_freq=1,
                                  cache_dir=False, **{"pretrained": False, "bs": 12, **kwargs})
    set_seed(0)
    config = SIZES[arch] if config is None else config
    return text_classifier_learner(dls, arch, config=config, pretrained=False, seq_len=3, drop_mult=0, verbose=False,
                                   metrics=[accuracy, EntityF1()], head_config=HEADS.get(arch))


@pytest.mark.parametrize("arch", SIZES)
def test_each_word_of_a_text_of_any_length_has_a_tag(arch, tmp_path):
    learn = tagger(arch)  # of the classic tokens: xxbos, xxmaj anna, ...
    learn.fit(1, 1e-3)
    long = [*(["Anna", "Smith", "sees"] * 9), "Oslo"]  # more tokens than the positions of a transformer here
    found, short = learn.predict([long, ["Oslo"]])
    assert (len(found.label), found.probs.shape, found.words) == (len(long), (len(long), 4), long)
    torch.testing.assert_close(learn.predict(" ".join(long)).probs, found.probs, atol=1e-4, rtol=1e-4)
    [again] = load_predictor(learn.export(tmp_path / "tagger")).predict([["Oslo"]])
    torch.testing.assert_close(again.probs, short.probs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_a_tagger_learns(backwards):
    learn = tagger(AWD_LSTM, bs=4, backwards=backwards)
    learn.fit_one_cycle(8, 0.05)
    assert learn.validate()[1:] == [1, 1]
    assert learn.predict("Anna Smith lives Oslo").entities == [("PER", 0, 2, "Anna Smith"), ("LOC", 3, 4, "Oslo")]


def test_the_last_token_of_a_word_that_is_read_carries_its_tag(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "an", "##na", "live", "##s", "in", "bert"]
    own = tokenizers.Tokenizer(tokenizers.models.WordPiece({piece: i for i, piece in enumerate(pieces)},
                                                           unk_token="[UNK]"))
    own.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    own.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    specials = {name: f"[{name.upper()}]" for name in ("unk", "pad", "sep")} | {"bos": "[CLS]"}
    tokenizer = Tokenizer(HFTokenizer(tokenizer=own.to_str(), specials=specials), rules=[], post_rules=[])
    df = pd.DataFrame({"words": ["anna lives in", "bert"] * 4, "tags": ["A B C", "B"] * 4})
    for backwards, expected in ((False, "[CLS] an ##na:A live ##s:B in:C [SEP]"),
                                (True, "[SEP] in:C ##s live:B ##na an:A [CLS]")):
        dls = TextDataLoaders.from_df(df, text_col="words", label_col="tags", y_block="tags", tok_tfm=tokenizer, bs=4,
                                      backwards=backwards, valid_pct=0.5, seed=1, cache_dir=False)
        said = {" ".join(word if tag < 0 else f"{word}:{dls.classes[tag]}"
                         for word, tag in zip(dls.words(ids).split(), y.tolist(), strict=True))
                for ids, y in dls.train_ds if len(ids) > 3}
        assert said == {expected}


ROLES = """
Anna  -     (A0*  *
sees  see   (V*)  *
Bert  -     (A1*  (A0*)
who   -     *     *
eats  eat   *     (V*)
soup  -     *)    (A1*)

Bert  -     (A0*)
never -     *
eats  eat   (V*)
"""


@pytest.fixture
def roles(tmp_path):
    lines = ROLES.replace("(A0*  *", "(A0*) *")
    (tmp_path / "roles.txt").write_text(lines)
    return read_srl(tmp_path / "roles.txt")


def test_roles_are_tags_of_a_sentence_with_a_marked_predicate(roles):
    assert roles.map(" ".join).values.tolist() == [
        ["Anna * sees Bert who eats soup", "B-A0 O B-V B-A1 I-A1 I-A1 I-A1"],
        ["Anna sees Bert who * eats soup", "O O B-A0 O O B-V B-A1"], ["Bert never * eats", "B-A0 O O B-V"]]


def test_the_same_sentence_has_other_roles_for_another_predicate(roles):
    learn = tagger(AWD_LSTM, pd.concat([roles] * 8, ignore_index=True), dict(emb_sz=24, n_hid=48, n_layers=1), bs=4)
    learn.fit_one_cycle(30, 0.01)
    words = "Anna sees Bert who eats soup".split()
    first, second = learn.predict([mark_predicate(words, 1), mark_predicate(words, 4)])
    assert [[each.type for each in found.entities] for found in (first, second)] == [["A0", "V", "A1"]] * 2
    assert first.entities[2].text == "Bert who eats soup" and second.entities[2].text == "soup"


def test_of_several_text_columns_the_first_has_the_tags():
    df = TABLE.assign(verb=[words[-2] for words in TABLE["words"]])
    learn = tagger(AWD_LSTM, df, text_col=["words", "verb"], tok_tfm=Tokenizer(BaseTokenizer(), rules=[]))
    for ids, y in learn.dls.train_ds:
        assert learn.dls.words(ids).split()[:2] == ["xxfld", "1"] and y.tolist()[:2] + y.tolist()[-3:] == [-100] * 5
    assert len(learn.predict(("Anna sees Oslo", "sees")).label) == 3


@pytest.mark.parametrize("backwards", [False, True])
def test_spans_are_scored_by_whole_rows(backwards):
    seqeval = pytest.importorskip("seqeval.metrics")
    learn = tagger(Neighbours, backwards=backwards)
    learn.fit(1, 0.02)
    rows = learn.dls.valid.rows
    true, said = TABLE["tags"][rows].tolist(), [learn.predict([TABLE["words"][i]])[0].label for i in rows]
    score = learn.validate()[2]
    assert score == pytest.approx(seqeval.f1_score(true, said)) and 0 < score < 1


def test_a_tagger_reads_what_it_was_saved_with(tmp_path):
    learn = tagger(Neighbours)
    config = json.loads((learn.export(tmp_path / "tagger") / "config.json").read_text())
    assert config["target"] == {"classes": learn.dls.classes} and config["head"]["name"] == "TokenClassifier"
    dl = learn.dls.test_dl(TABLE[:3], with_labels=True)
    assert [learn.dls.decode(y) for y in dl.targets] == TABLE["tags"][:3].tolist()
    assert np.array_equal(learn.dls.test_dl(TABLE[:3]).lengths, dl.lengths)


def test_a_text_without_its_middle_is_no_text_to_tag():
    with pytest.raises(ArgumentError, match="E603.*head\\+tail.*the task 'tags'"):
        text_classifier_learner(tagger(Neighbours).dls, Neighbours, pretrained=False, max_len="head+tail")


@pytest.mark.parametrize(("states", "beneath", "n_above"), [("input", 24, 0), ("output", 8, 24), ("both", 24, 24)])
def test_elmo_goes_to_the_input_or_the_output_of_a_tagger_or_both(states, beneath, n_above):
    model = get_text_classifier(ELMo, 9, 3, config=dict(SIZES[ELMo], reads="mix", n_layers=2), head="TokenClassifier",
                                head_config=dict(n_hid=5, states=states)).eval()
    ids, lengths = torch.tensor([[3, 4, 5, 6], [7, 8, 1, 1]]), torch.tensor([4, 2])
    head, found = model.head, model.encoder(ids, lengths)
    assert (head.lstm.input_size, head.linear.in_features) == (beneath, 10 + n_above)
    above = head.lstm((found.embedded if states == "output" else found.raw)[:1])[0]
    logits = head.linear(torch.cat([above, found.raw[:1]], 2) if n_above else above)
    torch.testing.assert_close(model(ids, lengths).logits[:1], logits)
    torch.testing.assert_close(model(ids[1:, :2], lengths[1:]).logits[0], model(ids, lengths).logits[1, :2])
