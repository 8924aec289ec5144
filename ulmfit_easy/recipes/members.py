"""The linear classifiers that are mixed with a model. They learn in seconds.

They are logistic regressions on TF-IDF of words and of characters (see `counts`), and on a mean of word vectors. With
few texts there is one more, on the mean states of the bundled language model, which no training has changed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.bundle.shipped import shipped_vectors
from ulmfit_easy.errors import FileError
from ulmfit_easy.recipes.bundled import BundledLM, bundled_lm, loaded_lm
from ulmfit_easy.recipes.counts import COUNTS, counts_for
from ulmfit_easy.text.rules import without_lone_surrogates
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vectors import WordVectors

STRENGTH = {**dict.fromkeys(COUNTS, 10.0), "vectors": 0.01, "states": 0.01}  # scikit-learn's C of each kind of member
KINDS = tuple(STRENGTH)

N_FEATURES = 2**20  # counts are hashed into so many columns
FEW = 300  # labelled texts from which on states and cross-validation no longer help (docs/LOG.md, 61 and 64)
MOST_ROWS = 1000  # texts up to which learning by their products is faster (docs/LOG.md, 64)
RARE = 2000  # texts from which on a word or some letters seen in one text alone are left out, as in `baseline`
FIRST_RANK = 10  # of the most frequent word: log(1) would be 0
TINY = 1e-9  # added to the product of a row with itself, which is 1
VECTORS = dict[str, WordVectors]()  # of languages, read before


class Member:
    """A linear classifier: logistic regression on counts, on mean word vectors or on mean states.

    Args:
        kind: one of `COUNTS`, "vectors" or "states".
        lang: the language of the vectors and of the states.
        class_weight: as of scikit-learn, by the numbers of the classes. Unless each class counts alike, linear models
            miss the rare ones (docs/LOG.md, 25).
        by_products: the texts are few enough to learn three classes or more by the products of their counts.
    """

    def __init__(self, kind: str, lang: str = "en", class_weight: dict | str = "balanced", by_products: bool = True):
        from sklearn.feature_extraction.text import TfidfTransformer
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        self.kind, self.lang, self.by_products = kind, lang, by_products
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

        vectorizer = HashingVectorizer(n_features=N_FEATURES, norm=None, alternate_sign=False, **COUNTS[self.kind])
        return vectorizer.transform(map(without_lone_surrogates, texts))

    def bundled(self) -> BundledLM:
        """Return the language model that reads for this member. Raises: FileError E404 if it is not installed."""
        found = loaded_lm(self.lm) or bundled_lm(self.lang)
        if found is None or self.lm not in (None, found.sha256):
            raise _missing("language model", self.lang)
        self.lm = found.sha256
        return found

    def check_installed(self) -> None:
        """Raise FileError E404 unless the word vectors, or the language model, that this member reads are installed."""
        if self.kind == "states":
            self.bundled()
        if self.kind == "vectors":
            vectors = vectors_of(self.lang)
            if vectors is None or vectors.vectors.shape[1] != self.scaled.n_features_in_:
                raise _missing("word vectors", self.lang)

    def fit(self, x: Any, labels: np.ndarray, weights: np.ndarray | None = None) -> bool:
        """Learn from N texts as `read` gives them, and their classes (N,) int. Return False without anything to learn.

        `weights` (N,) tell how much each text counts.
        """
        if self.kind in COUNTS:
            in_texts = np.bincount(x.indices, minlength=N_FEATURES)  # in how many texts each column is
            self.columns = np.flatnonzero(in_texts >= (1 if x.shape[0] < RARE else 2))
            x = x[:, self.columns]
        n_classes = len(np.unique(labels))
        if x.shape[1] == 0 or n_classes < 2:
            return False
        x = self.scaled.fit_transform(x)
        if self.kind in COUNTS and self.by_products and n_classes > 2:  # with two, a plain fit is as fast
            _fit_by_products(self.linear, x, labels, weights)
        else:
            self.linear.fit(x, labels, weights)
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


def kinds_for(lang: str, n: int, states: bool = True) -> list[str]:
    """Return the kinds of members for `n` texts of a language. Without `states` no language model is read."""
    given = {"vectors": vectors_of(lang) is not None, "states": states and n < FEW and bundled_lm(lang) is not None}
    return [*counts_for(lang), *(kind for kind, is_there in given.items() if is_there)]


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


def _fit_by_products(linear: Any, x: Any, labels: np.ndarray, weights: np.ndarray | None) -> None:
    """Fit a logistic regression on a sparse matrix (N, F) by the products of its rows. N is less than F as a rule.

    The rows of the Cholesky factor L (N, N) of x @ x.T have the same products with each other as those of x. For
    coefficients v of L there are coefficients x.T @ inv(L.T) @ v of x that answer alike and have the same norm. So the
    best of L give the best of x. With 20 classes and 900 texts this takes a tenth of the time (docs/LOG.md, 64).
    """
    from scipy.linalg import solve_triangular

    products = (x @ x.T).toarray()
    products[np.diag_indices_from(products)] += TINY  # for copies of a text, and for texts without words
    factor = np.linalg.cholesky(products)
    linear.fit(factor, labels, weights)
    linear.coef_ = (x.T @ solve_triangular(factor.T, linear.coef_.T)).T
    linear.n_features_in_ = x.shape[1]
