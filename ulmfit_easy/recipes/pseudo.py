"""Pseudo-labels: train again with the texts that a first model is sure of."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd

from ulmfit_easy.data.splits import DefaultSplitter, checked_split
from ulmfit_easy.errors import TrainingError, some
from ulmfit_easy.recipes import inputs
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.schema import share, takes
from ulmfit_easy.terminal import say

__all__ = ["pseudo_label"]


@takes({"threshold": share})
def pseudo_label(model: ULMFiT, texts: Iterable, labels: Iterable, unlabelled: Iterable, *,
                 threshold: float = 0.95) -> ULMFiT:
    """Fit a model, label the unlabelled texts of which it is sure, and fit again with these. Return the second model.

    Both fits keep the same labelled texts aside, and a line tells both accuracies. It may get worse: what the first
    model has wrong, the second learns. All pseudo-labelled texts together count as much as the labelled ones, at most.

    Args:
        model: a `ULMFiT`. Only its parameters count: copies of it are fitted.
        texts, labels, unlabelled: as for `ULMFiT.fit`, with one class for each text.
        threshold: the least probability of a pseudo-label. 0.95 is what FixMatch takes (Sohn et al. 2020).

    Returns: the second estimator, whose `n_pseudo_` is the number of pseudo-labelled texts. The first one, with 0, if
        it is not sure of any text.

    Raises: TrainingError E506 for another model. LabelError E207 for labels that are not one class for each text. What
        `ULMFiT.fit` raises.

    Source: Lee 2013, "Pseudo-Label".

    Example:
        >>> model = pseudo_label(ULMFiT(seed=0), texts, labels, more_texts, threshold=0.9)  # doctest: +SKIP
    """
    if not isinstance(model, ULMFiT):
        raise TrainingError("E506", received=f"{type(model).__name__} as a model", expected="a ULMFiT",
                            fix="pass ULMFiT() with the settings that you want")
    read = inputs.texts_of(texts)
    given = inputs.labels_of(labels, len(read))
    new = [text for text in dict.fromkeys(inputs.texts_of(unlabelled)) if text.strip() and text not in {*read}]
    train, aside = checked_split(DefaultSplitter(given, model.valid_pct or 0.1, model.seed, read), read)
    known = pd.DataFrame({"text": pd.Series(read, dtype=object), "label": pd.Series(given, dtype=object)})
    kept = {"X_val": known["text"][aside].tolist(), "y_val": known["label"][aside].tolist()}
    first = ULMFiT(**model.get_params()).fit(known["text"][train].tolist(), known["label"][train].tolist(), new, **kept)
    probs = first.predict_proba(new) if new else np.zeros((0, len(first.classes_)))  # (N, C)
    sure = np.flatnonzero(probs.max(1) >= threshold)
    said = first.classes_[probs[sure].argmax(1)].tolist()
    counts = some(f"{label} {n:,}" for label, n in Counter(said).most_common())
    _say(model, f"{len(sure):,} of {len(new):,} unlabelled texts have a class with a probability of {threshold:g} or "
                f"more{f': {counts}' if said else ''}.")
    first.n_pseudo_ = 0  # type: ignore[attr-defined]  # a fact of this recipe
    if not said:
        return first
    weights = [1.0] * len(train) + [min(1.0, len(train) / len(said))] * len(said)
    found = ULMFiT(**model.get_params()).fit(
        [*known["text"][train], *(new[i] for i in sure)], [*known["label"][train], *said],
        [new[i] for i in np.setdiff1d(np.arange(len(new)), sure)], sample_weight=weights, **kept)
    found.n_pseudo_ = len(said)  # type: ignore[attr-defined]
    _say(model, f"Accuracy on the same {len(aside):,} texts kept aside: {first.accuracy_:.3f} before, "
                f"{found.accuracy_:.3f} with pseudo-labels.")
    return found


def _say(model: ULMFiT, text: str) -> None:
    if model.verbose:
        say(text)
