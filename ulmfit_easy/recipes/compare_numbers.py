"""Compare a regression with the baseline on the texts kept aside."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ulmfit_easy.recipes.baseline import is_without_words, tfidf
from ulmfit_easy.recipes.compare import ASIDE


class NumberScores(NamedTuple):
    """Scores on the texts kept aside. Those of the baseline are None if no text has a word to count.

    Attributes:
        r2: coefficient of determination: 1 is perfect, 0 no better than the mean of the labels. None for one text.
        mae: mean absolute error.
        baseline_r2, baseline_mae: the same of TF-IDF with ridge regression, on the same texts.
    """

    r2: float | None
    mae: float | None = None
    baseline_r2: float | None = None
    baseline_mae: float | None = None

    def figures(self) -> dict:
        """Return the scores in words, as a model card has them."""
        figures = {"measured on": ASIDE, "R2": self.r2, "mean absolute error": self.mae,
                   "baseline": "TF-IDF with ridge regression", "baseline R2": self.baseline_r2,
                   "baseline mean absolute error": self.baseline_mae}
        return {name: value for name, value in figures.items() if value is not None}


def compare_numbers(df: pd.DataFrame, said: np.ndarray, lang: str = "en") -> NumberScores:
    """Score answers next to the baseline, which is fitted on the same training texts.

    Args:
        df: texts with the columns `text`, `label` and `valid`, true for the A texts kept aside.
        said: (A,) or (A, n) the numbers that the model gave them.
        lang: the language of the texts, see `baseline`.
    """
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    texts, aside = df["text"], df["valid"].astype(bool)
    values = np.array(df["label"].tolist(), dtype=float)
    r2, mae = _measured(values[aside], said)
    weights = df["weight"].to_numpy(float)[~aside] if "weight" in df else None
    try:
        model = make_pipeline(tfidf(int((~aside).sum()), lang), Ridge()).fit(texts[~aside], values[~aside],
                                                                             ridge__sample_weight=weights)
    except ValueError as e:
        if not is_without_words(e):
            raise
        return NumberScores(r2, mae)
    return NumberScores(r2, mae, *_measured(values[aside], model.predict(texts[aside])))


def _measured(truth: np.ndarray, said: np.ndarray) -> tuple[float | None, float]:
    from sklearn.metrics import mean_absolute_error, r2_score

    return float(r2_score(truth, said)) if len(truth) > 1 else None, float(mean_absolute_error(truth, said))


def numbers_in_sentences(scores: NumberScores, n_aside: int) -> str:
    """Return the scores in sentences."""
    def told(r2: float | None, mae: float | None) -> str:
        return f"mean absolute error {mae:.4g}" + ("" if r2 is None else f", R\u00b2 {r2:.3f}")

    first = f"On {n_aside:,} texts kept aside: {told(scores.r2, scores.mae)}"
    if scores.baseline_mae is None:
        return f"{first}.\nTF-IDF with ridge regression has no words to count."
    return f"{first}.\nTF-IDF with ridge regression: {told(scores.baseline_r2, scores.baseline_mae)} on the same texts."
