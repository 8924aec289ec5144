"""Mix a trained model with linear models that learn in seconds, so that it is not worse than the best of them.

The members are logistic regressions on TF-IDF of words, on TF-IDF of characters, and on a mean of word vectors. With
few texts there is one more, on the mean states of the bundled language model, which no training has changed. The
weights of the mixture are found on texts that no member has learned from. All of it is one file of numbers: it holds
no word of a user's texts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.bundle.artefact import load_weights, write_weights
from ulmfit_easy.bundle.parts import refusing
from ulmfit_easy.bundle.shipped import shipped_vectors
from ulmfit_easy.errors import FileError, some
from ulmfit_easy.recipes.bundled import BundledLM, bundled_lm, loaded_lm
from ulmfit_easy.reprs import described
from ulmfit_easy.schema import language, share, text
from ulmfit_easy.text.rules import without_lone_surrogates
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vectors import WordVectors

STRENGTH = {"words": 10, "characters": 10, "vectors": 0.01, "states": 0.01}  # scikit-learn's C of each kind of member
KINDS = tuple(STRENGTH)
COUNTS = ("words", "characters")
TOLD = {"model": "this model", "words": "TF-IDF of words", "characters": "TF-IDF of characters",
        "vectors": "mean word vectors", "states": "mean states of the bundled model"}
BLEND = "blend.safetensors"  # its file in the folder of an estimator

N_FEATURES = 2**20  # counts are hashed into so many columns
FEW = 300  # with so many labelled texts or more, no member reads states: they no longer help (docs/LOG.md, 61)
RARE = 2000  # texts from which on a word or some letters seen in one text alone are left out, as in `baseline`
PRIOR = 5.0  # texts that the prior of the weights counts for (docs/LOG.md, 25)
LEAST = 1e-3  # probability: one text on which a member is sure and wrong does not rule it out
PIECE = 10_000  # texts whose vectors and states are in memory at once
N_STEPS = 200
N_FOLDS = 5
FIRST_RANK = 10  # of the most frequent word: log(1) would be 0
VECTORS = dict[str, WordVectors]()  # of languages, read before


class Member:
    """A linear classifier: logistic regression on counts, on mean word vectors or on mean states.

    Args:
        kind: "words", "characters", "vectors" or "states".
        lang: the language of the vectors and of the states.
        class_weight: as of scikit-learn, by the numbers of the classes. Unless each class counts alike, linear models
            miss the rare ones (docs/LOG.md, 25).
    """

    def __init__(self, kind: str, lang: str = "en", class_weight: dict | str = "balanced"):
        from sklearn.feature_extraction.text import TfidfTransformer
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        self.kind, self.lang = kind, lang
        self.scaled = TfidfTransformer(sublinear_tf=True) if kind in COUNTS else StandardScaler()
        self.linear = LogisticRegression(C=STRENGTH[kind], max_iter=1000, class_weight=class_weight)
        self.lm: str | None = None  # the hash of the language model whose states are read, once it is known
        self.columns: np.ndarray | None = None  # (F,) int64, those of the hashed counts that training has seen

    def read(self, texts: Sequence[str]) -> Any:
        """Return what a member knows of N texts before it learns: a matrix (N, columns)."""
        if self.kind == "vectors":
            return _mean_vectors(texts, self.lang)
        if self.kind == "states":
            return self.bundled().states(texts)
        from sklearn.feature_extraction.text import HashingVectorizer

        analyzer, ngram_range = {"words": ("word", (1, 2)), "characters": ("char_wb", (2, 5))}[self.kind]
        return HashingVectorizer(analyzer=analyzer, ngram_range=ngram_range, n_features=N_FEATURES, norm=None,
                                 alternate_sign=False).transform(map(without_lone_surrogates, texts))

    def bundled(self) -> BundledLM:
        """Return the language model that reads for this member. Raises: FileError E404 if it is not installed."""
        found = loaded_lm(self.lm) or bundled_lm(self.lang)
        if found is None or self.lm not in (None, found.sha256):
            raise _missing("language model", self.lang)
        self.lm = found.sha256
        return found

    def fit(self, x: Any, labels: np.ndarray, weights: np.ndarray | None = None) -> bool:
        """Learn from N texts as `read` gives them, and their classes (N,) int. Return False without anything to learn.

        `weights` (N,) tell how much each text counts.
        """
        if self.kind in COUNTS:
            in_texts = np.bincount(x.indices, minlength=N_FEATURES)  # in how many texts each column is
            self.columns = np.flatnonzero(in_texts >= (1 if x.shape[0] < RARE else 2))
            x = x[:, self.columns]
        if x.shape[1] == 0 or len(np.unique(labels)) < 2:
            return False
        self.linear.fit(self.scaled.fit_transform(x), labels, weights)
        for part, name in ((self.linear, "coef_"), (self.linear, "intercept_"), (self.scaled, "idf_"),
                           (self.scaled, "mean_"), (self.scaled, "scale_")):
            if hasattr(part, name):  # as they are saved
                setattr(part, name, getattr(part, name).astype(np.float32))
        return True

    def probs(self, x: Any, n_classes: int) -> np.ndarray:
        """Return the probability of each class for each text, (N, C), 0 for a class that training had not."""
        x = x if self.columns is None else x[:, self.columns]
        found = np.zeros((x.shape[0], n_classes))
        if len(found):
            found[:, self.linear.classes_] = self.linear.predict_proba(self.scaled.transform(x))
        return found

    def tensors(self) -> dict[str, Tensor]:
        """Return all that was learned, from which `of_tensors` makes the member again."""
        linear, scaled = self.linear, self.scaled
        found = {"coef": linear.coef_, "intercept": linear.intercept_}
        found |= ({"columns": self.columns, "scale": scaled.idf_} if self.columns is not None else
                  {"mean": scaled.mean_, "scale": scaled.scale_})
        return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in found.items()}

    @classmethod
    def of_tensors(cls, kind: str, lang: str, tensors: Mapping[str, Tensor], n_classes: int) -> "Member":
        """Return the member that `tensors()` described. Raises: ValueError for numbers that do not fit together."""
        own, found = cls(kind, lang), {name: t.numpy() for name, t in tensors.items()}
        coef, intercept, scale = found["coef"], found["intercept"], found["scale"]
        n_rows, n = (1 if n_classes == 2 else n_classes), len(scale)
        first = found["columns" if kind in COUNTS else "mean"]
        if (coef.shape, intercept.shape, scale.shape, first.shape) != ((n_rows, n), (n_rows,), (n,), (n,)):
            raise ValueError(f"coefficients {coef.shape} for {n} numbers and {n_classes} classes")
        if not all(np.isfinite(value).all() for value in found.values()):
            raise ValueError("numbers that are not finite")
        own.linear.coef_, own.linear.intercept_, own.linear.classes_ = coef, intercept, np.arange(n_classes)
        if kind not in COUNTS:
            own.scaled.mean_, own.scaled.scale_, own.scaled.n_features_in_ = first, scale, n
        else:
            own.columns, own.scaled.idf_ = first, scale
            if first.dtype != np.int64 or (np.diff(first, prepend=-1) <= 0).any() or first[-1] >= N_FEATURES:
                raise ValueError("columns that counts do not have")
        return own


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
                kinds: Sequence[str] | None = None) -> tuple["Blend", np.ndarray]:
        """Return a mixture, and its probabilities (A, C) of the texts aside, to judge it by.

        The weights are found on the texts aside, by members that have learned from the same texts as the model. Those
        members also judge: each fifth of the texts aside gets weights that are found on the other four fifths. The
        weights are equal if no text is aside.

        Args:
            labels: (N,) int, the number of each text's class.
            aside: (N,) bool, true for the A texts that the model has not learned from.
            own: (A, C) the model's probabilities of the classes for these.
            lang, class_weight: see `Member`.
            weights: (N,) how much each text counts when the members learn.
            relearn: let the members learn from the texts aside too, once the weights are found.
            kinds: of the members. None is `kinds_for` this number of texts.
        """
        members, probs, n_classes = list[Member](), [own], own.shape[1]
        for kind in kinds_for(lang, len(texts)) if kinds is None else kinds:
            member = Member(kind, lang, class_weight)
            x = member.read(texts)
            if member.fit(x[~aside], labels[~aside], None if weights is None else weights[~aside]):
                probs.append(member.probs(x[aside], n_classes))
                if relearn:
                    member.fit(x, labels, weights)
                members.append(member)
        truth, said, mixed = labels[aside], np.array(probs), np.empty_like(own)  # (A,), (M, A, C), (A, C)
        of_truth = said[:, np.arange(len(truth)), truth]  # (M, A)
        for k in range(N_FOLDS):
            fold = np.arange(len(truth)) % N_FOLDS == k
            mixed[fold] = np.tensordot(mixing_weights(of_truth[:, ~fold]), said[:, fold], 1)
        return cls(members, mixing_weights(of_truth), n_classes), mixed

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
                if member.kind == "states":
                    member.lm = text(said["lm"])
                    member.bundled()
        if "vectors" in kinds:
            vectors = vectors_of(lang)
            if vectors is None or vectors.vectors.shape[1] != len(tensors["vectors.mean"]):
                raise _missing("word vectors", lang)
        return cls(members, weights, n_classes)


def kinds_for(lang: str, n: int, states: bool = True) -> list[str]:
    """Return the kinds of members for `n` texts of a language. Without `states` no language model is read."""
    given = {"vectors": vectors_of(lang) is not None, "states": states and n < FEW and bundled_lm(lang) is not None}
    return [kind for kind in KINDS if given.get(kind, True)]


def _missing(what: str, lang: str) -> FileError:
    return FileError("E404", received=f"a mixture whose {what} of the language {lang!r} is not installed",
                     expected=f"the {what} that it was trained with", fix="train the model again, or install the "
                     "version of ulmfit_easy, or the wheel, that it was trained with")


def vectors_of(lang: str) -> WordVectors | None:
    """Return the installed word vectors of a language, or None. They stay in memory: to read them takes 50 ms."""
    if lang not in VECTORS and (found := shipped_vectors(lang)) is not None:  # a wheel may come later
        VECTORS[lang] = found
    return VECTORS.get(lang)


def _mean_vectors(texts: Sequence[str], lang: str) -> np.ndarray:
    """Return the weighted mean vector of the words of each text, (N, D), zeros for a text without a known word.

    The weight of a word is the logarithm of its rank by frequency. The most frequent word has rank `FIRST_RANK`. Rare
    words count for more: this is better on reviews and news, worse on questions (docs/LOG.md, 59).
    """
    vectors = vectors_of(lang)
    assert vectors is not None
    rows = np.asarray(vectors.vectors)  # (W, D)
    means = np.zeros((len(texts), rows.shape[1]), rows.dtype)
    for mean, found in zip(means, Tokenizer(lang=lang).pipe(list(texts)), strict=True):
        if at := [vectors.stoi[token] for token in found.tokens if token in vectors.stoi]:
            mean[:] = np.average(rows[at], axis=0, weights=np.log(FIRST_RANK + np.array(at)))
    return means


def mixing_weights(probs: np.ndarray) -> np.ndarray:
    """Return the weights of M members in a mixture of their probabilities, (M,), which add up to 1.

    They are the most probable ones under a Dirichlet prior that counts for `PRIOR` texts on which all members are
    equally good. So few texts leave the weights nearly equal. The algorithm is expectation-maximisation (Dempster,
    Laird & Rubin 1977).

    Args:
        probs: (M, N) the probability that each member gives to the label of each of N texts.
    """
    probs = probs.clip(LEAST)
    equal = np.full(len(probs), 1 / len(probs))
    weights = equal
    for _ in range(N_STEPS):
        shares = weights[:, None] * probs
        shares /= shares.sum(0)  # (M, N)
        weights = (shares.sum(1) + PRIOR * equal) / (probs.shape[1] + PRIOR)
    return weights
