"""The language models that come with the library: they are there without a download."""

from pathlib import Path

from ulmfit_easy.files import read_json

WEIGHTS = Path(__file__).parents[1] / "weights"


def shipped(arch: str, backwards: bool, tokenizer: dict) -> Path | None:
    """The folder of the language model that comes with the library, None where there is none that fits.

    Args:
        arch: the name of an architecture.
        backwards: whether it is to read texts from their end.
        tokenizer: what `Tokenizer.config` tells: its words must be split as the model's were, in the same language.
    """
    folder = WEIGHTS / f"{arch.lower()}-{'bwd' if backwards else 'fwd'}"
    if not (folder / "config.json").exists():
        return None
    theirs = read_json(folder / "config.json")["data"]["tokenizer"]
    return folder if theirs["tok"] == tokenizer["tok"] else None
