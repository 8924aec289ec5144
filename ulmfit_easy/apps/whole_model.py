"""A trained model as the functions of Python take it, with what only training needs, and texts for it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ulmfit_easy.apps.saved_model import is_estimator, no_labels, text_columns
from ulmfit_easy.apps.sources import read_any
from ulmfit_easy.learner.text import load_learner
from ulmfit_easy.recipes.estimator import ULMFiT, ULMFiTRegressor
from ulmfit_easy.recipes.saved import PARAMS, read_settings

if TYPE_CHECKING:
    import pandas as pd


def load_model(folder: Path) -> Any:
    """Return the estimator or the learner of a folder. A `SavedModel` is faster, and only answers.

    Raises: FileError E404 for a folder with no model, or with a part of one. E402 for a language model.
    """
    if is_estimator(folder):
        answers = read_settings(folder / PARAMS, None)["answers"]
        return next(cls for cls in (ULMFiT, ULMFiTRegressor) if answers in cls.FORMS).load(folder)
    learn = load_learner(folder)
    if not learn.dls.target.labelled:
        raise no_labels(folder)
    return learn


def read_pool(path: Path, model: Any, args: argparse.Namespace) -> tuple["pd.DataFrame", list[str]]:
    """Read texts for an estimator or a learner, and return them with the names of their columns."""
    prepare = getattr(model, "learners_", [model])[0].dls.prepare
    columns = text_columns(args.text, prepare.text_cols)
    return read_any(path, columns, args, len(columns), prepare.target.kind), columns
