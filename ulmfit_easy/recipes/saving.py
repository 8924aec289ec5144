"""Write an estimator as a folder, and read it again."""

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ulmfit_easy.bundle.record import shown, way, write_record
from ulmfit_easy.errors import FileError, TrainingError
from ulmfit_easy.files import atomic_folder, write_json
from ulmfit_easy.learner.record import record_of
from ulmfit_easy.learner.text import load_learner
from ulmfit_easy.learner.weights import weights_sha256
from ulmfit_easy.processes import is_main
from ulmfit_easy.recipes.blend import BLEND
from ulmfit_easy.recipes.ensemble import first_to_onnx
from ulmfit_easy.recipes.inputs import as_array
from ulmfit_easy.recipes.kinds import KINDS
from ulmfit_easy.recipes.presets import Preset
from ulmfit_easy.recipes.saved import PARAMS, foreign_to_estimator, load_saved, sealed
from ulmfit_easy.recipes.starts import directions

if TYPE_CHECKING:
    from ulmfit_easy.recipes.base import TextEstimator

E = TypeVar("E", bound="TextEstimator")


def save_estimator(model: "TextEstimator", path: str | Path) -> Path:
    """Write a fitted estimator, see `ULMFiT.save`."""
    if not is_main():  # of several processes
        return Path(path)
    params, scores = model.get_params(), model.scores_
    params["preset"] = model.preset.to_json() if isinstance(model.preset, Preset) else model.preset
    if isinstance(model.encoder, type):
        params["encoder"] = model.encoder.__name__
    if isinstance(model.class_weight, dict):  # JSON's names are strings
        params["class_weight"] = list(model.class_weight.items())
    params = json.loads(json.dumps(params, default=lambda v: v.item() if hasattr(v, "item") else str(v)))
    with atomic_folder(path, foreign_to_estimator) as tmp:
        for learn in model.learners_:
            learn.export(tmp.absolute() / way(learn.dls.backwards))
        found = {"answers": model.kind_.form, "blend": None if model.blend_ is None else model.blend_.save(tmp / BLEND),
                 **{name: getattr(scores, name, None) for name in ("accuracy", "baseline_accuracy")},
                 "scores": None if scores is None else scores._asdict(), "texts": [model.n_texts_, model.n_aside_],
                 "ways": [way(learn.dls.backwards) for learn in model.learners_],
                 "weights": [weights_sha256(learn.model) for learn in model.learners_]}
        write_json(tmp / PARAMS, sealed({"params": params, **found}))
        record = record_of(model.learners_[0]) | ({} if scores is None else {"scores": scores.figures()})
        write_record(tmp, Path(path).name, record, shown("ulmfit predict", Path(path).name, "new.csv"))
    return Path(path)


def to_onnx(model: "TextEstimator", path: str | Path = "onnx", *, quantize: bool = False) -> Path:
    """Write the first of `learners_` for answers without torch, see `Predictor.to_onnx`.

    A graph has no linear models: with `blend=None` it gives the probabilities of `predict_proba`. For a second
    direction call `learners_[1].to_onnx(path)`.
    """
    model.check_fitted()
    return first_to_onnx(model.learners_, model.blend_, path, quantize)


def load_estimator(cls: type[E], path: str | Path) -> E:
    """Read an estimator, see `ULMFiT.load`."""
    settings, learners, blend = load_saved(path, load_learner, inspect.signature(cls).parameters, cls.FORMS)
    classes = learners[0].dls.classes
    try:
        model, kind = cls(**settings["params"]), KINDS[settings["answers"]]
        if isinstance(model.preset, dict):
            model.preset = Preset.from_json(model.preset)
        if isinstance(model.class_weight, list) and all(isinstance(pair, list) for pair in model.class_weight):
            model.class_weight = dict(model.class_weight)
        scores, model.kind_ = settings["scores"], kind(classes)
        model.set_scores(None if scores is None else kind.scores(**scores))
        model.n_texts_, model.n_aside_ = settings["texts"]
        directions(model.pretrained, model.backwards, model.bidir)  # what no fit can use is refused
    except (KeyError, TypeError, ValueError, AttributeError, TrainingError) as e:
        raise FileError("E401", received=f"{Path(path) / PARAMS} with wrong settings ({e})",
                        expected=f"what {cls.__name__}.save wrote", fix="save the model again") from e
    model.learners_, model.classes_, model.blend_ = learners, as_array(classes or []), blend
    return model
