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
from ulmfit_easy.errors import FileError, TrainingError
from ulmfit_easy.text.special import SPECIAL_TOKENS
from ulmfit_easy.text.vocab import Vocab

VOCAB = Vocab([*SPECIAL_TOKENS, "a", "b", "c"])


def test_weights_of_every_type_come_back_to_the_bit(tmp_path):
    weights = {"f": torch.randn(3, 4), "h": torch.randn(2).half(), "b": torch.randn(2).bfloat16(),
               "i": torch.arange(5), "bool": torch.tensor([True]), "scalar": torch.tensor(3.0),
               "empty": torch.empty(0, 3), "also empty": torch.empty(0, 3), "turned": torch.randn(2, 3).T}
    loaded, metadata = load_weights(save_weights(tmp_path / "w", weights, note=[1, "x"]))
    assert metadata == {"format": 1, "note": [1, "x"]} and loaded.keys() == weights.keys()
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
        with pytest.raises(TrainingError, match=f"E502.*something is: {name.split('/')[0]}"):
            save_bundle(tmp_path / "full", weights, VOCAB, {})
        assert (tmp_path / "full" / name).read_text() == "mine"
        shutil.rmtree(tmp_path / "full")
    save_file(weights, path / "model.safetensors", {"format": "pt"})  # another library's
    with pytest.raises(TrainingError, match="E502.*something is: config.json, model.safetensors"):
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
    for value in (1.0, 2.0):
        save_bundle(tmp_path / "b", {"w": torch.full((2,), value)}, VOCAB, {"kind": "test"})
        config, vocab, weights = load_bundle(tmp_path / "b")
        assert config == {"format": 1, "kind": "test"} and vocab == VOCAB and weights["w"][0] == value
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_the_vocabulary_of_other_weights_is_e402(tmp_path):
    bundle = save_bundle(tmp_path / "b", {"w": torch.ones(2)}, VOCAB, {})
    words = list(VOCAB)
    (bundle / "vocab.json").write_text(json.dumps([*words[:9], "b", "a", "c"]))
    with pytest.raises(FileError, match="E402") as e:
        load_bundle(bundle)
    assert VOCAB.sha256[:12] in str(e.value)


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
    with pytest.raises(TrainingError, match="E502.*big with 70000.*half=False"):
        save_weights(tmp_path / "w.safetensors", {"big": torch.tensor([1.0, -7e4])}, half=True)
    assert not list(tmp_path.iterdir())
