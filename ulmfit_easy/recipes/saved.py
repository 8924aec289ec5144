"""The folder of a saved `ULMFiT`: its settings file, and the models that this belongs to."""

import json
from collections.abc import Callable, Collection
from pathlib import Path

from ulmfit_easy.bundle.artefact import foreign_to_bundle
from ulmfit_easy.bundle.record import is_record, versions, way
from ulmfit_easy.errors import FileError, some
from ulmfit_easy.files import existing, read_json, sha256_bytes
from ulmfit_easy.learner.weights import weights_sha256
from ulmfit_easy.places import members
from ulmfit_easy.recipes.blend import BLEND, Blend
from ulmfit_easy.recipes.compare import Scores
from ulmfit_easy.recipes.compare_numbers import NumberScores
from ulmfit_easy.recipes.kinds import KINDS, Kind
from ulmfit_easy.schema import list_of, mapping, misfits, number, one_of, optional, share, such, text, whole

PARAMS = "estimator.json"  # the file of a saved model that holds its parameters
FORMAT = 2
# All that the first files said. Every later one has `format` and `sha256` too, or, if a bit of these names is wrong,
# keys that nobody knows. So no such bit turns the check of the hash off.
FIRST = {"params", "accuracy", "baseline_accuracy", "ways"}
OLD_SCORES = ("accuracy", "baseline_accuracy")
WAYS = ["forwards"], ["backwards"], ["forwards", "backwards"]
SCORES = dict.fromkeys(Scores._fields, optional(share)) | dict.fromkeys(NumberScores._fields, optional(number()))
SETTINGS = {
    **{name: SCORES[name] for name in OLD_SCORES}, "texts": list_of(optional(whole(0)), 2),
    "blend": optional(text), "answers": one_of(KINDS),
    "ways": such(list_of(text), lambda value: value in WAYS, "the directions of the models"),
    "scores": optional(such(mapping, lambda value: value.keys() <= SCORES.keys() and not misfits(value, SCORES),
                            "scores"))}


def foreign_to_estimator(path: Path) -> list[str]:
    """Return the names of what in a folder is not of a saved estimator. All if nothing proves that it is one."""
    names = [part.name for part in members(path) if not is_record(part)]
    ways = [name for name in names if name in (way(False), way(True)) and (path / name).is_dir()]
    others = [name for name in names if name not in (*ways, PARAMS, BLEND)]
    others += [f"{way}/{name}" for way in ways for name in foreign_to_bundle(path / way)]
    return others or (names if not any(members(path / way) for way in ways) else [])


def sealed(settings: dict) -> dict:
    """Return the settings with the version that writes them and their hash."""
    settings = {"format": FORMAT, "made_with": versions(), **settings}
    return {**settings, "sha256": _sha256(settings)}


def load_saved(path: str | Path, load: Callable,
               known: Collection[str] | None = None,
               forms: Collection[str] = tuple(KINDS)) -> tuple[dict, list, Blend | None]:
    """Return the settings of a saved estimator, its models, each as `load(folder)` gives it, and its mixture.

    Args:
        load: `load_learner` or `load_predictor`.
        known: the names of the estimator's parameters. None takes any.
        forms: of answers that are taken, see `KINDS`.

    Raises: as `read_settings`. FileError E402 for models that were not trained together, or not saved with these
        settings.
    """
    path = existing(path)
    if not (path / PARAMS).exists():
        raise FileError("E404", received=f"{path}, a place without {PARAMS}", expected="the folder that ULMFiT.save "
                        "wrote", fix="name that folder; load_learner reads what learn.export wrote")
    settings = read_settings(path / PARAMS, known, forms)
    params = settings["params"]  # of the fit, or set since
    ways = settings.get("ways") or ([*WAYS[2]] if params.get("bidir") else [way(params.get("backwards"))])
    models = [load(path / name) for name in ways]
    predictors = [model.predictor for model in models]
    target = KINDS[settings["answers"]].target
    if any(type(each.prepare.target) is not target or each.classes != predictors[0].classes for each in predictors):
        what = "the same classes" if target.has_classes else "numbers"
        raise FileError("E402", received=f"{path}, whose models do not answer with {what}",
                        expected="models that were trained together",
                        fix="keep the folder as ULMFiT.save wrote it")
    found = [weights_sha256(each.model) for each in predictors]
    if settings.get("weights", found) != found:
        raise FileError("E402", received=f"{path} with a model of another estimator in it",
                        expected=f"the {' and '.join(ways)} model that it was saved with",
                        fix="keep the folder as ULMFiT.save wrote it")
    sha256 = settings.get("blend")
    return settings, models, Blend.load(path / BLEND, len(predictors[0].classes), sha256) if sha256 else None


def read_settings(path: Path, known: Collection[str] | None, forms: Collection[str] = tuple(KINDS)) -> dict:
    """Return the settings that `sealed` gave, or those of the first version.

    Args:
        known: the names of the estimator's parameters. None takes any.
        forms: of answers that are taken, see `KINDS`.

    Raises: FileError E401 for settings of a newer version or of the wrong kind. E402 for another estimator. E406 for
        settings that were changed.
    """
    settings = read_json(path)
    if not isinstance(settings, dict) or not isinstance(settings.get("params"), dict):
        raise _wrong(path, "without parameters")
    if (answers := settings.get("answers", Kind.form)) in [*KINDS] and answers not in forms:
        own, other = ("numbers", "classes") if answers == "numbers" else ("classes", "numbers")
        raise FileError("E402", received=f"{path.parent}, an estimator of {own}", expected=f"one of {other}",
                        fix=f"{'ULMFiTRegressor' if own == 'numbers' else 'ULMFiT'}.load(path) reads it")
    made_with = str(settings.get("made_with", "an unknown version"))[:99]
    new = settings["params"].keys() - (settings["params"] if known is None else known)
    if (form := settings.get("format", 1)) != FORMAT and form != 1 or type(form) is not int:
        new = {f"format {form!r:.20}"}
    if new:
        raise FileError("E401", received=f"{path} with {some(sorted(new))}, made with {made_with}",
                        expected=f"what ULMFiT.save of {versions()} or of an older version writes",
                        fix="if a newer version wrote it, load it with that version")
    if settings.keys() - FIRST and settings.pop("sha256", None) != _sha256(settings):
        raise FileError("E406", received=f"{path}, which was changed since it was written",
                        expected="the SHA-256 that it was saved with",
                        fix="copy the folder again, or save the model again")
    if wrong := [f"no {name}" for name in OLD_SCORES if name not in settings] + misfits(settings, SETTINGS):
        raise _wrong(path, f"with {some(wrong)}")
    return {"scores": {name: settings[name] for name in OLD_SCORES}, "texts": [None, None], "answers": Kind.form,
            **settings}


def _sha256(settings: dict) -> str:
    return sha256_bytes(json.dumps(settings, sort_keys=True).encode())


def _wrong(path: Path, what: str) -> FileError:
    return FileError("E401", received=f"{path} {what}", expected="what ULMFiT.save wrote", fix="save the model again")
