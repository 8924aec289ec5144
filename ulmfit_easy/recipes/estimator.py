"""`ULMFiT` and `ULMFiTRegressor`: all three stages behind scikit-learn's `fit` and `predict`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ulmfit_easy.data.balance import given_weights
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.recipes.base import TextEstimator
from ulmfit_easy.recipes.kinds import Kind, Numbers, kind_of_labels
from ulmfit_easy.recipes.labelled import Labelled
from ulmfit_easy.recipes.params import own_words
from ulmfit_easy.recipes.presets import Preset
from ulmfit_easy.schema import one_of, optional


class ULMFiT(TextEstimator):
    """A text classifier with the interface of scikit-learn, which first learns the language of your texts.

    `fit` takes texts and labels, one class for each text. If a text may have several classes, give a list or a set of
    classes for each text. Or give an array or table of zeros and ones with a column for each class. `predict` answers
    in the same form.

    Args:
        preset: a set of rates and epochs: "laptop", "fastai", "paper", "code_2018", "transformer", "decoder", or a
            `Preset`. None takes that of the encoder: "transformer" for models like BERT, "decoder" for models like
            GPT, else "laptop".
        pretrained: True starts from the bundled language model, if there is one for `lang`. A folder is an exported
            one. With `bidir` give two of them, (forwards, backwards). False learns the language from your texts alone.
        backwards: read texts from their end.
        bidir: train a forward and a backward model and average their probabilities. This takes twice the time.
        lang: spaCy's code of the language, for its tokenizer and for what linear models count.
        class_weight: "balanced" gives each class the same weight in training, however rare it is. A dict gives the
            weight of each class. None, the default, gives each text the same weight.
        valid_pct: the share of the labelled texts to keep aside, to measure the model and the baseline. It is not used
            if you give `X_val` to `fit`. With 0 all texts are for training, and nothing is measured.
        seed: a whole number. The same seed, data and machine give the same model.
        encoder: another model in place of the AWD-LSTM. "e5", "minilm" and "smollm2" come in packages (docs/TASKS.md).
            Or name a folder that `transformers` saved, or a `.gguf` file. Stage 2 then runs only if you give unlabelled
            texts, and if the file has a language model. Or a class such as `ELMo` or `AWD_QRNN`, or its name. `ELMo`
            starts from the two models that come with the library, without stage 2.
        blend: "auto" mixes the probabilities with those of linear models, if each text has one class. They learn from
            word counts, letter counts and word vectors. In Korean they count syllables and their letters (jamo), and
            in Chinese, Japanese and Thai characters. With fewer than 300 texts one more learns from the states of the
            bundled language model, unless `pretrained=False`. Cross-validation then helps to weigh them all. With few
            labels this gives some points of accuracy (docs/LOG.md, 25, 61, 64 and 66). None uses the model alone.
        epochs: passes over the data in which all layers of the classifier train. None is the preset's.
        lr: the highest rate of these passes. The rates of earlier phases change by the same factor. None is the
            preset's.
        bs: texts per batch of the classifier, and the most rows per batch of the language model. None is the preset's.
        min_freq: how often a word must occur to be in the vocabulary. None is the preset's.
        patience: stop early: end a phase of stage 3 when the validation loss has not improved for this number of
            epochs. The next phase starts from its best epoch. The scores are then a little too good, because the same
            texts have chosen the epoch. None runs all epochs.
        text_col: the columns of a table with texts, one or several. None is the column `text`, or else all columns.
        subword: read pieces of words, which SentencePiece learns from your texts. This is for languages whose words
            have many forms. A number is the size of the vocabulary. The model then starts from random weights. For
            Korean leave it out: the bundled model reads pieces of its own.
        verbose: print the stages, the time they will take, the result, and warnings about the data.

    Attributes:
        classes_: the class names, sorted. For columns of zeros and ones, the names of the columns.
        accuracy_: the accuracy on the texts kept aside. If a text may have several classes, all must be right.
        macro_f1_: the mean of the F1 scores of the classes, on the same texts.
        accuracy_interval_: the 95 % Wilson interval of the accuracy, (low, high).
        baseline_accuracy_, baseline_macro_f1_: the scores of TF-IDF with logistic regression on the same texts. None
            if no text has a word to count.
        baseline_cv_accuracy_: the accuracy of TF-IDF in cross-validation on all labelled texts. None for 1,000 texts or
            more.
        p_value_: the p-value of McNemar's exact test of the two accuracies. If it is 0.05 or more, they differ by
            noise only.
        scores_: all of these as one named tuple. They are None if no texts were kept aside.
        n_texts_, n_aside_: the number of labelled texts for training, and the number kept aside.
        learners_: a list with the classifier's learner, or two of them with `bidir`.
        blend_: the mixture with linear models. Its `shares` are their weights. None without a mixture.

    Example:
        >>> model = ULMFiT(seed=0).fit(texts, labels, unlabelled=more_texts)  # doctest: +SKIP
        >>> model.predict(["a film to see twice"])  # doctest: +SKIP
        array(['pos'])
    """

    accuracy_: float | None
    baseline_accuracy_: float | None

    def __init__(self, *, preset: str | Preset | None = None, pretrained: bool | str | Path | Sequence | None = True,
                 backwards: bool = False, bidir: bool = False, lang: str = "en", class_weight: str | dict | None = None,
                 valid_pct: float = 0.1, seed: int | None = None, verbose: bool = True,
                 encoder: type[Encoder] | str | Path | None = None, blend: str | None = "auto",
                 epochs: int | None = None, lr: float | None = None, bs: int | None = None,
                 min_freq: int | None = None, patience: int | None = None,
                 text_col: str | int | Sequence | None = None, subword: bool | int = False):
        super().__init__(
            preset=preset, pretrained=pretrained, backwards=backwards, bidir=bidir, lang=lang, valid_pct=valid_pct,
            seed=seed, verbose=verbose, encoder=encoder, epochs=epochs, lr=lr, bs=bs, min_freq=min_freq,
            patience=patience, text_col=text_col, subword=subword)
        self.class_weight, self.blend = class_weight, blend

    FORMS = ("labels", "lists", "indicator")
    SETTINGS = {**TextEstimator.SETTINGS, "blend": optional(one_of(["auto"]))}

    def _kind_of(self, labels: Any) -> Kind | None:
        return kind_of_labels(labels)

    def _check_labels(self, rows: Labelled) -> None:
        if self.class_weight is not None:
            found = dict.fromkeys(rows.kind.named(rows.df["label"].tolist()))
            given_weights(self.class_weight, rows.kind.classes or list(found))

    @own_words
    def predict_proba(self, texts: Iterable) -> np.ndarray:
        """Return the probability of each class for each text, (N, C) float64, columns in the order of `classes_`.

        Rows add up to 1, unless a text may have several classes.
        """
        self.check_fitted()
        return self.probabilities(self._texts_of(texts))

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags

        tags = self._tags("classifier")
        tags.classifier_tags = ClassifierTags(multi_label=True)
        return tags


class ULMFiTRegressor(TextEstimator):
    """A regression of texts with the interface of scikit-learn, which first learns the language of your texts.

    `fit` takes texts and one number for each, or several numbers in the columns of an array or a table. Predictions are
    limited to the range of the labels, plus 5 % of that range on each side.

    Args: those of `ULMFiT`, without `class_weight` and `blend`.

    Attributes:
        r2_, mae_: R squared and the mean absolute error on the texts kept aside.
        baseline_r2_, baseline_mae_: those of TF-IDF with ridge regression on the same texts.
        scores_, n_texts_, n_aside_, learners_: as of `ULMFiT`.

    Example:
        >>> model = ULMFiTRegressor(seed=0).fit(texts, stars)  # doctest: +SKIP
        >>> model.predict(["a film to see twice"])  # doctest: +SKIP
        array([4.2])
    """

    FORMS = ("numbers",)
    r2_: float | None
    mae_: float | None
    baseline_r2_: float | None
    baseline_mae_: float | None

    def _kind_of(self, labels: Any) -> Kind | None:
        return Numbers()

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import RegressorTags

        tags = self._tags("regressor")
        tags.regressor_tags = RegressorTags()
        return tags
