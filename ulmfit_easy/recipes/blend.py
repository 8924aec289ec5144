"""Mix a trained model with linear models that learn in seconds, so that it is not worse than the best of them.

The weights of the mixture are found on texts that no member has learned from. All of it is one file of numbers: it
holds no word of a user's texts.
"""

from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ulmfit_easy.bundle.artefact import load_weights, write_weights
from ulmfit_easy.bundle.parts import refusing
from ulmfit_easy.errors import FileError, some
from ulmfit_easy.recipes.members import FEW, KINDS, MOST_ROWS, Member, kinds_for
from ulmfit_easy.reprs import described
from ulmfit_easy.schema import language, share, text

TOLD = {"model": "this model", "words": "TF-IDF of words", "characters": "TF-IDF of characters",
        "character_bigrams": "TF-IDF of single characters and pairs", "jamo": "TF-IDF of jamo",
        "vectors": "mean word vectors", "states": "mean states of the bundled model"}
BLEND = "blend.safetensors"  # its file in the folder of an estimator

PRIOR = 5.0  # texts that the prior of the weights counts for (docs/LOG.md, 25 and 64)
LEAST = 1e-3  # probability: one text on which a member is sure and wrong does not rule it out
PIECE = 10_000  # texts whose vectors and states are in memory at once
N_STEPS = 200
N_FOLDS = 5


class Blend:
    """A mixture of a model's probabilities with those of linear members.

    Args:
        members: linear classifiers.
        weights: of the model itself, and of each member. They add up to 1.
        n_classes: C.
    """

    def __init__(self, members: Sequence[Member], weights: Sequence[float] | np.ndarray, n_classes: int):
        self.members, self.weights, self.n_classes = list(members), np.asarray(weights), n_classes

    def __repr__(self) -> str:
        return described(self, *(f"{name} {part:.2f}" for name, part in self.shares.items()))

    @property
    def shares(self) -> dict[str, float]:
        """The weights by name, that of the model itself first."""
        return dict(zip(["model", *(member.kind for member in self.members)], self.weights.tolist(), strict=True))

    @classmethod
    def learned(cls, texts: Sequence[str], labels: np.ndarray, aside: np.ndarray, own: np.ndarray, *, lang: str = "en",
                class_weight: dict | str = "balanced", relearn: bool = True, weights: np.ndarray | None = None,
                n: int | None = None, states: bool = True) -> tuple["Blend", np.ndarray]:
        """Return a mixture, and its probabilities (A, C) of the texts aside, to judge it by.

        The weights are found on the texts aside, by members that have learned from the same texts as the model. Those
        members also judge: each fifth of the texts aside gets weights that are found on the other four fifths. With
        fewer than `FEW` texts these few decide little. So the members are first cross-validated on the others, and the
        texts aside change what that says: see `prior_weights`. Without texts aside nothing changes it.

        Args:
            labels: (N,) int, the number of each text's class.
            aside: (N,) bool, true for the A texts that the model has not learned from.
            own: (A, C) the model's probabilities of the classes for these.
            lang, class_weight: see `Member`.
            weights: (N,) how much each text counts when the members learn.
            relearn: let the members learn from the texts aside too, once the weights are found.
            n: how many labelled texts there are, if not as many as `texts`. It decides if they are few.
            states: with few texts, let a member read states of the bundled language model.
        """
        members, probs, right, n_classes = list[Member](), [own], list[float](), own.shape[1]
        n, weights = len(texts) if n is None else n, np.ones(len(texts)) if weights is None else weights
        used, seen = weights > 0, (weights > 0) & ~aside  # (N,)
        folds = folds_of(list(compress(texts, seen)), labels[seen])
        for kind in kinds_for(lang, n, states):
            member = Member(kind, lang, class_weight, by_products=n <= MOST_ROWS)
            x = member.read(texts)
            known = x[seen], labels[seen], weights[seen]
            share_right = _cross_validated(member, *known, folds) if n < FEW else 0.0
            learns = member.fit(*known)
            del known  # with many texts it is large
            if learns:
                right.append(share_right)
                probs.append(member.probs(x[aside], n_classes))
                if relearn:
                    member.fit(*(all_of if used.all() else all_of[used] for all_of in (x, labels, weights)))
                members.append(member)
        truth, said, mixed = labels[aside], np.array(probs), np.empty_like(own)  # (A,), (M, A, C), (A, C)
        of_truth, prior = said[:, np.arange(len(truth)), truth], prior_weights(right, len(folds))  # (M, A), (M,)
        for k in range(N_FOLDS):
            fold = np.arange(len(truth)) % N_FOLDS == k
            mixed[fold] = np.tensordot(mixing_weights(of_truth[:, ~fold], prior), said[:, fold], 1)
        return cls(members, mixing_weights(of_truth, prior), n_classes), mixed

    def mixed(self, own: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """Return the mixture's probabilities for N texts, (N, C), given the model's own."""
        found = np.empty_like(own)
        for at in range(0, len(texts), PIECE):
            part = slice(at, at + PIECE)
            probs = [own[part], *(m.probs(m.read(texts[part]), self.n_classes) for m in self.members)]
            found[part] = np.tensordot(self.weights, np.array(probs), 1)
        return found

    @property
    def told(self) -> str:
        """The weights in words."""
        return ", ".join(f"{TOLD[name]} {part:.2f}" for name, part in self.shares.items())

    def save(self, path: Path) -> str:
        """Write the mixture as one safetensors file, and return the SHA-256 of its content."""
        tensors = {f"{member.kind}.{name}": t for member in self.members for name, t in member.tensors().items()}
        lang = next((member.lang for member in self.members), "en")
        lm = next((member.lm for member in self.members if member.lm), None)
        return write_weights(path, tensors, {"shares": self.shares, "lang": lang, "lm": lm})

    @classmethod
    def load(cls, path: Path, n_classes: int, sha256: str) -> "Blend":
        """Read what `save` wrote with that hash. Raises: FileError E401, E402, E404 or E406 for any other file."""
        tensors, said = load_weights(path)
        if said["sha256"] != sha256:
            raise FileError("E402", received=f"{path} of another estimator", expected="the one it was saved with",
                            fix="keep the folder as ULMFiT.save wrote it")
        with refusing(path):
            lang, (_, *kinds) = language(said["lang"]), said["shares"]
            weights = [share(value) for value in said["shares"].values()]
            if not set(kinds) <= set(KINDS) or abs(sum(weights) - 1) > 1e-6:
                raise ValueError(f"members {some(kinds)} with the weights {weights}")
            members = [Member.of_tensors(kind, lang, {name.partition(".")[2]: t for name, t in tensors.items()
                                                      if name.startswith(f"{kind}.")}, n_classes) for kind in kinds]
            for member in members:
                member.lm = text(said["lm"]) if member.kind == "states" else None
        for member in members:
            member.check_installed()
        return cls(members, weights, n_classes)


def prior_weights(right: Sequence[float], n: int) -> np.ndarray:
    """Return the weights of a mixture before any text aside has been read, (M,): of the model, and of M - 1 members.

    The model weighs 1 / M. Of two members the one that is right more often, by two standard errors, weighs e times as
    much as the other.

    Args:
        right: (M - 1,) the share of the texts whose class each member said in cross-validation.
        n: how many texts were cross-validated. The standard error of a share is 0.5 / sqrt(n) at most.
    """
    odds = np.exp((np.array(right) - max(right, default=0.0)) * np.sqrt(n))
    return np.array([1, *(len(odds) * odds / odds.sum())]) / (1 + len(odds))


def mixing_weights(probs: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return the weights of M members in a mixture of their probabilities, (M,), which add up to 1.

    They are the most probable ones under a Dirichlet prior that counts for `PRIOR` texts. So few texts leave the
    weights near the prior's. The algorithm is expectation-maximisation (Dempster, Laird & Rubin 1977).

    Args:
        probs: (M, N) the probability that each member gives to the label of each of N texts.
        prior: (M,) the weights of the prior, which add up to 1.
    """
    probs, weights = probs.clip(LEAST), prior
    for _ in range(N_STEPS):
        shares = weights[:, None] * probs
        shares /= shares.sum(0)  # (M, N)
        weights = (shares.sum(1) + PRIOR * prior) / (probs.shape[1] + PRIOR)
    return weights


def folds_of(texts: Sequence[str], labels: np.ndarray) -> np.ndarray:
    """Return the fold of each of N texts, (N,) int from 0 to `N_FOLDS` - 1.

    Each class is spread over the folds. Copies of a text are in the same one. (StratifiedGroupKFold of scikit-learn
    refuses labels if each class has fewer texts than there are folds.)
    """
    groups = pd.factorize(pd.Series(texts, dtype=object))[0]
    first = np.unique(groups, return_index=True)[1]  # where each text stands first
    folds = np.empty(len(first), int)
    folds[labels[first].argsort(kind="stable")] = np.arange(len(first)) % N_FOLDS
    return folds[groups]


def _cross_validated(member: Member, x: Any, labels: np.ndarray, weights: np.ndarray, folds: np.ndarray) -> float:
    """Return the share of N texts whose class a member says when it has learned from the other folds only."""
    right = np.zeros(len(labels), bool)
    for k in range(N_FOLDS):
        rest = folds != k
        if member.fit(x[rest], labels[rest], weights[rest]):
            right[~rest] = member.probs(x[~rest], labels.max() + 1).argmax(1) == labels[~rest]
    return right.mean()
