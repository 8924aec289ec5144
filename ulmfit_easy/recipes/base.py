"""The base of the estimators: fit, answer, measure, save and load, whatever is learned about a text."""

import copy
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from ulmfit_easy.cleanup import no_warnings
from ulmfit_easy.data import ranks
from ulmfit_easy.errors import ArgumentError, TextError, TrainingError
from ulmfit_easy.learner.seeds import no_random
from ulmfit_easy.learner.text_learner import TextLearner
from ulmfit_easy.learner.turns import turn_to_fit
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.recipes import inputs, stages
from ulmfit_easy.recipes.blend import Blend
from ulmfit_easy.recipes.drift import reference_of
from ulmfit_easy.recipes.ensemble import probabilities
from ulmfit_easy.recipes.estimate import blend_seconds
from ulmfit_easy.recipes.hub import OnHub
from ulmfit_easy.recipes.kinds import Kind
from ulmfit_easy.recipes.labelled import Labelled, check_pair, from_table
from ulmfit_easy.recipes.on_disk import FileCorpus, tables_of
from ulmfit_easy.recipes.params import SklearnText, own_words
from ulmfit_easy.recipes.presets import CHANGES, Preset
from ulmfit_easy.recipes.saving import load_estimator, save_estimator, to_onnx
from ulmfit_easy.recipes.starts import begin, directions
from ulmfit_easy.recipes.training import Training, seed_in
from ulmfit_easy.schema import any_of, checked, flag, language, list_of, name, number, optional, random_seed, whole
from ulmfit_easy.schema import path as path_of
from ulmfit_easy.terminal import say
from ulmfit_easy.user_code import tell_interrupt


class TextEstimator(SklearnText, OnHub):
    """The base of `ULMFiT` and `ULMFiTRegressor`. `SETTINGS` checks the arguments of its constructor."""

    class_weight: Any = None
    blend: str | None = None
    classes_: np.ndarray
    learners_: list[TextLearner]
    blend_: Blend | None = None
    scores_: Any  # None if no texts were kept aside
    n_texts_: int | None
    n_aside_: int | None
    FORMS: ClassVar[tuple[str, ...]]  # of answers, which it may give: names in `KINDS`
    stopped_: tuple  # a fit that was stopped, and its rows
    kind_: Kind  # how the fit has read the labels

    def __init__(self, *, preset: str | Preset | None = None, pretrained: bool | str | Path | Sequence | None = True,
                 backwards: bool = False, bidir: bool = False, lang: str = "en", valid_pct: float = 0.1,
                 seed: int | None = None, verbose: bool = True, encoder: type[Encoder] | str | Path | None = None,
                 epochs: int | None = None, lr: float | None = None, bs: int | None = None,
                 min_freq: int | None = None, patience: int | None = None,
                 text_col: str | int | Sequence | None = None, subword: bool | int = False):
        self.preset, self.pretrained, self.backwards, self.bidir = preset, pretrained, backwards, bidir
        self.lang, self.valid_pct, self.seed, self.verbose, self.encoder = lang, valid_pct, seed, verbose, encoder
        self.epochs, self.lr, self.bs, self.min_freq = epochs, lr, bs, min_freq
        self.patience, self.text_col, self.subword = patience, text_col, subword

    # scikit-learn wants arguments to be checked by `fit`, and kept as they are given
    SETTINGS: ClassVar[dict] = {
        "backwards": flag, "bidir": flag, "lang": language, "valid_pct": number(0, 1, without=[1]), "seed": random_seed,
        "verbose": flag, **CHANGES, "patience": optional(whole()), "text_col": optional(any_of(name, list_of(name))),
        "subword": any_of(flag, whole(10))}

    @own_words
    def fit(self, texts: Iterable, labels: Iterable, unlabelled: Iterable | None = None, *,
            sample_weight: Iterable | None = None, X_val: Iterable | None = None,
            y_val: Iterable | None = None, resume: str | Path | None = None) -> Self:
        """Learn from N texts with labels, and from any number of texts without. Return the estimator.

        Texts come in a list, tuple, array, Series, Index or table. One string is refused, here and by `predict`, since
        scikit-learn counts rows: an answer is always an array of them. Pairs, or more texts that belong together, are
        several columns of a table, such as `df[["question", "answer"]]`, or tuples of strings.

        Rows whose text is empty or blank are left out, and the first line printed names them. Copies of
        a text are kept aside together, and left out of `unlabelled` too, so that no stage of this fit reads them.

        After Ctrl-C the estimator is as it was before. `keep_stopped` makes it answer by what the fit has learned.

        Args:
            unlabelled: texts like those of `texts`. Or a `Path` of CSV, JSON lines or Parquet, or a list of these.
                A file may be larger than memory: it is read in pieces, and its copies are read too. Its
                columns have the names that those of `texts` have, or the name `text`.
            sample_weight: (N,) how much each text counts: a text of weight 2 is read twice as often as one of weight 1.
            X_val, y_val: your own texts to measure with, and their labels. No stage and no linear model learns from
                them. They decide the weights of the mixture (few of them only in part) and, with `patience`, the
                epoch.
            resume: a folder for checkpoints. The same call with the same folder resumes a fit that was stopped or
                killed, and ends as if nothing had happened. The folder keeps the seed, if you give none.

        Raises:
            TextError, LabelError: E1xx, E2xx for texts and labels that cannot be used, with their row numbers.
            ArgumentError: E6xx for a parameter that cannot work.
            FileError: E408 if the checkpoints in `resume` are of another fit.
        """
        checked(self.SETTINGS, **{name: getattr(self, name) for name in self.SETTINGS})
        folder = None if resume is None else Path(checked({"resume": path_of}, resume=resume)["resume"])
        tables = tables_of(() if unlabelled is None else unlabelled)
        unlabelled = inputs.fields_of(() if unlabelled is None or tables else unlabelled)
        ways = directions(self.pretrained, self.backwards, self.bidir)
        rows = Labelled.read(texts, labels, self.text_col, self._kind_of(labels), sample_weight)
        if check_pair(X_val, y_val):
            rows = rows.with_valid(X_val, y_val)
        elif self.patience is not None and not self.valid_pct:
            raise ArgumentError("E603", received=f"patience={self.patience} with valid_pct=0",
                                expected="texts to validate with", fix="pass X_val= and y_val=; leave out patience=")
        self._check_labels(rows)
        stages.preset_for(self.preset, None)
        seed = self.seed if folder is None else seed_in(folder, self.seed)
        training = self._training(rows, seed, folder)
        vars(self).pop("stopped_", None)
        ranks.same_random()
        fitted = copy.copy(self)  # an estimator is fitted in one step, or not
        try:
            with (turn_to_fit() if seed is None else no_random(seed, reproducible=False),
                  nullcontext() if self.verbose else no_warnings()):
                rows = rows.split(self.valid_pct, seed)
                known = inputs.corpus_of(rows.df, unlabelled)
                aside = inputs.fields_of(rows.df["text"][rows.df["valid"]].tolist())
                corpus = FileCorpus(known, tables, rows.text_cols, aside) if tables else known
                starts = [(backwards, begin(self.encoder, source, backwards, bidir=self.bidir, lang=self.lang,
                                            subword=self.subword))
                          for backwards, source in ways]
                classes = rows.kind.named(rows.labels)
                self._say(f"{inputs.rows_read(rows.n, rows.empty, classes, unlabelled, ', left out')}.")
                fitted.learners_ = [training.run(rows, corpus, len(unlabelled), *start, left=len(starts) - i)
                                    for i, start in enumerate(starts)]
                fitted._finish(rows)
        except KeyboardInterrupt as e:
            self._tell_stopped(e, fitted, training, rows)
            raise
        vars(self).update(vars(fitted))
        return self

    def _tell_stopped(self, error: KeyboardInterrupt, fitted: Self, training: Training, rows: Labelled) -> None:
        """Keep what a stopped fit has learned, for `keep_stopped`, and say what can be done with it."""
        said = ["Stopped. The estimator is as it was before"]
        if fitted_by := training.begun:
            fitted.learners_ = fitted_by
            self.stopped_ = fitted, rows
            said.append("keep_stopped() makes it answer by what this fit has learned")
        if training.folder is not None:
            said.append(f"the same fit with resume={str(training.folder)!r} goes on from here")
        tell_interrupt(error, f"{'; '.join(said) if said[1:] else f'{said[0]}; nothing of this fit is kept'}.")

    @own_words
    def keep_stopped(self) -> Self:
        """Make the estimator answer by what a stopped fit has learned. Return the estimator.

        It is measured as after a whole fit. If the second of two directions had not begun, the first one answers alone.

        Raises: TrainingError E506 if no fit was stopped, or before it had begun with a classifier.
        """
        if "stopped_" not in vars(self):
            raise TrainingError("E506", received="keep_stopped() without a fit that was stopped in stage 3",
                                expected="a classifier that had begun to learn", fix="call fit(texts, labels)")
        fitted, rows = self.stopped_
        with nullcontext() if self.verbose else no_warnings():
            fitted._finish(rows)
        del self.stopped_
        vars(self).update(vars(fitted))
        return self

    def _training(self, rows: Labelled, seed: int | None, folder: Path | None) -> Training:
        after = 0.0
        if self.verbose and self.blend is not None and rows.kind.blends:
            after = blend_seconds(inputs.one_string(rows.df["text"]), rows.df["label"].tolist(), self.lang)
        changes = {name: getattr(self, name) for name in CHANGES}
        learner = {} if self.class_weight is None else {"class_weight": self.class_weight}
        return Training(self.preset, changes, {"lang": self.lang, "seed": seed}, learner, self.patience, self._say,
                        self.verbose, self.subword, after, folder)

    def _kind_of(self, labels: Any) -> Kind | None:
        """Return how labels are read. None finds out from the labels."""
        raise NotImplementedError

    def _check_labels(self, rows: Labelled) -> None:
        """Refuse parameters that do not go with the labels."""

    def _finish(self, rows: Labelled) -> None:
        """Mix the learners with linear models, and measure the mixture with the texts kept aside."""
        aside = rows.df["valid"]
        self.n_aside_, self.n_texts_ = int(aside.sum()), int((~aside).sum())
        self.kind_, self.blend_ = rows.kind, None
        self.classes_ = inputs.as_array(self.learners_[0].dls.classes or [])
        df = rows.df.assign(text=inputs.one_string(rows.df["text"]))
        probs = np.zeros((0, self.learners_[0].dls.c))
        if self.n_aside_:  # no warning: the user's rows have other numbers
            probs = probabilities(self.learners_, rows.df["text"][aside].tolist(), warn=False)
            self.learners_[0].reference = reference_of(self.learners_[0], probs)
        if self.blend is not None and rows.kind.blends:
            self.blend_, probs = self._blended(df, probs, relearn=not rows.own_valid)
            self._say(f"Mixed with linear models: {self.blend_.told}")
        self.set_scores(None)
        if self.n_aside_:
            scores, told = rows.kind.compare(df, self.kind_.answers(probs, self.classes_), self.lang)
            self.set_scores(scores)
            self._say(told)

    def _blended(self, df: pd.DataFrame, probs: np.ndarray, relearn: bool) -> tuple[Blend, np.ndarray]:
        """Return a mixture of this model and linear ones, and its probabilities for the texts kept aside."""
        number = {label: i for i, label in enumerate(self.classes_.tolist())}
        given = self.class_weight
        weights = {i: given.get(name, 1.0) for name, i in number.items()} if isinstance(given, dict) else "balanced"
        return Blend.learned(df["text"].tolist(), df["label"].map(number).to_numpy(int), df["valid"].to_numpy(bool),
                             probs, lang=self.lang, class_weight=weights, relearn=relearn,
                             n=len(df) if relearn else self.n_texts_, states=bool(self.pretrained),
                             weights=df["weight"].to_numpy(float) if "weight" in df else None)

    def set_scores(self, scores: Any) -> None:
        """Set the scores, a named tuple of the kind's. They are None if no texts were kept aside."""
        self.scores_ = scores
        found = {name: getattr(scores, name, None) for name in self.kind_.scores._fields}  # type: ignore[attr-defined]
        if "low" in found:
            low, high = found.pop("low"), found.pop("high")
            found["accuracy_interval"] = None if scores is None else (low, high)
        vars(self).update({f"{name}_": value for name, value in found.items()})

    @own_words
    def predict(self, texts: Iterable) -> np.ndarray:
        """Return the answer for each of N texts, (N,), or (N, C) if labels were columns."""
        self.check_fitted()
        texts = self._texts_of(texts)
        return self.kind_.answers(self.probabilities(texts), self.classes_)

    def probabilities(self, texts: list) -> np.ndarray:
        """Return what all parts say together of N texts: probabilities of the classes, or numbers, (N, C) float64."""
        if not texts:
            return np.zeros((0, self.learners_[0].dls.c))
        return probabilities(self.learners_, texts, blend=self.blend_)

    @own_words
    def score(self, texts: Iterable, labels: Iterable, sample_weight: Iterable | None = None) -> float:
        """Return the share of texts whose answer is their label.

        Of texts with several classes each, all must be right. A regression returns R².

        Raises: E203 for labels of another type than in training, such as `1` for `"1"`.
        """
        self.check_fitted()
        if not (texts := self._texts_of(texts)):
            raise TextError("E104", received="no texts", expected="one text or more", fix="give texts and labels")
        read = self.kind_.read(labels, len(texts), [])
        inputs.check_type(read, self.classes_.tolist())
        weights = inputs.weights_of(sample_weight, len(texts))
        return self.kind_.score(read, self.kind_.answers(self.probabilities(texts), self.classes_),
                                None if weights is None else np.array(weights))

    def save(self, path: str | Path) -> Path:
        """Write the fitted estimator as a folder of safetensors and JSON, atomically.

        An older estimator is replaced. Raises: E412 for a folder with anything else in it.
        """
        self.check_fitted()
        return save_estimator(self, path)

    to_onnx = to_onnx

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote. No code in it is ever run.

        Raises: FileError E401, E402, E404 for anything that is not a whole, unchanged model of this class.
        """
        return load_estimator(cls, path)

    @classmethod
    def from_df(cls, df: pd.DataFrame, text_col: str | int | Sequence = "text",
                label_col: str | int | Sequence = "label", unlabelled: Iterable | None = None, *,
                valid_col: str | int | None = None, **params: Any) -> Self:
        """Return a fitted estimator from a table. `params` are the constructor's.

        Of a table of Prodigy's only the rows whose `answer` is "accept" are taken.

        Args:
            text_col: the column of the texts, or several that belong together, such as `["question", "answer"]`.
            label_col: the column of the labels. Several are zeros and ones, one column for each class, or numbers.
            valid_col: a column that is true for rows to validate with, as `X_val` of `fit`.
        """
        given, labels, valid, names = from_table(df, text_col, label_col, valid_col)
        params |= {"text_col": names} if len(names) > 1 else {}
        more = {} if valid is None else {"X_val": given[valid], "y_val": labels[valid]}
        train = slice(None) if valid is None else ~valid
        return cls(**params).fit(given[train], labels[train], unlabelled, **more)

    def _texts_of(self, given: Iterable) -> list:
        """Return the texts. Of a table they are the columns that the model learned from."""
        return inputs.texts_of(given, self.learners_[0].dls.prepare.text_cols)

    def _say(self, text: str) -> None:
        if self.verbose:
            say(text)
