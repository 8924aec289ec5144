"""The bar that every classifier here has to clear: TF-IDF and logistic regression."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ulmfit_easy.errors import LabelError
from ulmfit_easy.recipes.counts import COUNTS, counts_for
from ulmfit_easy.recipes.inputs import texts_of
from ulmfit_easy.schema import checked, language

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import Pipeline


def baseline(texts: Iterable, labels: Any, sample_weight: Sequence | np.ndarray | None = None,
             lang: str = "en") -> "Pipeline":
    """Fit TF-IDF of words and word pairs with logistic regression. Return the scikit-learn pipeline.

    It takes a second, and with few labels it is hard to beat on long reviews. Compare every model with it:
    `baseline(texts, labels).score(new_texts, new_labels)`.

    Args:
        texts: N strings, as for `ULMFiT.fit`.
        labels: N class labels. Or an array (N, C) of zeros and ones if a text may have several classes.
        sample_weight: (N,) the weight of each text. By default all have the same.
        lang: the code of a language. In Chinese, Japanese, Korean and Thai, characters and their pairs are counted.
    Raises: ArgumentError E602 for what is no code of a language.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline

    texts, lang = texts_of(texts), checked({"lang": language}, lang=lang)["lang"]
    labels = labels if hasattr(labels, "__len__") else list(labels)
    if len(labels) != len(texts):
        raise LabelError("E205", received=f"{len(texts):,} texts and {len(labels):,} labels",
                         expected="one label a text", fix="pass two lists of the same length")
    y = labels if getattr(labels, "ndim", 1) == 2 else list(labels)
    linear, name = LogisticRegression(C=10, max_iter=1000), "logisticregression"
    if isinstance(y, np.ndarray):
        linear, name = OneVsRestClassifier(linear), "onevsrestclassifier"
    weights = {} if sample_weight is None else {f"{name}__sample_weight": np.asarray(sample_weight, dtype=float)}
    return make_pipeline(tfidf(len(texts), lang), linear).fit(texts, y, **weights)


def tfidf(n: int, lang: str) -> "TfidfVectorizer":
    """Return the baseline's counts, for `n` texts of a language to learn from."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    min_df = 1 if n < 2000 else 2  # with few texts, a word seen once is all there is
    return TfidfVectorizer(sublinear_tf=True, min_df=min_df, **COUNTS[counts_for(lang)[0]])


def is_without_words(error: ValueError) -> bool:
    """Return True for scikit-learn's error about texts without a word to count, or with none that is there twice."""
    return "empty vocabulary" in str(error) or "no terms remain" in str(error)
