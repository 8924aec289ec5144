"""A trained model as the functions of Python take it, with what only training needs, and texts for it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ulmfit_easy.apps.saved_model import is_estimator, no_labels, text_columns
from ulmfit_easy.apps.sources import read_any
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.text import load_learner
from ulmfit_easy.recipes.estimator import ULMFiT, ULMFiTRegressor
from ulmfit_easy.recipes.saved import PARAMS, read_settings

if TYPE_CHECKING:
    import pandas as pd


def load_model(folder: Path, classes: bool = False) -> Any:
    """Return the estimator or the learner of a folder. A `SavedModel` is faster, and only answers.

    Args:
        classes: refuse models of numbers. Models of tags and answers are always refused.

    Raises: FileError E404 for a folder with no model, or with a part of one. E402 for a language model. ArgumentError
        E603 for a model of another kind.
    """
    if is_estimator(folder):
        answers = read_settings(folder / PARAMS, None)["answers"]
        model: Any = next(cls for cls in (ULMFiT, ULMFiTRegressor) if answers in cls.FORMS).load(folder)
    else:
        model = load_learner(folder)
    target = getattr(model, "learners_", [model])[0].dls.target
    if not target.labelled:
        raise no_labels(folder)
    if target.per != "text" or classes and not target.has_classes:
        raise ArgumentError("E603", received=f"{folder}, a model of the kind {target.kind}",
                            expected=f"a model of classes{'' if classes else ' or numbers'}, for whole texts",
                            fix="make one with `ulmfit train FILE`")
    return model


def read_pool(path: Path, model: Any, args: argparse.Namespace) -> tuple["pd.DataFrame", list[str]]:
    """Read texts for an estimator or a learner, and return them with the names of their columns."""
    prepare = getattr(model, "learners_", [model])[0].dls.prepare
    columns = text_columns(args.text, prepare.text_cols)
    return read_any(path, columns, args, len(columns), prepare.target.kind), columns
