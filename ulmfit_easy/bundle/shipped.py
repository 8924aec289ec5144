"""The language models and word vectors that come with the library: they are there without a download."""

from pathlib import Path

from ulmfit_easy.bundle.artefact import load_weights
from ulmfit_easy.files import read_json
from ulmfit_easy.models.archs import Arch
from ulmfit_easy.models.remap import WordVectors

WEIGHTS = Path(__file__).parents[1] / "weights"


def shipped_vectors(lang: str | None) -> WordVectors | None:
    """The word vectors that come with the library for a language, None if it has none: stored in 8 bits a number."""
    folder = WEIGHTS / f"vectors-{lang}"
    if not folder.exists():
        return None
    weights, _ = load_weights(folder / "vectors.safetensors")  # (N, D) int8, (D,)
    at = {word: i for i, word in enumerate(read_json(folder / "words.json"))}
    return WordVectors(at, weights["vectors"] * weights["scale"])


def shipped_folder(arch: str, backwards: bool = False) -> Path | None:
    """Where the language model of an architecture and direction is, None if the library has none."""
    folder = WEIGHTS / f"{arch.lower()}-{'bwd' if backwards else 'fwd'}"
    return folder if folder.exists() else None


def shipped(arch: Arch, config: dict, backwards: bool, tokenizer: dict) -> Path | None:
    """The folder of the language model that comes with the library, None where there is none that fits.

    Args:
        config: sizes that the model must have; its dropouts may be others.
        backwards: whether it is to read texts from their end.
        tokenizer: what `Tokenizer.config` tells: texts must be split as the model's were, in the same language.
    """
    folder = shipped_folder(arch.name, backwards)
    if folder is None:
        return None
    there = read_json(folder / "config.json")
    sizes = {**arch.lm_config, **there["model"]["config"]}
    same_sizes = all(sizes.get(k, v) == v for k, v in config.items() if not k.endswith("_p"))
    same_words = {**there["data"]["tokenizer"], "mark_fields": None} == {**tokenizer, "mark_fields": None}
    return folder if same_sizes and same_words else None
