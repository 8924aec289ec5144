"""The language models and word vectors that come with the library: they are there without a download."""

from functools import cache
from pathlib import Path

from ulmfit_easy.bundle.artefact import load_weights
from ulmfit_easy.data.languages import language_name
from ulmfit_easy.files import read_json
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.models.remap import WordVectors

WEIGHTS = Path(__file__).parents[1] / "weights"


def shipped_vectors(lang: str | None) -> WordVectors | None:
    """Return the bundled word vectors of a language, or None. They are stored in 8 bits per number."""
    folder = WEIGHTS / f"vectors-{lang}"
    if not folder.exists():
        return None
    weights, _ = load_weights(folder / "vectors.safetensors")  # (N, D) int8, (D,)
    at = {word: i for i, word in enumerate(read_json(folder / "words.json"))}
    return WordVectors(at, weights["vectors"] * weights["scale"])


def shipped_folder(backwards: bool = False, lang: str | None = "en") -> Path | None:
    """Return the folder of the language model of a direction and language, or None."""
    return _folders(backwards).get(lang)


def _folders(backwards: bool, arch: str | None = None) -> dict[str | None, Path]:
    """Return the folders of a direction and an encoder (None: any), found by their configs, by language."""
    configs = {file.parent: _config(file.parent) for file in sorted(WEIGHTS.glob("*/config.json"))}
    return {_language(there): folder for folder, there in configs.items()
            if there["data"]["backwards"] == backwards and arch in (None, there["arch"])}


def _nearest(arch: str, backwards: bool, tokenizer: dict) -> Path | None:
    """Return the folder in the language of a tokenizer, else one in another language, else None."""
    folders = _folders(backwards, arch)
    return folders.get(_told(tokenizer["tok"])[1]) or next(iter(folders.values()), None)


def _config(folder: Path) -> dict:
    """Return the config of a folder. It is read once, and again only if the file changes."""
    file = folder / "config.json"
    return _read_config(file, file.stat().st_mtime_ns)


@cache
def _read_config(file: Path, changed: int) -> dict:
    return read_json(file)


def _language(config: dict) -> str | None:
    return _told(config["data"]["tokenizer"]["tok"])[1]


def shipped_name(folder: Path) -> str:
    """What messages call the language model in a folder: its name and, for one of the library's, whose it is."""
    folder = folder.resolve()
    if folder.parent != WEIGHTS.resolve():
        return folder.name
    lang = _language(_config(folder))
    return f"the {language_name(lang) + ' ' if lang else ''}model that comes with ulmfit_easy ({folder.name})"


def shipped(arch: type[Encoder], config: dict, backwards: bool, tokenizer: dict) -> Path | None:
    """Return the folder of the language model that comes with the library, None if there is a `misfit`."""
    return None if misfit(arch, config, backwards, tokenizer) else _nearest(arch.__name__, backwards, tokenizer)


def misfit(arch: type[Encoder], config: dict, backwards: bool, tokenizer: dict) -> str:
    """Why the language model that comes with the library is not the one that is wanted; empty where it is.

    Args:
        config: sizes that the model must have; its dropouts may be others.
        backwards: whether it is to read texts from their end.
        tokenizer: what `Tokenizer.config` tells: texts must be split as the model's were, in the same language.
    """
    folder = _nearest(arch.__name__, backwards, tokenizer)
    if folder is None and not _folders(not backwards, arch.__name__):
        return f"architecture: the library has no model for {arch.__name__}"
    if folder is None:
        return f"direction: the library's model reads {'forwards' if backwards else 'backwards'}"
    there, reasons = _config(folder), []
    theirs = {**arch.lm_config, **there["model"]["config"]}
    if sizes := [f"{k}={v!r} (the library's model has {theirs[k]!r})" for k, v in config.items()
                 if not k.endswith("_p") and theirs.get(k, v) != v]:
        reasons.append(f"sizes: {', '.join(sizes)}")
    theirs = there["data"]["tokenizer"]
    if {**theirs, "mark_fields": None} != {**tokenizer, "mark_fields": None}:
        (tok, lang), (their_tok, their_lang) = (_told(t["tok"]) for t in (tokenizer, theirs))
        if tok != their_tok:
            reasons.append(f"tokenizer: {tok} (the library's model has {their_tok})")
        elif lang != their_lang:
            reasons.append(f"language: {lang!r} (the library's model reads {their_lang!r})")
        else:
            reasons.append(f"tokenizer: other {'options' if tokenizer['tok'] != theirs['tok'] else 'rules'} than "
                           "those of the library's model")
    return "; ".join(reasons)


def _told(tok: dict) -> tuple[str, str | None]:
    """Return the name and the language of a tokenizer, for messages."""
    return tok.get("name", tok.get("custom")), tok.get("params", {}).get("lang")
