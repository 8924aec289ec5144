"""Compare new texts with those of the training: unknown words, and how sure the model is."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ulmfit_easy.errors import TextError, TrainingError, counted, some
from ulmfit_easy.learner.text_learner import TextLearner
from ulmfit_easy.recipes.ensemble import ensemble
from ulmfit_easy.text.given import several_texts
from ulmfit_easy.text.store import IdStore

__all__ = ["Drift", "drift", "keep_reference"]

BINS = 10
SOME, MUCH = 0.1, 0.25  # of the index, the usual marks (Siddiqi 2006, section "Scorecard stability")
NEW_WORDS = 0.02  # more unknown tokens than at training: from here on they are named


@dataclass(frozen=True, repr=False)
class Drift:
    """The result of `drift`. Print it to see what its figures mean.

    Attributes:
        psi: the population stability index of the scores: 0 if new and old texts have the same histogram. A score is
            the probability of the likeliest class, or the number that a regression predicts.
        class_psi: the same index for the predicted classes. None for a regression.
        chance: without any drift, `psi` is below this number 95 times in 100. It is large for few texts.
        unknown, unknown_before: the share of tokens that are not in the vocabulary, now and in training.
        new_words: the most frequent of these tokens with their counts, 20 at most.
        counts, counts_before: the number of texts in each bin of the histogram, now and in training.
    """

    psi: float
    class_psi: float | None
    chance: float
    unknown: float
    unknown_before: float
    new_words: dict[str, int]
    counts: list[int]
    counts_before: list[int]

    @property
    def drifted(self) -> bool:
        """True if scores or classes have moved much and more than by chance, or if many more tokens are unknown."""
        worst = max(self.psi, self.class_psi or 0)
        return worst > max(MUCH, self.chance) or self.unknown - self.unknown_before > NEW_WORDS

    def __repr__(self) -> str:
        moved = ("no more than by chance" if self.psi <= max(SOME, self.chance) else
                 "somewhat" if self.psi <= MUCH else "much")
        lines = [f"Scores of {counted(sum(self.counts), 'text')} have moved {moved}: index {self.psi:.3f} against "
                 f"{counted(sum(self.counts_before), 'text')} of the training (chance alone gives up to "
                 f"{self.chance:.3f})."]
        if self.class_psi is not None:
            lines.append(f"Shares of the predicted classes: index {self.class_psi:.3f}.")
        more = self.unknown - self.unknown_before
        lines.append(f"Unknown tokens: {self.unknown:.1%}, {self.unknown_before:.1%} at training"
                     + (f". New words: {some(self.new_words)}." if more > NEW_WORDS else "."))
        lines.append("Label some of these texts, see how often the model is right, and train again with them."
                     if self.drifted else "Nothing here asks for a new model.")
        return "\n".join(lines)


def drift(model: Any, texts: Iterable) -> Drift:
    """Compare new texts with those that a model was validated with: have they changed? Return a `Drift`.

    A `ULMFiT` keeps a histogram of its validation texts for this, and saves it in its folder. A learner needs its
    validation texts. Or call `keep_reference` before `export`, and load it later without any texts.

    Args:
        model: a fitted `ULMFiT`, or a learner of a classifier or regression.
        texts: what `predict` takes. A table needs the text columns of the model. Give 200 texts or more.

    Raises: TrainingError E506 if the model has neither validation texts nor their histogram. TextError E101, E102 or
        E104 for the texts.

    Source: the population stability index is the symmetric divergence of Jeffreys 1946. Its size by chance is about
        (1/n + 1/m) times chi-square with one degree less than there are bins (Yurdakul & Naranjo 2020).
    """
    from scipy.stats import chi2

    learners = _learners(model)
    before = learners[0].reference or _of_validation(learners)
    probs, words, n_tokens = _asked(learners, texts)
    counts, classes = _counts(_scores(learners[0], probs), before["edges"]), _classes(learners[0], probs)
    by_chance = (1 / len(probs) + 1 / sum(before["counts"])) * chi2.ppf(0.95, max(1, len(counts) - 1))
    return Drift(psi=stability_index(before["counts"], counts), chance=float(by_chance),
                 class_psi=stability_index(before["classes"], classes) if classes else None,
                 unknown=words.total() / max(1, n_tokens), unknown_before=before["unknown"],
                 new_words=dict(words.most_common(20)), counts=counts, counts_before=before["counts"])


def keep_reference(model: Any, texts: Iterable | None = None) -> None:
    """Keep a histogram of scores with a model, so that `drift` can compare new texts later.

    `export` and `save` write it.

    The next fit of the learner deletes it, because the weights change.

    Args:
        model: a fitted `ULMFiT`, or a learner of a classifier or regression.
        texts: texts that the model has not learned from. By default those that the learner was validated with.

    Raises: TrainingError E506 for a model without validation texts.
    """
    learners = _learners(model)
    if texts is not None:
        probs, words, n = _asked(learners, texts)
        learners[0].reference = reference_of(learners[0], probs, words.total() / max(1, n))
    else:
        learners[0].reference = _of_validation(learners)


def _of_validation(learners: Sequence[TextLearner]) -> dict[str, Any]:
    """Return `reference_of` the texts that a learner was validated with. Raises: E506 without them."""
    if len(learners) > 1 or not len(getattr(learners[0].dls.valid, "rows", ())):
        raise TrainingError("E506", received="a model without its validation texts, or their scores",
                            expected="texts to compare with", fix="call keep_reference(model, texts) with texts that "
                            "it has not learned from")
    return reference_of(learners[0], learners[0].get_preds()[0].double().numpy())


def reference_of(learn: TextLearner, probs: np.ndarray, unknown: float | None = None) -> dict[str, Any]:
    """Return what `drift` needs to know of texts: plain values, a histogram of ten bins and three more.

    Args:
        learn: the learner that keeps it.
        probs: (N, C) what the model says of the texts.
        unknown: share of unknown tokens in them. By default that of the learner's validation texts.
    """
    if unknown is None:
        ids = getattr(learn.dls.valid, "ids", None)
        unknown = ids.unk_rate(learn.dls.valid.rows) if isinstance(ids, IdStore) else 0.0
    scores = _scores(learn, probs)
    edges = np.unique(np.quantile(scores, np.arange(1, BINS) / BINS)).tolist()
    return {"edges": edges, "counts": _counts(scores, edges), "classes": _classes(learn, probs), "unknown": unknown}


def stability_index(before: Sequence[int], now: Sequence[int]) -> float:
    """Return the population stability index of two histograms. Half a text is added to each bin, so none is empty."""
    p, q = (np.asarray(counts, dtype=float) + 0.5 for counts in (before, now))
    p, q = p / p.sum(), q / q.sum()
    return float(((p - q) * np.log(p / q)).sum())


def _learners(model: Any) -> list[TextLearner]:
    """Return the learners of an estimator, or of a learner itself."""
    if hasattr(model, "check_fitted"):
        model.check_fitted()
    learners = getattr(model, "learners_", [model])
    if not isinstance(learners[0], TextLearner):
        raise TrainingError("E506", received=type(model).__name__, expected="a fitted ULMFiT, or a learner",
                            fix="pass what ULMFiT.load or load_learner gave")
    return learners


def _asked(learners: Sequence[TextLearner], given: Iterable) -> tuple[np.ndarray, Counter, int]:
    """Return what the learners say of texts, (N, C), their unknown tokens, and the number of all tokens."""
    first = learners[0].predictor
    texts = list(several_texts(given, first.prepare.text_cols))
    if not texts:
        raise TextError("E104", received="no texts", expected="one text or more", fix="give texts")
    probs, words, n = ensemble(learners, texts, warn=False).double().numpy(), Counter[str](), 0
    for tokens, _ in first.prepare.tokenizer.pipe(texts):
        n += len(tokens)
        words.update(token for token in tokens if token not in first.vocab.stoi)
    return probs, words, n


def _scores(learn: TextLearner, probs: np.ndarray) -> np.ndarray:
    """Return the probability of the likeliest class, (N,), or the first number that a regression predicts."""
    return probs.max(1) if learn.dls.target.has_classes else probs.reshape(len(probs), -1)[:, 0]


def _counts(scores: np.ndarray, edges: Sequence[float]) -> list[int]:
    return np.bincount(np.searchsorted(edges, scores, side="right"), minlength=len(edges) + 1).tolist()


def _classes(learn: TextLearner, probs: np.ndarray) -> list[int]:
    """Return how often each class is the likeliest. A regression has no counts."""
    if not learn.dls.target.has_classes:
        return []
    return np.bincount(probs.argmax(1), minlength=probs.shape[1]).tolist()
