"""Checkpoints of other libraries: each layout computes here what it computed there."""

import pickle
import tarfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
import torch
from foreign_files import (
    LAYOUTS,
    WORDS,
    changed,
    fastai_07,
    fastai_1,
    fastai_2,
    fastai_ulmfit,
    lstm_state,
    multifit,
    refused,
    write,
)
from foreign_formulas import model_of, same_guesses
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.all import BaseTokenizer, TextDataLoaders, language_model_learner, text_classifier_learner
from ulmfit_easy.bundle.artefact import save_bundle
from ulmfit_easy.bundle.foreign import find_weights, load_any, load_foreign
from ulmfit_easy.bundle.wordlist import in_our_words
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.errors import FileError
from ulmfit_easy.text.special import SPECIAL_TOKENS
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vocab import Vocab

each_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)


@each_layout
def test_every_layout_gives_the_probabilities_of_the_formulas_on_its_own_keys(layout, tmp_path):
    file = layout(tmp_path)
    bundle = load_foreign(file.path)
    same_guesses(file, model_of(bundle), bundle.vocab)


def test_two_threads_read_one_after_the_other_and_leave_the_filters_of_warnings(tmp_path, monkeypatch):
    """Both are one for all threads: the filters, and the names that torch may read."""
    file, load, inside, seen, before = fastai_1(tmp_path), torch.load, [], [], list(warnings.filters)

    def look(*args, **kwargs):
        inside.append(1)
        time.sleep(0.01)
        seen.append((len(inside), list(warnings.filters)))
        inside.pop()
        return load(*args, **kwargs)

    monkeypatch.setattr(torch, "load", look)
    with ThreadPoolExecutor(2) as pool:
        assert len([*pool.map(load_any, [file.path] * 2)]) == 2
    assert seen == [(1, before)] * 2 and warnings.filters == before


@each_layout
def test_keys_in_another_order_change_nothing(layout, tmp_path):
    file = layout(tmp_path)
    before = load_foreign(file.path)
    torch.save(dict(reversed(file.state.items())), file.path)
    after = load_foreign(file.path)
    assert before.config == after.config and before.vocab == after.vocab
    assert before.weights.keys() == after.weights.keys()
    assert all(torch.equal(before.weights[k], after.weights[k]) for k in before.weights)


@each_layout
def test_settings_come_from_shapes_and_names(layout, tmp_path):
    file = layout(tmp_path)
    config, vocab, weights = load_foreign(file.path)
    qrnn = "multifit" in layout.__name__
    assert config["task"] == "lm" and config["encoder"]["name"] == ("AWD_QRNN" if qrnn else "AWD_LSTM")
    assert config["encoder"]["config"] == {"emb_sz": 6, "n_hid": 10, "n_layers": 4 if qrnn else 3}
    assert config["text"]["backwards"] is file.backwards
    assert len(vocab) == len(weights["0.encoder.weight"]) and vocab[:9] == list(SPECIAL_TOKENS)
    assert weights["1.decoder.weight"] is weights["0.encoder.weight"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_precision_become_float32(dtype, tmp_path):
    file = fastai_1(tmp_path)
    torch.save({7: torch.ones(1), **{k: torch.nn.Parameter(v.to(dtype)) for k, v in file.state.items()}}, file.path)
    bundle = load_foreign(file.path)
    assert {(t.dtype, t.requires_grad) for t in bundle.weights.values()} == {(torch.float32, False)}
    gap = bundle.weights["0.rnns.0.weight_hh_l0_raw"] - file.state["0.rnns.0.weight_hh_l0_raw"]
    assert gap.abs().max() < 0.02


def test_a_control_token_without_a_row_gets_the_mean_row_and_bias(tmp_path):
    file = fastai_07(tmp_path)
    _, vocab, weights = load_foreign(file.path)
    new = [vocab.stoi[token] for token in ("xxeos", "xxmaj")]
    mean = file.state["0.encoder.weight"].mean(0)
    torch.testing.assert_close(weights["0.encoder.weight"][new], torch.stack([mean, mean]))
    assert len(vocab) == len(file.words) + 2 and not weights["1.decoder.bias"].any()


def dls_for(file, bundle, **kwargs):
    """Data with the words of a checkpoint, read in its direction."""
    texts = [" ".join(bundle.vocab[9 + i:17 + i]) for i in range(12)]
    rows = pd.DataFrame({"text": texts, "label": ["a", "b"] * 6})
    return TextDataLoaders.from_df(rows, text_col="text", text_vocab=bundle.vocab, tok_tfm=BaseTokenizer(), bs=2,
                                   seq_len=5, seed=0, backwards=bool(file.backwards), **kwargs)


@each_layout
def test_a_learner_starts_from_any_of_them(layout, tmp_path):
    file = layout(tmp_path / "theirs")
    bundle = load_foreign(file.path)
    arch, config = bundle.config["encoder"]["name"], bundle.config["encoder"]["config"]
    dls = dls_for(file, bundle, is_lm=True)
    learn = language_model_learner(dls, arch, config=config, pretrained=file.path, verbose=False)
    same_guesses(file, learn.model, dls.text_vocab)
    encoder = tmp_path / "enc.pth"
    torch.save({k: v for k, v in file.state.items() if k.startswith("0.")}, encoder)
    next(p for p in file.path.parent.glob("*.pkl")).rename(tmp_path / "itos.pkl")
    dls = dls_for(file, bundle, label_col="label")
    clas = text_classifier_learner(dls, arch, config=config, pretrained=encoder, verbose=False)
    for key, value in learn.model[0].state_dict().items():
        assert torch.equal(clas.encoder.state_dict()[key], value), key


# --- which file -----------------------------------------------------------------------------------------------


@each_layout
@pytest.mark.parametrize("as_", ["folder", "folder.tgz", "archive", "archive of a folder"])
def test_a_folder_or_an_archive_is_as_good_as_the_file(layout, as_, tmp_path):
    path = tmp_path / ("my-model.tgz" if as_ == "folder.tgz" else "my-model")
    file = layout(path)
    if "archive" in as_:
        path = tmp_path / "my-model.tgz"
        with tarfile.open(path, "w:gz") as tar:
            tar.add(tmp_path / "my-model", "" if as_ == "archive" else "inside")
    expected, found = load_foreign(file.path), load_foreign(path)
    assert found.config == expected.config and found.vocab == expected.vocab
    assert all(torch.equal(found.weights[k], v) for k, v in expected.weights.items())


@pytest.mark.parametrize(("name", "backwards"), [
    ("lstm_fwd.pth", False), ("bwd_wt103.h5", True), ("lm_bwd_best.pth", True), ("my-forward-lm.pth", False),
    ("BACKWARDS.pth", True), ("lm_best.pth", None), ("lm_bwdx.pth", None), ("tobwd.pth", None)])
def test_names_tell_the_direction_where_they_do(name, backwards, tmp_path):
    file = write(tmp_path / "m", name, lstm_state(len(WORDS) + 3, "1"), "itos.pkl", ["xxunk", "xxpad", "xxbos", *WORDS])
    assert load_foreign(file.path).config["text"]["backwards"] is backwards


def test_the_name_of_a_folder_or_an_archive_tells_it_too(tmp_path):
    folder = fastai_1(tmp_path / "wt103-bwd", "lm.pth").path.parent
    assert load_foreign(folder).config["text"]["backwards"] is True
    with tarfile.open(tmp_path / "wt103-fwd.tar.gz", "w:gz") as tar:
        tar.add(folder, ".")
    assert load_foreign(tmp_path / "wt103-fwd.tar.gz").config["text"]["backwards"] is False


def test_two_models_in_a_folder_are_named_and_never_chosen_between(tmp_path):
    one, two = fastai_07(tmp_path), fastai_07(tmp_path, "bwd_wt103.h5")
    torch.save({}, tmp_path / "fwd_wt103_enc.h5")
    message = refused("E404", tmp_path)
    assert "bwd_wt103.h5, fwd_wt103.h5" in message and "enc" not in message
    assert find_weights(one.path) == one.path and load_foreign(two.path).config["text"]["backwards"] is True


def test_both_directions_in_a_folder_ask_for_one(tmp_path):
    for direction in ("fwd", "bwd"):
        fastai_ulmfit(tmp_path, direction)
    assert "bwd, fwd" in refused("E404", tmp_path)
    for direction, backwards in (("fwd", False), ("bwd", True)):
        assert load_foreign(tmp_path / direction).config["text"]["backwards"] is backwards


def test_a_folder_without_weights_or_without_words_says_so(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "*.pth" in refused("E404", tmp_path / "empty")
    refused("E404", tmp_path / "nothing")
    file = fastai_1(tmp_path / "m")
    words = (tmp_path / "m" / "itos_wt103.pkl").rename(tmp_path / "words.pkl")
    assert "no word list" in refused("E404", file.path)
    assert load_foreign(file.path, words=words).vocab[9:] == WORDS


def test_two_word_lists_are_named_and_other_pickles_do_not_count(tmp_path):
    file = fastai_1(tmp_path)
    (tmp_path / "data_save.pkl").write_bytes(b"not a list")
    assert load_foreign(tmp_path).vocab[9:] == WORDS
    (tmp_path / "lm_vocab.pkl").write_bytes(pickle.dumps(file.words))
    assert "itos_wt103.pkl, lm_vocab.pkl" in refused("E404", tmp_path)
    for name in ("itos_wt103.pkl", "data_save.pkl"):
        (tmp_path / name).unlink()
    (tmp_path / "lm_vocab.pkl").rename(tmp_path / "de_words.pkl")  # whatever its name
    assert load_foreign(tmp_path).vocab[9:] == WORDS


def test_hidden_files_that_macs_add_do_not_count(tmp_path):
    file = fastai_1(tmp_path)
    for name in (file.path.name, "itos_wt103.pkl"):
        (tmp_path / f"._{name}").write_bytes(b"Mac OS X")
    assert load_foreign(tmp_path).vocab[9:] == WORDS


@pytest.mark.parametrize("part", ["enc", "the classifier of fastai 0.7", "the classifier of fastai 2"])
def test_an_encoder_or_a_classifier_gives_an_encoder(part, tmp_path):
    file = fastai_07(tmp_path / "m") if "0.7" in part else fastai_1(tmp_path / "m")
    prefix = {"enc": "", "the classifier of fastai 2": "0.module."}.get(part, "0.")
    state = {prefix + k.removeprefix("0."): v for k, v in file.state.items() if k.startswith("0.")}
    head = {} if part == "enc" else {"1.layers.0.lin.weight": torch.randn(2, 18)}
    torch.save({**state, **head}, tmp_path / "m" / "my_enc.pth")
    whole, found = load_foreign(file.path), load_foreign(tmp_path / "m" / "my_enc.pth")
    assert found.weights.keys() == {k for k in whole.weights if k.startswith("0.")}
    assert all(torch.equal(v, whole.weights[k]) for k, v in found.weights.items())
    file.path.unlink()
    assert load_foreign(tmp_path / "m").weights.keys() == found.weights.keys()  # now it is alone


def test_load_any_takes_bundles_too(tmp_path):
    file = fastai_1(tmp_path / "fwd")
    config, vocab, weights = load_foreign(file.path)
    save_bundle(tmp_path / "bundle", weights, vocab, config | Preparation(Tokenizer().with_vocab(vocab)).config())
    for path in (file.path, tmp_path / "bundle", str(tmp_path / "fwd")):
        found = load_any(path)
        assert found.config["encoder"] == config["encoder"] and found.vocab == vocab
        assert torch.equal(found.weights["0.encoder.weight"], weights["0.encoder.weight"])
    (tmp_path / "bundle" / "config.json").unlink()
    with pytest.raises(FileError, match="E404.*config.json"):  # a damaged bundle is no checkpoint
        load_any(tmp_path / "bundle")


def test_the_sentencepiece_model_beside_the_weights_becomes_the_tokenizer(tmp_path):
    for layout, mark_fields in [(multifit, True), (fastai_ulmfit, None)]:
        config = load_foreign(layout(tmp_path / layout.__name__).path).config["text"]["tokenizer"]
        assert config["tok"] == {"name": "SentencePieceTokenizer", "params": {"lang": "en", "base64": "cGllY2Vz"}}
        assert config["mark_fields"] is mark_fields
    assert load_foreign(fastai_1(tmp_path / "v1").path).config["text"]["tokenizer"] is None


# --- weights and words that do not belong together -----------------------------------------------------------


@pytest.mark.parametrize(("key", "value"), [
    ("0.rnns.1.weight_hh_l0_raw", None), ("0.rnns.0.weight_hh_l0_raw", None), ("0.rnns.2.module.bias_hh_l0", None),
    ("0.rnns.1.module.weight_ih_l0", torch.zeros(40, 9)), ("0.encoder.weight", torch.zeros(31)),
    ("0.rnns.0.weight_hh_l0_raw", torch.zeros(40, 0)), ("0.rnns.0.weight_hh_l0_raw", torch.tensor(1.0)),
    ("1.decoder.bias", torch.zeros(3)), ("1.decoder.weight", torch.tensor(1.0)), ("1.decoder.weight", None),
    ("1.decoder.weight", torch.zeros(len(WORDS) + 9, 6)), ("0.rnns.3.weight_hh_l0_raw", torch.zeros(40, 10)),
    ("0.rnns.0.linear.weight_raw", torch.zeros(30, 12)), ("0.rnns.0.weight_hh_l0_raw", torch.zeros(40, 10).long()),
])
def test_weights_that_make_no_model_are_e402(key, value, tmp_path):
    refused("E402", changed(fastai_1(tmp_path), **{key: value}))


def test_a_file_without_an_embedding_is_e401(tmp_path):
    assert "encoder.weight" in refused("E401", changed(fastai_1(tmp_path), **{"0.encoder.weight": None}))


def test_a_list_of_another_length_is_e402_and_fastai_2_may_leave_out_its_fill(tmp_path):
    file = fastai_2(tmp_path)  # V = 48
    without = [word for word in file.words if word != "xxfake"]
    words = tmp_path / "other.pkl"
    words.write_bytes(pickle.dumps(without))
    assert load_foreign(file.path, words=words).vocab == load_foreign(file.path).vocab
    for wrong in (without[:40], [*file.words, "more"], []):
        words.write_bytes(pickle.dumps(wrong))
        assert f"{len(wrong)} words" in refused("E402", file.path, words=words)


def test_a_word_that_is_there_twice_keeps_the_row_that_text_met_and_all_probabilities(tmp_path):
    words = [*fastai_1(tmp_path / "x").words, "film", "the"]
    file = write(tmp_path, "lm.pth", lstm_state(len(words), "1"), "itos.pkl", words)
    bundle = load_foreign(file.path)
    assert bundle.vocab.itos.count("xxfake") == 2 and len(bundle.vocab) == len(words)
    same_guesses(file, model_of(bundle), bundle.vocab)
    rows = file.state["0.encoder.weight"]
    assert torch.equal(bundle.weights["0.encoder.weight"][bundle.vocab.stoi["the"]], rows[-1])
    assert torch.equal(bundle.weights["0.encoder.weight"].sum(0).round(decimals=4), rows.sum(0).round(decimals=4))


@given(st.lists(st.sampled_from(["xxunk", "_unk_", "xxbos", "▁xxbos", "xbos", "<unk>", "xxfake", "t_up", "a", "▁a"])
                | st.text(max_size=3)))
@settings(deadline=None)
def test_any_list_of_words_becomes_a_vocabulary_of_its_length_and_missing_control_tokens(words):
    ours = in_our_words(words)
    vocab = Vocab([*SPECIAL_TOKENS, *(word for word in ours if word not in SPECIAL_TOKENS)])
    assert len(ours) == len(words)
    assert len(vocab) == len(words) + len(set(SPECIAL_TOKENS) - set(ours))
