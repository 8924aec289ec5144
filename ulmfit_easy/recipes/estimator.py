"""`ULMFiT`: all three stages behind scikit-learn's `fit` and `predict`."""

import copy
import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd

from ulmfit_easy._fastcore import listify
from ulmfit_easy.bundle.record import shown, way, write_record
from ulmfit_easy.cleanup import no_warnings
from ulmfit_easy.data.balance import given_weights
from ulmfit_easy.data.loaders import column_names
from ulmfit_easy.data.sources import accepted, find_columns
from ulmfit_easy.data.splits import ColSplitter
from ulmfit_easy.errors import ArgumentError, FileError, TextError, TrainingError, door
from ulmfit_easy.files import atomic_folder, write_json
from ulmfit_easy.learner.record import record_of
from ulmfit_easy.learner.seeds import no_random
from ulmfit_easy.learner.text import load_learner
from ulmfit_easy.learner.text_learner import TextLearner
from ulmfit_easy.learner.turns import turn_to_fit
from ulmfit_easy.learner.weights import weights_sha256
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.recipes import inputs, stages
from ulmfit_easy.recipes.blend import BLEND, Blend
from ulmfit_easy.recipes.compare import Scores, compare, in_sentences, verdict
from ulmfit_easy.recipes.ensemble import probabilities
from ulmfit_easy.recipes.labelled import Labelled, check_pair
from ulmfit_easy.recipes.params import Params
from ulmfit_easy.recipes.presets import Preset
from ulmfit_easy.recipes.saved import PARAMS, foreign_to_estimator, load_saved, sealed
from ulmfit_easy.recipes.starts import begin, directions
from ulmfit_easy.recipes.training import Training
from ulmfit_easy.reprs import described, slashed
from ulmfit_easy.schema import (
    MOST_ROWS,
    any_of,
    checked,
    flag,
    language,
    list_of,
    name,
    number,
    one_of,
    optional,
    positive,
    random_seed,
    whole,
)
from ulmfit_easy.terminal import say
from ulmfit_easy.user_code import interrupted

F = TypeVar("F", bound=Callable)


def _own_words(method: F) -> F:
    """Return a method whose errors name no argument that the estimator does not have."""
    @wraps(method)
    def call(self: "ULMFiT", *args: Any, **kwargs: Any) -> Any:
        with door((*self.get_params(), *inspect.signature(self.fit).parameters)):
            return method(self, *args, **kwargs)
    return cast(F, call)


class ULMFiT(Params):
    """A text classifier that first learns the language of your texts; a scikit-learn estimator.

    Args:
        preset: "laptop", "fastai", "paper", "code_2018", "transformer", or a `Preset`. None takes the encoder's own:
            "transformer" for transformers, else "laptop".
        pretrained: True starts from the language model that comes with the library, if there is one for `lang`; or
            the folder of an exported one, with `bidir` two of them, (forwards, backwards); False, as where there is
            none, learns the language from your own texts alone.
        backwards: read texts from their end.
        bidir: train a forward and a backward model and average their probabilities; twice the time.
        lang: spaCy's code of the language, for its tokenizer.
        class_weight: "balanced" lets each class count alike in training, however rare it is; a dict gives classes their
            weights; None lets each text count alike.
        valid_pct: fraction of the labelled texts that is kept aside to measure accuracy and compare with the baseline,
            unless you give texts of your own with `X_val`. 0 keeps none aside: nothing is measured then.
        seed: same seed, same data, same machine: same model.
        encoder: the encoder under the classifier. A pretrained one is "minilm" or "smollm2", if its package is
            installed, a folder that `transformers` saved, or a `.gguf` file. Stage 2 then runs only if you give
            unlabelled texts and it has a language model. A class, or its name, is for other encoders than an AWD-LSTM.
            `ELMo` starts from the two models that come with the library, and has no stage 2 then.
        blend: "auto" mixes the model with linear ones on word counts, letter counts and word vectors, see `Blend`. With
            few labels this is worth some points of accuracy (docs/LOG.md, 25). Once the scores are taken, the linear
            ones learn from the texts kept aside too. None answers by the model alone.
        epochs, lr, bs, min_freq: change the preset, see `Preset.tuned`: epochs in which all layers of the classifier
            train, their highest rate, rows per batch, and how often a word must be there. None is the preset's.
        patience: end stage 3 when the validation loss has not improved for so many epochs, and keep the best epoch. The
            scores are then a little too good, since these texts have chosen the epoch. None runs all epochs.
        text_col: the columns of a table with texts, one or several. None is the column `text`, or else all columns.
        verbose: print the stages, the time they will take, the result, and warnings about the data.

    Attributes:
        classes_: the class names, sorted.
        accuracy_, macro_f1_: on the texts kept aside.
        accuracy_interval_: the 95 % Wilson interval of the accuracy, (low, high).
        baseline_accuracy_, baseline_macro_f1_: of TF-IDF with logistic regression on the same texts; None if no text
            has a word to count.
        baseline_cv_accuracy_: its accuracy in cross-validation on all labelled texts; None for 1,000 or more.
        p_value_: of McNemar's exact test of the two accuracies; 0.05 or more is within noise.
        scores_: all of these as one named tuple.
        n_texts_, n_aside_: how many labelled texts it has learned from, and how many were kept aside.
        learners_: the classifier's learner, or two of them.
        blend_: the mixture of them and of linear models, whose `shares` are the weights; None without one.

    Example:
        >>> model = ULMFiT(seed=0).fit(texts, labels, unlabelled=more_texts)  # doctest: +SKIP
        >>> model.predict(["a film to see twice"])  # doctest: +SKIP
        array(['pos'])
    """

    classes_: np.ndarray
    learners_: list[TextLearner]
    blend_: Blend | None = None
    scores_: Scores | None
    n_texts_: int | None
    n_aside_: int | None
    accuracy_: float | None
    baseline_accuracy_: float | None

    def __init__(self, *, preset: str | Preset | None = None, pretrained: bool | str | Path | Sequence | None = True,
                 backwards: bool = False, bidir: bool = False, lang: str = "en", class_weight: str | dict | None = None,
                 valid_pct: float = 0.1, seed: int | None = None, verbose: bool = True,
                 encoder: type[Encoder] | str | Path | None = None, blend: str | None = "auto",
                 epochs: int | None = None, lr: float | None = None, bs: int | None = None,
                 min_freq: int | None = None, patience: int | None = None,
                 text_col: str | int | Sequence | None = None):
        self.preset, self.pretrained, self.backwards, self.bidir = preset, pretrained, backwards, bidir
        self.lang, self.class_weight, self.valid_pct, self.seed = lang, class_weight, valid_pct, seed
        self.verbose, self.encoder, self.blend = verbose, encoder, blend
        self.epochs, self.lr, self.bs, self.min_freq = epochs, lr, bs, min_freq
        self.patience, self.text_col = patience, text_col

    # scikit-learn wants arguments to be checked by `fit`, and kept as they are given
    SETTINGS = {"backwards": flag, "bidir": flag, "lang": language, "valid_pct": number(0, 1, without=[1]),
                "seed": random_seed, "verbose": flag, "blend": optional(one_of(["auto"])), "epochs": optional(whole()),
                "lr": optional(positive), "bs": optional(whole(1, MOST_ROWS)), "min_freq": optional(whole()),
                "patience": optional(whole()), "text_col": optional(any_of(name, list_of(name)))}

    @_own_words
    @interrupted("Stopped. The estimator is as it was before; nothing of this fit is kept.")
    def fit(self, texts: Iterable, labels: Iterable, unlabelled: Iterable | None = None, *,
            X_val: Iterable | None = None, y_val: Iterable | None = None) -> "ULMFiT":
        """Learn from N texts and their N labels, and from any number of texts without labels; returns the estimator.

        Texts come in a list, tuple, array, Series, Index or table. One string is refused, here and by `predict`, since
        scikit-learn counts rows: an answer is always an array of them. Pairs, or more texts that belong together, are
        several columns of a table, such as `df[["question", "answer"]]`, or tuples of strings.

        Rows whose text is empty or blank are left out, and the first line printed names them. Copies of
        a text are kept aside together, and left out of `unlabelled` too, so that no stage of this fit reads them.

        Args:
            X_val, y_val: your own texts to measure with, and their labels. No stage and no linear model learns from
                them. They decide the weights of the mixture and, with `patience`, the epoch.

        Raises:
            TextError, LabelError: E1xx, E2xx for texts and labels that cannot be used, with their row numbers.
            ArgumentError: E6xx for a parameter that cannot work.
        """
        checked(self.SETTINGS, **{name: getattr(self, name) for name in self.SETTINGS})
        unlabelled = inputs.fields_of(() if unlabelled is None else unlabelled)
        ways = directions(self.pretrained, self.backwards, self.bidir)
        rows = Labelled.read(texts, labels, self.text_col)
        if check_pair(X_val, y_val):
            rows = rows.with_valid(X_val, y_val)
        elif self.patience is not None and not self.valid_pct:
            raise ArgumentError("E603", received=f"patience={self.patience} with valid_pct=0",
                                expected="texts to validate with", fix="pass X_val= and y_val=; leave out patience=")
        if self.class_weight is not None:
            given_weights(self.class_weight, sorted({*rows.df["label"]}))
        stages.preset_for(self.preset, None)
        with (turn_to_fit() if self.seed is None else no_random(self.seed, reproducible=False),
              nullcontext() if self.verbose else no_warnings()):
            rows = rows.split(self.valid_pct, self.seed)
            corpus = inputs.corpus_of(rows.df, unlabelled)
            starts = [(backwards, begin(self.encoder, source, backwards, bidir=self.bidir, lang=self.lang))
                      for backwards, source in ways]
            self._say(f"{inputs.rows_read(rows.n, rows.empty, rows.labels, unlabelled, ', left out')}.")
            fitted = copy.copy(self)  # an estimator is fitted in one step, or not
            training = fitted._training()
            fitted.learners_ = [training.run(rows, corpus, len(unlabelled), *start, left=len(starts) - i)
                                for i, start in enumerate(starts)]
            fitted._finish(rows)
            vars(self).update(vars(fitted))
        return self

    def _training(self) -> Training:
        changes = {name: getattr(self, name) for name in ("epochs", "lr", "bs", "min_freq")}
        return Training(self.preset, changes, {"lang": self.lang, "seed": self.seed},
                        {"class_weight": self.class_weight}, self.patience, self._say, self.verbose)

    def _finish(self, rows: Labelled) -> None:
        """Mix the learners with linear models, and measure the mixture with the texts kept aside."""
        aside = rows.df["valid"]
        self.n_aside_, self.n_texts_ = int(aside.sum()), int((~aside).sum())
        self.classes_ = inputs.as_array(self.learners_[0].dls.classes or [])
        self.blend_ = None
        df = rows.df.assign(text=inputs.one_string(rows.df["text"]))
        probs = np.zeros((0, len(self.classes_)))
        if self.n_aside_:  # no warning: the user's rows have other numbers
            probs = probabilities(self.learners_, rows.df["text"][aside].tolist(), warn=False)
        if self.blend is not None:
            self.blend_, probs = self._blended(df, probs, relearn=not rows.own_valid)
            self._say(f"Mixed with linear models: {self.blend_.told}")
        if self.n_aside_:
            self._set_scores(scores := compare(df, self.classes_[probs.argmax(1)]))
            self._say(in_sentences(scores, df["label"], self.n_aside_, df["text"].nunique()))
        else:
            self._set_scores(None)

    def _blended(self, df: pd.DataFrame, probs: np.ndarray, relearn: bool) -> tuple[Blend, np.ndarray]:
        """Return a mixture of this model and linear ones, and its probabilities for the texts kept aside."""
        number = {label: i for i, label in enumerate(self.classes_.tolist())}
        given = self.class_weight
        weights = {number[label]: w for label, w in given.items()} if isinstance(given, dict) else "balanced"
        return Blend.learned(df["text"].tolist(), df["label"].map(number).to_numpy(int), df["valid"].to_numpy(bool),
                             probs, lang=self.lang, class_weight=weights, relearn=relearn)

    def _set_scores(self, scores: Scores | None) -> None:
        """Set the scores; None if no texts were kept aside."""
        self.scores_, self.accuracy_interval_ = scores, None if scores is None else (scores.low, scores.high)
        vars(self).update({f"{name}_": getattr(scores, name, None) for name in Scores._fields
                           if name not in ("low", "high")})

    @_own_words
    def predict_proba(self, texts: Iterable) -> np.ndarray:
        """Return the probability of each class for each text, (N, C), columns in the order of `classes_`."""
        self._check_fitted()
        texts = self._texts_of(texts)
        if not texts:
            return np.zeros((0, len(self.classes_)))
        return probabilities(self.learners_, texts, blend=self.blend_)

    def predict(self, texts: Iterable) -> np.ndarray:
        """Return the likeliest class of each text, (N,)."""
        probs = self.predict_proba(texts)
        return self.classes_[probs.argmax(1)]

    @_own_words
    def score(self, texts: Iterable, labels: Iterable) -> float:
        """Return the share of texts whose likeliest class is their label; E203 for `1` where training had `"1"`."""
        self._check_fitted()
        if not (texts := self._texts_of(texts)):
            raise TextError("E104", received="no texts", expected="one text or more", fix="give texts and labels")
        labels = inputs.labels_of(labels, len(texts))
        inputs.check_type(labels, self.classes_.tolist())
        return float(np.mean(self.predict(texts) == inputs.as_array(labels)))

    def save(self, path: str | Path) -> Path:
        """Write the fitted estimator as a folder of safetensors and JSON, atomically.

        An older estimator is replaced; E412 for a folder with anything else in it.
        """
        self._check_fitted()
        params = self.get_params()
        params["preset"] = self.preset.to_json() if isinstance(self.preset, Preset) else self.preset
        if isinstance(self.encoder, type):
            params["encoder"] = self.encoder.__name__
        if isinstance(self.class_weight, dict):  # JSON's names are strings
            params["class_weight"] = list(self.class_weight.items())
        params = json.loads(json.dumps(params, default=lambda v: v.item() if hasattr(v, "item") else str(v)))
        with atomic_folder(path, foreign_to_estimator) as tmp:
            for learn in self.learners_:
                learn.export(tmp.absolute() / way(learn.dls.backwards))
            blend = None if self.blend_ is None else self.blend_.save(tmp / BLEND)
            scores = None if self.scores_ is None else self.scores_._asdict()
            found = {"blend": blend, "accuracy": self.accuracy_, "baseline_accuracy": self.baseline_accuracy_,
                     "scores": scores, "texts": [self.n_texts_, self.n_aside_],
                     "ways": [way(learn.dls.backwards) for learn in self.learners_],
                     "weights": [weights_sha256(learn.model) for learn in self.learners_]}
            write_json(tmp / PARAMS, sealed({"params": params, **found}))
            write_record(tmp, Path(path).name, self._record(), shown("ulmfit predict", Path(path).name, "new.csv"))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "ULMFiT":
        """Read what `save` wrote; no code in it is ever run.

        Raises: FileError E401, E402, E404 for anything that is not a whole, unchanged model.
        """
        settings, learners, blend = load_saved(path, load_learner, inspect.signature(cls).parameters)
        try:
            model = cls(**settings["params"])
            if isinstance(model.preset, dict):
                model.preset = Preset.from_json(model.preset)
            if isinstance(model.class_weight, list) and all(isinstance(pair, list) for pair in model.class_weight):
                model.class_weight = dict(model.class_weight)
            scores = settings["scores"]
            model._set_scores(None if scores is None else Scores(**scores))
            model.n_texts_, model.n_aside_ = settings["texts"]
            directions(model.pretrained, model.backwards, model.bidir)  # what no fit can use is refused
        except (KeyError, TypeError, ValueError, AttributeError, TrainingError) as e:
            raise FileError("E401", received=f"{Path(path) / PARAMS} with wrong settings ({e})",
                            expected="what ULMFiT.save wrote", fix="save the model again") from e
        model.learners_, model.classes_ = learners, inputs.as_array(learners[0].dls.classes)
        model.blend_ = blend
        return model

    @classmethod
    def from_df(cls, df: pd.DataFrame, text_col: str | int | Sequence = "text", label_col: str | int = "label",
                unlabelled: Iterable | None = None, *, valid_col: str | int | None = None, **params: Any) -> "ULMFiT":
        """Return a fitted estimator from a table; `params` are the constructor's.

        Of a table of Prodigy's only the rows whose `answer` is "accept" are taken.

        Args:
            text_col: the column of the texts, or several that belong together, such as `["question", "answer"]`.
            valid_col: a column that is true for rows to validate with, as `X_val` of `fit`.
        """
        *texts, labels = columns = find_columns(df, [*listify(text_col), label_col])
        if len(texts) > 1:
            params["text_col"] = list(column_names(texts))
        given = texts[0] if len(texts) == 1 else pd.concat(texts, axis=1)
        train, valid = np.arange(len(df)), np.arange(0)
        if valid_col is not None:
            train, valid = ColSplitter(valid_col)(df)
        if (rows := accepted(df, columns)) is not None:
            train, valid = train[np.isin(train, rows)], valid[np.isin(valid, rows)]
        more = {} if valid_col is None else {"X_val": given.iloc[valid], "y_val": labels.iloc[valid]}
        return cls(**params).fit(given.iloc[train], labels.iloc[train], unlabelled, **more)

    # --- what scikit-learn expects of an estimator, without importing it ------------------------------------------

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(estimator_type="classifier", target_tags=TargetTags(required=True), transformer_tags=None,
                    classifier_tags=ClassifierTags(), regressor_tags=None,
                    input_tags=InputTags(two_d_array=False, string=True))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "learners_")

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        params = [f"{name}={value!r}" for name, value in self.get_params().items()
                  if repr(value) != repr(defaults[name].default)]
        if not self.__sklearn_is_fitted__():
            return described(self, *params)
        n_texts, n_aside = self.n_texts_, self.n_aside_  # None for an estimator that an older version has saved
        return described(self, *params, f"fitted on {n_texts:,} texts" if n_texts else "fitted",
                         f"classes {slashed(self.classes_.tolist())}", self.accuracy_ is not None and
                         f"accuracy {self.accuracy_:.3f} on {f'{n_aside:,} ' if n_aside else 'texts '}kept aside")

    def _texts_of(self, given: Iterable) -> list:
        """Texts; of a table the column that the model learned from."""
        return inputs.texts_of(given, self.learners_[0].dls.prepare.text_cols)

    def _check_fitted(self):
        if not self.__sklearn_is_fitted__():
            from ulmfit_easy.recipes.not_fitted import NotFitted

            raise NotFitted("E506", received="a ULMFiT that was not fitted", expected="a fitted one",
                            fix="call fit(texts, labels) first, or ULMFiT.load(path)")

    def _record(self) -> dict:
        found, record = self.scores_, record_of(self.learners_[0])
        if found is None:
            return record
        scores = {"measured on": "texts kept aside, which this training has not read", "accuracy": found.accuracy,
                  "95% interval of the accuracy": {"from": found.low, "to": found.high}, "macro-F1": found.macro_f1,
                  "baseline": "TF-IDF with logistic regression", "baseline accuracy": found.baseline_accuracy,
                  "baseline macro-F1": found.baseline_macro_f1,
                  "baseline accuracy in cross-validation": found.baseline_cv_accuracy,
                  "difference": None if found.p_value is None else verdict(found)}
        return {**record, "scores": {name: value for name, value in scores.items() if value is not None}}

    def _say(self, text: str) -> None:
        if self.verbose:
            say(text)
