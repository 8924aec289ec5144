"""Train several times with other seeds: how far a score spreads by chance alone."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.seeds import no_random
from ulmfit_easy.schema import function, list_of, optional, such, takes, whole
from ulmfit_easy.terminal import say

__all__ = ["repeat"]

OF_ESTIMATOR = ("accuracy", "macro_f1", "baseline_accuracy", "r2", "mae", "baseline_r2")


@takes({"train": function, "n": whole(2), "seeds": optional(such(
    list_of(whole(0, 2**32 - 1)), lambda seeds: len(set(seeds)) == len(seeds) > 1, "two seeds or more that differ"))})
def repeat(train: Callable[[int], Any], n: int = 5, *, seeds: Sequence[int] | None = None) -> pd.DataFrame:
    """Train `n` times with the seeds 0 to n - 1. Print each score, then their mean and standard deviation.

    Use it to compare two models: a difference below the standard deviation may be chance.

    Args:
        train: a function of a seed. It returns a fitted `ULMFiT`, a learner, a number, or a dict of numbers. All random
            numbers that it draws come from this seed.
        seeds: these seeds instead.

    Returns: a row for each seed with the scores and the seconds, then the rows `mean` and `std`. The scores of a
        `ULMFiT` are its accuracy, macro-F1 and the accuracy of the baseline on the texts kept aside, which the seed
        draws. Those of a learner are the losses and metrics of its last epoch.

    Raises: ArgumentError E602 if `train` returns anything else.

    Example:
        >>> repeat(lambda seed: ULMFiT(seed=seed).fit(texts, labels), n=5)  # doctest: +SKIP
    """
    rows = []
    for seed in range(n) if seeds is None else seeds:
        start = time.perf_counter()
        with no_random(seed, reproducible=False):
            scores = _scores(train(seed))
        rows.append({**scores, "seconds": round(time.perf_counter() - start, 1)})
        say(f"seed {seed}: " + ", ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    table = pd.DataFrame(rows, index=[str(seed) for seed in (range(n) if seeds is None else seeds)]).rename_axis("seed")
    found = pd.concat([table, table.agg(["mean", "std"])]).rename_axis("seed")
    said = (f"{name} {found.loc['mean', name]:.4f} ± {found.loc['std', name]:.4f}" for name in table.columns[:-1])
    say(f"{len(table)} seeds, mean ± standard deviation: {', '.join(said)}")
    return found


def _scores(answer: Any) -> dict[str, float]:
    """Return the scores of what a training function returned, by their names."""
    if hasattr(answer, "scores_"):
        named = {name: getattr(answer.scores_, name, None) for name in OF_ESTIMATOR}
        if answer.scores_ is None:
            raise ArgumentError("E602", received="train= that returned a model without texts kept aside",
                                expected="scores on such texts", fix="leave out valid_pct=0")
        return {name: float(value) for name, value in named.items() if value is not None}
    recorder: Any = getattr(answer, "recorder", None)
    if getattr(recorder, "values", None):
        return dict(zip(recorder.measures, map(float, recorder.values[-1]), strict=True))
    answer = answer if isinstance(answer, Mapping) else {"score": answer}
    try:
        return {str(name): float(value) for name, value in answer.items()}
    except (TypeError, ValueError):
        raise ArgumentError("E602", received=f"train= that returned {type(answer.get('score', answer)).__name__}",
                            expected="a fitted ULMFiT, a learner that was trained, a number, or a dict of numbers",
                            fix="let train return the model: repeat(lambda seed: ULMFiT(seed=seed).fit(texts, labels))"
                            ) from None
