"""The answers of a model for a Dask DataFrame, computed in the processes that have its partitions."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ulmfit_easy.apps.answers import Answers
from ulmfit_easy.apps.parts import model_of, sha256_of_model
from ulmfit_easy.apps.saved_model import text_columns
from ulmfit_easy.files import existing
from ulmfit_easy.schema import flag, list_of, optional, path, takes, text, whole

if TYPE_CHECKING:
    import pandas as pd
    from dask.dataframe import DataFrame

__all__ = ["predict_frame"]


@takes({"model": path, "text_col": optional(lambda value: [text(value)] if isinstance(value, str) else
                                            list_of(text)(value)), "top_k": optional(whole()), "proba": flag})
def predict_frame(model: str | Path, ddf: "DataFrame", *, text_col: str | list[str] | None = None,
                  top_k: int | None = None, proba: bool = False) -> "DataFrame":
    """Return a Dask DataFrame with the answers of a model in new columns. The extra `[dask]` brings Dask.

    Nothing is computed before you ask for it. Rows, their order and all other columns stay. A process loads the model
    once, at its first partition. A partition and its answers are in memory at once.

    Args:
        model: the folder that `ULMFiT.save`, `learn.export` or `ulmfit train` wrote. Every worker must see it.
        text_col: columns of the texts. By default those that the model learned from.
        top_k: the k likeliest classes, with probabilities. By default the likeliest one.
        proba: add a column with the probability of each class.

    Raises: E102 for a table without the columns. E603 if it has one of the new columns, and for `top_k` or `proba` of a
        model without classes. What `load_predictor` raises.
    """
    from ulmfit_easy.data.sources import find_columns

    folder = existing(model).absolute()
    sha256 = sha256_of_model(folder)
    saved = model_of(str(folder), sha256)
    answers = Answers(text_columns(text_col, saved.text_cols), top_k, proba)
    find_columns(ddf._meta, answers.columns)
    return ddf.map_partitions(partial(_answered, folder=str(folder), sha256=sha256, answers=answers),
                              meta=answers.added(ddf._meta, saved, "the table"))


def _answered(df: "pd.DataFrame", folder: str, sha256: str, answers: Answers) -> "pd.DataFrame":
    """Return the answers for a partition."""
    return answers.added(df, model_of(folder, sha256), "the table")
