"""`TextFeatures`: the states of a pretrained encoder as a step of a scikit-learn pipeline."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.prepare import Preparation, given_tokenizer
from ulmfit_easy.data.targets import CategoryTarget
from ulmfit_easy.learner.features import SETTINGS
from ulmfit_easy.learner.predictor import Predictor
from ulmfit_easy.learner.pretrained import PretrainedLM, read_model
from ulmfit_easy.learner.text import text_classifier_learner
from ulmfit_easy.learner.text_learner import TextLearner
from ulmfit_easy.recipes.params import Params
from ulmfit_easy.reprs import with_settings
from ulmfit_easy.schema import checked

__all__ = ["TextFeatures"]


class TextFeatures(Params):
    """A scikit-learn transformer from texts to numbers (N, d): the states of a pretrained model. Nothing is trained.

    Args:
        model: a learner, a `Predictor`, or the folder of an exported one. Or what `read_lm` reads: the folder of a
            transformer, a GGUF file, or a name such as "en", "e5", "minilm" and "smollm2".
        layers, pool: as for `features`.

    Attributes:
        model_: the learner or the predictor that reads texts, after `fit`.
        n_features_out_: d, how many numbers a text has.

    Example:
        >>> model = make_pipeline(TextFeatures("en", layers=[1, 2]), LogisticRegression())  # doctest: +SKIP
        >>> model.fit(texts, labels).predict(["a film to see twice"])  # doctest: +SKIP
    """

    model_: TextLearner | Predictor
    n_features_out_: int

    def __init__(self, model: str | Path | PretrainedLM | TextLearner | Predictor, *, layers: int | Sequence[int] = -1,
                 pool: str = "mean"):
        self.model, self.layers, self.pool = model, layers, pool

    def fit(self, texts: Iterable = (), labels: Iterable | None = None) -> Self:
        """Read the model. Texts and labels are not used.

        Raises: what `read_lm` and `features` raise.
        """
        checked(SETTINGS, layers=self.layers, pool=self.pool)
        self.model_ = self.model if isinstance(self.model, TextLearner | Predictor) else _reading(self.model)
        self.n_features_out_ = self.transform(["a"]).shape[1]
        return self

    def transform(self, texts: Iterable) -> np.ndarray:
        """Return the features (N, d) of N texts. Calling `fit` first is not needed."""
        if not self.__sklearn_is_fitted__():
            self.fit()
        return self.model_.features(texts, self.layers, self.pool)

    def fit_transform(self, texts: Iterable, labels: Iterable | None = None) -> np.ndarray:
        """Return the features of texts, after `fit`."""
        return self.fit().transform(texts)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Return a name for each of the d numbers, as scikit-learn's transformers do."""
        if not self.__sklearn_is_fitted__():
            self.fit()
        return np.array([f"textfeatures{i}" for i in range(self.n_features_out_)], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_clone__(self) -> "TextFeatures":
        return TextFeatures(**self.get_params())  # a learner is shared, not copied: nothing here changes it

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False), classifier_tags=None,
                    regressor_tags=None, transformer_tags=TransformerTags(preserves_dtype=[]), requires_fit=False,
                    input_tags=InputTags(two_d_array=False, string=True))

    def __repr__(self) -> str:
        return with_settings(self)


def _reading(source: str | Path | PretrainedLM) -> TextLearner:
    """Return a learner with the encoder of a model, to read texts with. Its head is not used."""
    found = read_model(source)
    tokenizer = given_tokenizer(found.data.get("tokenizer") or {}, None, fix="pass a learner, made with the tokenizer "
                                "of that model")
    target = CategoryTarget.learned(["a", "b"])
    prepare = Preparation(tokenizer.with_vocab(found.vocab), target, backwards=bool(found.data.get("backwards")))
    return text_classifier_learner(DataLoaders([], [], prepare=prepare), found.arch, pretrained=found, verbose=False)
