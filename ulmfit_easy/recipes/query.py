"""Active learning: which texts of a pool to label next."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ulmfit_easy.data.sources import is_missing
from ulmfit_easy.errors import ArgumentError, TextError, TrainingError, check_new
from ulmfit_easy.recipes.ensemble import ensemble
from ulmfit_easy.schema import one_of, takes, whole
from ulmfit_easy.text.given import several_texts

__all__ = ["query"]


@takes({"k": whole(), "strategy": one_of(["entropy", "margin", "kcenter"])})
def query(model: Any, pool: Iterable, k: int = 20, strategy: str = "margin", *,
          labelled: Iterable | None = None) -> pd.DataFrame:
    """Choose which unlabelled texts to label next: return the `k` most useful ones, the best first (active learning).

    Equal texts are returned once, and empty ones never. So a small pool may give fewer than `k` rows. The result is the
    same each time.

    Args:
        model: a fitted `ULMFiT`, a learner or predictor of a classifier, or a scikit-learn pipeline that takes texts.
        pool: texts without labels. A table needs the text columns of the model.
        strategy: "entropy" takes the texts with the highest entropy of the class probabilities. "margin" takes those
            whose two likeliest classes are closest. "kcenter" takes texts that differ from each other: each is the
            farthest, by its `learn.features`, from those before it.
        labelled: for "kcenter", the texts that have labels already. New ones must differ from them too.

    Returns: rows of the table, or a table with the column `text`, with their old index and a column `score`. The
        highest score is first. "entropy" is from 0 to 1, the highest possible entropy. "margin" is 1 - (p1 - p2).
        "kcenter" is a distance. If texts have several labels, "entropy" is the mean over the labels, and "margin" the
        highest.

    Raises: TextError E101 or E102 for the texts, E104 if the pool is empty. TrainingError E506 if the model has no
        probabilities of classes, or for "kcenter" no features. ArgumentError E603 if a table has a column `score`, or
        if `labelled` is given with another strategy.

    Source: Settles 2009, section 3.1 (entropy, margin). Sener & Savarese 2018 (arXiv 1708.00489), algorithm 1
        (k-center greedy).

    Example:
        >>> rows = query(model, pool, 20)  # doctest: +SKIP
        >>> pool = pool.drop(rows.index)  # doctest: +SKIP
    """
    if labelled is not None and strategy != "kcenter":
        raise ArgumentError("E603", received=f"labelled= with strategy={strategy}", expected="the strategy kcenter, "
                            "which alone looks at them", fix="pass strategy=kcenter; leave out labelled=")
    df = pool if isinstance(pool, pd.DataFrame) else pool.to_frame("text") if isinstance(pool, pd.Series) else None
    check_new(["score"], [] if df is None else df.columns, "a pool")
    cols = _text_cols(model)
    texts = list(several_texts(pool if df is None else df, cols))
    df = pd.DataFrame({"text": texts}) if df is None else df
    first = dict[Any, int]()
    for i, text in enumerate(texts):
        fields = text if isinstance(text, tuple) else (text,)
        if not any(map(is_missing, fields)) and "".join(map(str, fields)).strip():
            first.setdefault(text, i)
    if not first:
        raise TextError("E104", received="a pool without a text", expected="one text or more",
                        fix="give more texts: all of these may have their labels")
    rows, asked = np.array([*first.values()]), [*first]  # (N,)
    if strategy == "kcenter":
        known = [] if labelled is None else list(several_texts(labelled, cols))
        features = _features(model, [*asked, *known])
        chosen, scores = k_centers(features[:len(asked)], features[len(asked):] if known else None, k)
    else:
        scores = uncertainty(_probs(model, asked), strategy)
        chosen = np.argsort(-scores, kind="stable")[:k]
        scores = scores[chosen]
    return df.iloc[rows[chosen]].assign(score=scores)


def uncertainty(probs: np.ndarray, strategy: str = "entropy") -> np.ndarray:
    """Return how uncertain some probabilities (N, L, C) are, (N,) from 0 to 1. L of them, each with the sum 1."""
    if strategy == "entropy":
        nats = -(probs * np.log(probs, where=probs > 0, out=np.zeros_like(probs))).sum(-1)  # (N, L)
        return (nats / np.log(probs.shape[-1])).mean(1)
    top = np.sort(probs, -1)
    return (1 - (top[..., -1] - top[..., -2])).max(1)


def k_centers(x: np.ndarray, centers: np.ndarray | None, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return k of the rows x (N, d), each the farthest from the centers and those before it, and their distances.

    Without centers the first distance is that from the mean of all rows.
    """
    start = x.mean(0, keepdims=True) if centers is None else centers
    nearest = np.min([np.linalg.norm(x - center, axis=1) for center in start], 0)  # (N,)
    chosen, distances = list[int](), list[float]()
    for _ in range(min(k, len(x))):
        i = int(nearest.argmax())
        chosen.append(i)
        distances.append(float(nearest[i]))
        new = np.linalg.norm(x - x[i], axis=1)
        nearest = new if centers is None and len(chosen) == 1 else np.minimum(nearest, new)
        nearest[chosen] = -1  # of rows with equal features none comes twice
    return np.array(chosen, dtype=np.int64), np.array(distances)


def _text_cols(model: Any) -> Sequence:
    learner = model.learners_[0] if hasattr(model, "learners_") else model
    return learner.predictor.prepare.text_cols if hasattr(learner, "predictor") else ("text",)


def _probs(model: Any, texts: list) -> np.ndarray:
    """Return probabilities (N, L, C): one distribution for each text, or one of two for each of L labels."""
    learner = model.learners_[0] if hasattr(model, "learners_") else model
    target = learner.predictor.prepare.target if hasattr(learner, "predictor") else None
    if target and not target.has_classes or not target and not hasattr(model, "predict_proba"):
        raise _unfit(model, "probabilities of classes")
    probs = (np.asarray(model.predict_proba(texts)) if hasattr(model, "predict_proba") else
             ensemble([model], texts, warn=False).double().numpy())  # (N, C)
    return probs[:, None] if target is None or target.one_class else np.stack([probs, 1 - probs], -1)


def _features(model: Any, texts: list) -> np.ndarray:
    if hasattr(model, "learners_"):
        return np.hstack([learn.features(texts) for learn in model.learners_])
    if hasattr(model, "features"):
        return model.features(texts)
    if hasattr(model, "steps"):
        found = model[:-1].transform(texts)
        return found.toarray() if hasattr(found, "toarray") else np.asarray(found)
    raise _unfit(model, "features")


def _unfit(model: Any, what: str) -> TrainingError:
    return TrainingError("E506", received=f"{type(model).__name__}, which gives no {what}",
                         expected="a fitted ULMFiT, a classifier's learner, or a pipeline that takes texts",
                         fix="fit a classifier first")
