"""Weights and vocabularies in files that run no code."""

import json
import os
import shutil
import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ulmfit_easy.bundle.artefact import load_bundle, load_state, load_weights, save_bundle, save_weights
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.models.language_model import get_language_model
from ulmfit_easy.text.special import SPECIAL_TOKENS
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vocab import Vocab

VOCAB = Vocab([*SPECIAL_TOKENS, "a", "b", "c"])


def tiny():
    """A language model of a few bytes, and its config."""
    model = get_language_model("AWD_LSTM", len(VOCAB), {"emb_sz": 2, "n_hid": 2, "n_layers": 1})
    return model, {**Preparation(Tokenizer().with_vocab(VOCAB)).config(), **model.config(), "loss": {}}


def test_weights_of_every_type_come_back_to_the_bit(tmp_path):
    weights = {"f": torch.randn(3, 4), "h": torch.randn(2).half(), "b": torch.randn(2).bfloat16(),
               "i": torch.arange(5), "bool": torch.tensor([True]), "scalar": torch.tensor(3.0),
               "empty": torch.empty(0, 3), "also empty": torch.empty(0, 3), "turned": torch.randn(2, 3).T}
    loaded, metadata = load_weights(save_weights(tmp_path / "w", weights, note=[1, "x"]))
    assert len(metadata.pop("sha256")) == 64 and metadata == {"format": 1, "note": [1, "x"]}
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[k], v) and loaded[k].dtype == v.dtype for k, v in weights.items())


@pytest.mark.skipif(sys.platform != "linux", reason="needs names that are not UTF-8")
def test_a_bundle_may_have_any_name_and_replaces_only_an_older_one(tmp_path):
    path, weights = tmp_path / os.fsdecode(b"mod\xe8le"), {"w": torch.ones(2)}
    for value in (1, 2):
        save_bundle(path, weights, VOCAB, {"arch": value})
        assert load_weights(path / "model.safetensors")[1]["vocab_sha256"] == VOCAB.sha256
    assert json.loads((path / "config.json").read_text())["arch"] == 2
    for name in ("notes.txt", "README.md", "vocab.json/x"):
        shutil.copytree(path, tmp_path / "full", dirs_exist_ok=True)
        if name.startswith("vocab"):
            (tmp_path / "full" / "vocab.json").unlink()
            (tmp_path / "full" / "vocab.json").mkdir()
        (tmp_path / "full" / name).write_text("mine")
        with pytest.raises(FileError, match=f"E412.*something is: {name.split('/')[0]}"):
            save_bundle(tmp_path / "full", weights, VOCAB, {})
        assert (tmp_path / "full" / name).read_text() == "mine"
        shutil.rmtree(tmp_path / "full")
    save_file(weights, path / "model.safetensors", {"format": "pt"})  # another library's
    with pytest.raises(FileError, match="E412.*something is: config.json, model.safetensors"):
        save_bundle(path, weights, VOCAB, {})


def test_a_tensor_under_two_names_is_stored_once_and_shared_again(tmp_path):
    w = torch.randn(100, 100)
    path = save_weights(tmp_path / "w", {"a": w, "b": w, "turned": w.T})
    loaded, _ = load_weights(path)
    assert loaded["a"].data_ptr() == loaded["b"].data_ptr() != loaded["turned"].data_ptr()
    assert torch.equal(loaded["turned"], w.T) and path.stat().st_size < 2 * w.numel() * 4 + 1000


@pytest.mark.parametrize("metadata", [
    None, {}, {"ulmfit_easy": "no json"}, {"ulmfit_easy": "[1]"}, {"ulmfit_easy": "{}"},
    {"ulmfit_easy": '{"format": 2, "aliases": {}}'}, {"ulmfit_easy": '{"format": "1", "aliases": {}}'},
    {"ulmfit_easy": '{"format": 1, "aliases": {"b": "missing"}}'}, {"ulmfit_easy": '{"format": 1, "aliases": [1]}'},
    {"ulmfit_easy": '{"format": 1, "aliases": {"b": ["w"]}}'}, {"ulmfit_easy": "[" * 100_000},
])
def test_safetensors_of_others_or_of_the_future_are_e401(tmp_path, metadata):
    save_file({"w": torch.ones(2)}, tmp_path / "w", metadata)
    with pytest.raises(FileError, match="E401"):
        load_weights(tmp_path / "w")


def test_the_same_weights_are_the_same_bytes(tmp_path):
    weights = {name: torch.arange(3.0) for name in "abcdef"}
    data = {save_weights(tmp_path / f"{i}", weights, note={"b": (1, 0.1), "a": "é"}).read_bytes() for i in range(9)}
    assert len(data) == 1


def test_a_folder_in_the_place_of_a_file_is_e401(tmp_path):
    with pytest.raises(FileError, match="E401"):
        load_weights(tmp_path)


def test_a_bundle_comes_back_and_can_be_written_again(tmp_path):
    for model, saved in (tiny(), tiny()):
        save_bundle(tmp_path / "b", model.state_dict(), VOCAB, saved)
        config, vocab, weights = load_bundle(tmp_path / "b")
        assert (config, vocab) == (saved, VOCAB)
        assert all(torch.equal(weights[name], t) for name, t in model.state_dict().items())
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_a_folder_of_bundles_is_e404_and_names_them(tmp_path):
    for name in ("forwards", "backwards"):
        save_bundle(tmp_path / "m" / name, {"w": torch.ones(2)}, VOCAB, {})
    with pytest.raises(FileError, match=r"E404.*which holds backwards, forwards.*pass .*/m/backwards; ULMFiT\.load"):
        load_bundle(tmp_path / "m")


def test_weights_are_matched_by_name_and_shape():
    model = nn.Linear(2, 3)
    weights = dict(reversed([(k, v.clone() + 1) for k, v in model.state_dict().items()]))
    load_state(model, weights, "x")
    assert torch.equal(model.weight, weights["weight"])
    before = model.weight.clone()
    for wrong, says in [({"weight": torch.ones(3, 2), "bias": torch.ones(4)}, "bias"),
                        ({"weight": torch.ones(3, 2)}, "missing"),
                        ({**weights, "other": torch.ones(1)}, "other")]:
        with pytest.raises(FileError, match=f"E402.*{says}"):
            load_state(model, wrong, "x")
    assert torch.equal(model.weight, before)
    load_state(model, {"weight": torch.zeros(3, 2)}, "x", strict=False)
    assert not model.weight.any()


def test_weights_can_be_read_by_others(tmp_path):
    assert save_weights(tmp_path / "w.safetensors", {"a": torch.ones(2)}).stat().st_mode & 0o777 == 0o644


def test_a_weight_that_16_bits_cannot_hold_is_not_made_infinite(tmp_path):
    with pytest.raises(ArgumentError, match="E603.*big with 70000.*half=False"):
        save_weights(tmp_path / "w.safetensors", {"big": torch.tensor([1.0, -7e4])}, half=True)
    assert not list(tmp_path.iterdir())


# --- what was checked is what is used ---------------------------------------------------------------------------


def test_weights_that_were_read_do_not_follow_their_file(tmp_path):
    file = save_weights(tmp_path / "w", {"a": torch.ones(5000)})
    loaded, _ = load_weights(file)
    with open(file, "r+b") as f:  # in place, as a plain copy over it does
        f.seek(1000)
        f.write(b"\xff" * 1000)
        f.truncate(3000)
    assert torch.equal(loaded["a"], torch.ones(5000))


def test_no_bit_in_the_name_of_the_hash_turns_the_check_off(tmp_path):
    file = save_weights(tmp_path / "w", {"a": torch.ones(3)}, state={})
    raw = file.read_bytes()
    at = raw.index(b"sha256")
    for i in range(8 * len(b"sha256")):
        changed = bytearray(raw)
        changed[at + i // 8] ^= 1 << i % 8
        file.write_bytes(changed)
        with pytest.raises(FileError, match="E40"):
            load_weights(file)


@pytest.mark.parametrize("said", ['"sha256": ""', '"sha256": null', '"sha256": []', '"x": 1'])
def test_an_empty_hash_is_a_wrong_one(tmp_path, said):
    save_file({"a": torch.ones(3)}, tmp_path / "w", {
        "ulmfit_easy": f'{{"format": 1, "aliases": {{}}, "vocab_sha256": "x", {said}}}'})
    with pytest.raises(FileError, match="E40"):
        load_weights(tmp_path / "w")


@pytest.mark.parametrize("change", [
    lambda h: h["a"].update(dtype="F8_E4M3", shape=[12]), lambda h: h["a"].update(dtype="C64", shape=[1]),
    lambda h: h["a"].update(data_offsets=[0, 8]), lambda h: h["a"].update(data_offsets=[4, 12]),
    lambda h: h["a"].update(shape=[3, 1 << 50]), lambda h: h["a"].update(shape=[-3]), lambda h: h["a"].pop("shape"),
    lambda h: h.update(b=h["a"]), lambda h: h.update(a=3), lambda h: h.pop("a"),
], ids=range(10))
def test_a_header_that_claims_other_bytes_is_e401(tmp_path, change):
    raw = save_weights(tmp_path / "w", {"a": torch.ones(3)}).read_bytes()
    n = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:8 + n])
    change(header)
    text = json.dumps(header).encode()
    (tmp_path / "w").write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + n:])
    with pytest.raises(FileError, match="E401"):
        load_weights(tmp_path / "w")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_weights_that_are_no_finite_numbers_enter_no_model(dtype, wrong):
    model, weight = nn.Linear(2, 2), torch.zeros(2, 2, dtype=dtype)
    weight[1, 0] = wrong
    before = model.weight.clone()
    with pytest.raises(FileError, match="E402.*no finite numbers: weight"):
        load_state(model, {"weight": weight, "bias": torch.zeros(2)}, "a file")
    assert torch.equal(model.weight, before)


def test_a_bundle_says_which_version_wrote_it_and_a_newer_one_is_named(tmp_path):
    model, config = tiny()
    folder = save_bundle(tmp_path / "b", model.state_dict(), VOCAB, config)
    config = json.loads((folder / "config.json").read_text())
    assert config["made_with"].startswith("ulmfit_easy ") and "made_with" not in load_bundle(folder).config
    (folder / "config.json").write_text(json.dumps({**config, "format": 3, "made_with": "ulmfit_easy 9.0"}))
    with pytest.raises(FileError, match="E401.*ulmfit_easy 9.0.*newer"):
        load_bundle(folder)
