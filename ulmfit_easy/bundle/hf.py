"""Saved models of the library `transformers` as bundles: a config, a vocabulary and weights."""

from pathlib import Path

from ulmfit_easy.bundle.artefact import Bundle
from ulmfit_easy.errors import FileError
from ulmfit_easy.extras import optional_package
from ulmfit_easy.files import read_json
from ulmfit_easy.models.transformer import of_text
from ulmfit_easy.text.hf import HFTokenizer
from ulmfit_easy.text.tokenizers import Tokenizer

UNUSED = ("auto_map", "quantization_config", "transformers_version", "architectures")  # of a config; some name code


def is_hf(folder: Path) -> bool:
    """Tell if a folder holds a model that transformers saved."""
    config = folder / "config.json"
    return config.is_file() and isinstance(said := read_json(config), dict) and "model_type" in said


def load_hf(folder: Path) -> Bundle:
    """Return a model that transformers saved, to start a classifier from. Its decoder or head is left out.

    Only safetensors are read, no code of the folder runs, and nothing is downloaded.

    Raises: FileError E401 for a folder that transformers cannot read. E402 for a tokenizer with more tokens than the
        model. TrainingError E507 without that package.
    """
    transformers = optional_package("transformers")
    given = {"local_files_only": True, "trust_remote_code": False}
    try:
        theirs = of_text(transformers.AutoConfig.from_pretrained(folder, **given))
        body = {key: value for key, value in theirs.to_diff_dict().items()
                if not key.startswith("_") and key not in UNUSED}
        model = transformers.AutoModel.from_pretrained(folder, config=theirs, use_safetensors=True, **given)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise FileError("E401", received=f"{folder}, which transformers cannot read ({e!s:.200})",
                        expected="a folder of save_pretrained with model.safetensors",
                        fix="save it again with model.save_pretrained and tokenizer.save_pretrained") from e
    splitter = HFTokenizer(folder)
    if len(splitter.vocab) > (n_rows := len(model.get_input_embeddings().weight)):
        raise FileError("E402", received=f"{folder}, whose tokenizer has {len(splitter.vocab):,} tokens",
                        expected=f"the {n_rows:,} of its model, or fewer",
                        fix="save them together, after model.resize_token_embeddings(len(tokenizer))")
    tokenizer = Tokenizer(splitter, rules=[], post_rules=[])
    weights = {f"0.body.{name}": t for name, t in model.state_dict().items() if not name.startswith("pooler.")}
    config = {"task": "lm", "text": {"backwards": False, "tokenizer": tokenizer.config()}, "target": {}, "loss": {},
              "encoder": {"name": "Transformer", "config": {"body": body}}, "head": {"name": "LMDecoder", "config": {}}}
    return Bundle(config, splitter.vocab, weights)
