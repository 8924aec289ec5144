"""Pseudo-labels: train again with the texts that a first model is sure of."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from ulmfit_easy.errors import TrainingError, some
from ulmfit_easy.recipes import inputs
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.recipes.kinds import Kind
from ulmfit_easy.recipes.labelled import Labelled
from ulmfit_easy.schema import share, takes
from ulmfit_easy.terminal import say

__all__ = ["pseudo_label"]


@takes({"threshold": share})
def pseudo_label(model: ULMFiT, texts: Iterable, labels: Iterable, unlabelled: Iterable, *,
                 threshold: float = 0.95) -> ULMFiT:
    """Fit a model, let it label the texts that it is sure of, and fit again with these labels. Return the second model.

    The second model may be worse, because it learns the errors of the first. So both accuracies are printed, measured
    on the same labelled texts kept aside. All pseudo-labelled texts together weigh at most as much as the labelled
    ones.

    Args:
        model: a `ULMFiT`. Only its parameters count: copies of it are fitted.
        texts, labels, unlabelled: as for `ULMFiT.fit`, with one class for each text.
        threshold: the least probability of a pseudo-label. 0.95 is what FixMatch takes (Sohn et al. 2020).

    Returns: the second estimator. Its `n_pseudo_` is the number of pseudo-labelled texts. If the first one is not sure
        of any text, it is returned with `n_pseudo_` = 0.

    Raises: TrainingError E506 if `model` is not a `ULMFiT`. LabelError E207 if a text has several labels or a number.
        What `ULMFiT.fit` raises.

    Source: Lee 2013, "Pseudo-Label".

    Example:
        >>> model = pseudo_label(ULMFiT(seed=0), texts, labels, more_texts, threshold=0.9)  # doctest: +SKIP
    """
    if not isinstance(model, ULMFiT):
        raise TrainingError("E506", received=f"{type(model).__name__} as a model", expected="a ULMFiT",
                            fix="pass ULMFiT() with the settings that you want")
    rows = Labelled.read(texts, labels, model.text_col, Kind()).split(model.valid_pct or 0.1, model.seed)
    new, labelled = [*dict.fromkeys(inputs.texts_of(unlabelled, rows.text_cols))], {*rows.df["text"]}
    new = [text for text in inputs.without(new, inputs.empty_rows(new)) if text not in labelled]
    aside = rows.df["valid"]
    known, said_of = rows.df["text"][~aside].tolist(), rows.df["label"][~aside].tolist()
    kept = {"X_val": rows.columns(rows.df["text"][aside]), "y_val": rows.df["label"][aside].tolist()}
    first = ULMFiT(**model.get_params()).fit(rows.columns(known), said_of, new, **kept)
    probs = first.predict_proba(new) if new else np.zeros((0, len(first.classes_)))  # (N, C)
    sure = np.flatnonzero(probs.max(1) >= threshold)
    said = first.classes_[probs[sure].argmax(1)].tolist()
    counts = some(f"{label} {n:,}" for label, n in Counter(said).most_common())
    _say(model, f"{len(sure):,} of {len(new):,} unlabelled texts have a class with a probability of {threshold:g} or "
                f"more{f': {counts}' if said else ''}.")
    first.n_pseudo_ = 0  # type: ignore[attr-defined]  # a fact of this recipe
    if not said:
        return first
    weights = [1.0] * len(known) + [min(1.0, len(known) / len(said))] * len(said)
    found = ULMFiT(**model.get_params()).fit(
        rows.columns([*known, *(new[i] for i in sure)]), [*said_of, *said],
        [new[i] for i in np.setdiff1d(np.arange(len(new)), sure)], sample_weight=weights, **kept)
    found.n_pseudo_ = len(said)  # type: ignore[attr-defined]
    _say(model, f"Accuracy on the same {aside.sum():,} texts kept aside: {first.accuracy_:.3f} before, "
                f"{found.accuracy_:.3f} with pseudo-labels.")
    return found


def _say(model: ULMFiT, text: str) -> None:
    if model.verbose:
        say(text)
