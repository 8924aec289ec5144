"""The bar that every classifier here has to clear: word counts and logistic regression."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ulmfit_easy.recipes.inputs import texts_of

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def baseline(texts: Iterable, labels: Iterable) -> "Pipeline":
    """TF-IDF over words and pairs of words with logistic regression, fitted: a scikit-learn pipeline.

    On long reviews it is hard to beat with few labels, and it takes a second. Every table of this library shows it.

    Args:
        texts: N strings, as for `ULMFiT.fit`.
        labels: N class labels.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts = texts_of(texts)
    min_df = 1 if len(texts) < 2000 else 2  # with few texts, a word seen once is all there is
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=min_df)
    return make_pipeline(words, LogisticRegression(C=10, max_iter=1000)).fit(texts, list(labels))
