"""Find the language models and word vectors of the library and of installed wheels. None of them needs a download.

A wheel names its folder in the entry point group `ulmfit_easy.weights`, such as `ko = "ulmfit_easy_ko"`. In the folder
each model has a folder of its own, as `learn.export` wrote it, under any name. Its config.json tells what it is. No
code of a wheel is imported.

The library's models come before those of wheels, wheels are in the order of their names, and so are their folders. The
first model that fits is taken, unless you name another one, see `shipped_folder`.
"""

import re
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from ulmfit_easy.bundle.artefact import current, load_weights
from ulmfit_easy.bundle.packages import packaged_model
from ulmfit_easy.bundle.record import way
from ulmfit_easy.data.languages import language_name
from ulmfit_easy.data.targets import TARGETS
from ulmfit_easy.errors import FileError, some
from ulmfit_easy.files import read_json
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.schema import flag, mapping, misfits, only
from ulmfit_easy.schema import text as string
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vectors import WordVectors
from ulmfit_easy.user_code import warn_user

WEIGHTS = Path(__file__).parents[1] / "weights"
GROUP = "ulmfit_easy.weights"


class Shipped(NamedTuple):
    """A language model on this machine, as its config describes it."""

    folder: Path
    owner: str | None  # the wheel, None for the library
    arch: str
    backwards: bool
    sizes: dict
    tokenizer: dict

    @property
    def lang(self) -> str | None:
        """The language of the tokenizer, None if it has none."""
        return _named(self.tokenizer["tok"])[1]

    @property
    def name(self) -> str:
        """The name to choose the model by."""
        return f"{self.owner}/{self.folder.name}" if self.owner else self.folder.name

    def __str__(self) -> str:
        lang = f"{language_name(self.lang)} " if self.lang else ""
        return f"the {lang}model of {self.owner} ({self.folder.name})" if self.owner else (
            f"the {lang}model that comes with ulmfit_easy ({self.folder.name})")


def shipped_models() -> list[Shipped]:
    """Return the language models of the library and of installed wheels. Each config is read once.

    A folder or a wheel that cannot be read is left out, with a warning.
    """
    found = []
    for owner, root in _roots():
        for file in sorted([*root.glob("config.json"), *root.glob("*/config.json")]):
            try:
                found += _described(file, file.stat().st_mtime_ns, owner)
            except (FileError, OSError, LookupError, TypeError, ValueError, AttributeError) as e:
                _warn(f"{file} of {owner or 'the library'}, which does not describe a model ({e!s:.200})")
    return found


def shipped_folder(wanted: str = "en", backwards: bool = False) -> Path | None:
    """Return the folder of an installed language model, None if there is none.

    Args:
        wanted: a language ("ko"), a wheel ("ulmfit-easy-ko") or one model ("awd_lstm-fwd", "ulmfit-easy-ko/fwd").
        backwards: the direction, for a language or a wheel.
    """
    models = shipped_models()
    exact = [model for model in models if _same(model.name, wanted)]
    fitting = [model for model in models if model.backwards == backwards and (
        model.lang == wanted or _same(model.owner or "", wanted))]
    return next((model.folder for model in exact + fitting), None)


def _same(*names: str) -> bool:
    """Return True for names that differ in `-`, `_` and letter case alone, as pip compares names of wheels."""
    return len({re.sub("[-_.]+", "-", name).lower() for name in names}) == 1


def named_folder(source: str | Path, backwards: bool = False) -> Path:
    """Return the path of a language model: `source` itself if it exists, else the installed model of that name.

    Raises: FileError E404 for a name, such as "ko", that no installed model has. Other paths pass. What
        `packaged_model` raises.
    """
    path, name = Path(source), Path(source).as_posix()
    if path.exists():
        return path
    if folder := shipped_folder(name, backwards) or packaged_model(name):
        return folder
    if re.fullmatch("[a-z]{2,3}", name):
        names = sorted({f"{model.lang} ({way(model.backwards)})" for model in shipped_models() if model.lang})
        raise FileError("E404", received=f"the language {name!r}, for which no installed model reads "
                        f"{way(backwards)}", expected=f"one of {some(names, 20) or 'none'}",
                        fix=f"install a wheel with a model for {name!r}; pass the folder of an exported language model")
    return path


def shipped_name(folder: Path) -> str:
    """Return what messages call the language model in a folder: whose it is, for an installed one."""
    folder = folder.resolve()
    return next((str(model) for model in shipped_models() if model.folder.resolve() == folder), folder.name)


def fitting(arch: type[Encoder], config: dict, backwards: bool, tokenizer: dict) -> tuple[Path | None, str]:
    """Return the folder of the installed language model to start from, or None and why none fits.

    Args:
        config: sizes that the model must have. Its dropouts may be others.
        backwards: True to read texts from their end.
        tokenizer: the result of `Tokenizer.config`: texts must be split as the model's were, in the same language.
    """
    models = [model for model in shipped_models() if model.arch == arch.__name__]
    if not models:
        return None, f"architecture: no installed model has the encoder {arch.__name__}"
    models = [model for model in models if model.backwards == backwards]
    if not models:
        return None, f"direction: the installed model reads {way(not backwards)}"
    lang = _named(tokenizer["tok"])[1]
    reasons = {model.folder: _misfit(model, arch, config, tokenizer) for model in models if model.lang == lang} or {
        models[0].folder: _misfit(models[0], arch, config, tokenizer)}
    folder = next((folder for folder, why in reasons.items() if not why), None)
    return folder, "" if folder else next(iter(reasons.values()))


def _misfit(model: Shipped, arch: type[Encoder], config: dict, tokenizer: dict) -> str:
    """Return why a model does not fit. Empty if it does."""
    reasons, theirs = [], {**arch.lm_config, **model.sizes}
    if sizes := [f"{k}={v!r} (the installed model has {theirs[k]!r})" for k, v in config.items()
                 if not k.endswith("_p") and theirs.get(k, v) != v]:
        reasons.append(f"sizes: {', '.join(sizes)}")
    theirs = model.tokenizer
    if {**theirs, "mark_fields": None} != {**tokenizer, "mark_fields": None}:
        (tok, lang), (their_tok, their_lang) = (_named(t["tok"]) for t in (tokenizer, theirs))
        if tok != their_tok:
            reasons.append(f"tokenizer: {tok} (the installed model has {their_tok})")
        elif lang != their_lang:
            reasons.append(f"language: {lang!r} (the installed model reads {their_lang!r})")
        else:
            reasons.append(f"tokenizer: other {'options' if tokenizer['tok'] != theirs['tok'] else 'rules'} than "
                           "those of the installed model")
    return "; ".join(reasons)


def shipped_vectors(lang: str | None = "en") -> WordVectors | None:
    """Return the installed word vectors of a language, or None. They are stored in 8 bits per number.

    The English ones have 300 numbers for each of 50,000 words, the most frequent word first. The first 100 numbers are
    those of GloVe (Pennington et al. 2014), centred and scaled. The other 200 are principal components of the states
    that the first layer of all-MiniLM-L6-v2 returns for the word alone.
    """
    folder = next((root / f"vectors-{lang}" for _, root in _roots() if (root / f"vectors-{lang}").exists()), None)
    if folder is None:
        return None
    weights, _ = load_weights(folder / "vectors.safetensors")  # (N, D) int8, (D,)
    at = {word: i for i, word in enumerate(read_json(folder / "words.json"))}
    return WordVectors(at, (weights["vectors"] * weights["scale"]).numpy())


def _roots() -> list[tuple[str | None, Path]]:
    """Return the folders with weights and the wheel of each, in order."""
    wheels = {(point.dist.name, point.value): point for point in entry_points(group=GROUP) if point.dist}
    found = [(name, _folder(point)) for (name, _), point in sorted(wheels.items())]
    return [(None, WEIGHTS), *((name, folder) for name, folder in found if folder)]


def _folder(point: EntryPoint) -> Path | None:
    """Return the folder that an entry point names, found among the wheel's files. Nothing is imported."""
    parts = point.value.split(".")
    assert point.dist is not None
    if all(map(str.isidentifier, parts)):
        try:
            places = [str(point.dist.locate_file(parts[0]))]
            spec = None if Path(places[0]).is_dir() else find_spec(parts[0])  # of a wheel that is installed in place
            places += (spec and spec.submodule_search_locations) or []
            if folders := [place for place in (Path(p, *parts[1:]) for p in places) if place.is_dir()]:
                return folders[0]
        except (OSError, ImportError, ValueError):
            pass
    _warn(f"the wheel {point.dist.name}, whose folder of weights {point.value!r:.80} is not there")
    return None


def _warn(received: str) -> None:
    warn_user(str(FileError("E404", received=received, expected="a folder of language models that learn.export wrote; "
                            "the other models are used", fix="install that wheel again, or remove it")))


@cache
def _described(file: Path, changed: int, owner: str | None) -> list[Shipped]:
    """Return the language model that a config describes, if it is one. It is read again only if the file changes."""
    config = current(read_json(file, 16 << 20), file)
    if (target := TARGETS.get(config["task"])) is None or target.labelled:
        return []
    text, encoder = config["text"], config["encoder"]
    if wrong := misfits({**encoder, **text}, {"name": string, "config": mapping, "backwards": flag}):
        raise ValueError(f"with {some(wrong)}")
    return [Shipped(file.parent, owner, encoder["name"], text["backwards"], encoder["config"],
                    only(Tokenizer.SETTINGS)(text["tokenizer"]))]


def _named(tok: dict) -> tuple[str | None, str | None]:
    """Return the name and the language of a tokenizer."""
    return tok.get("name", tok.get("custom")), tok.get("params", {}).get("lang")
