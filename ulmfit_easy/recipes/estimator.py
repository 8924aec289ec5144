"""`ULMFiT`: all three stages behind scikit-learn's `fit` and `predict`."""

import copy
import inspect
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ulmfit_easy.bundle.artefact import foreign_to_bundle
from ulmfit_easy.bundle.record import is_record, shown, way, write_record
from ulmfit_easy.cleanup import no_warnings
from ulmfit_easy.data.balance import given_weights
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.sources import accepted, find_columns
from ulmfit_easy.data.splits import DefaultSplitter, checked_split
from ulmfit_easy.data.targets import TARGETS, CategoryTarget
from ulmfit_easy.errors import ArgumentError, FileError, TextError, TrainingError, counted, door
from ulmfit_easy.files import atomic_folder, write_json
from ulmfit_easy.learner.both_ways import shipped_pair
from ulmfit_easy.learner.find import arch_or_model
from ulmfit_easy.learner.pretrained import PretrainedLM, read_lm, read_model, shipped_lm
from ulmfit_easy.learner.record import record_of
from ulmfit_easy.learner.seeds import no_random
from ulmfit_easy.learner.text import load_learner
from ulmfit_easy.learner.text_learner import TextLearner
from ulmfit_easy.learner.turns import turn_to_fit
from ulmfit_easy.learner.weights import weights_sha256
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.places import members
from ulmfit_easy.recipes import inputs, stages
from ulmfit_easy.recipes.blend import BLEND, Blend
from ulmfit_easy.recipes.compare import Scores, compare, in_sentences, verdict
from ulmfit_easy.recipes.ensemble import probabilities
from ulmfit_easy.recipes.estimate import estimated_seconds, minutes
from ulmfit_easy.recipes.params import Params
from ulmfit_easy.recipes.presets import Preset
from ulmfit_easy.recipes.saved import PARAMS, load_saved, sealed
from ulmfit_easy.reprs import described, slashed
from ulmfit_easy.schema import checked, flag, fraction, language, one_of, optional, random_seed
from ulmfit_easy.terminal import say
from ulmfit_easy.text.given import several_texts
from ulmfit_easy.user_code import interrupted, warn_user


@contextmanager
def _own_words() -> Iterator[None]:
    """Errors inside name no argument that the estimator does not have."""
    with door((*inspect.signature(ULMFiT).parameters, "texts", "labels", "unlabelled")):
        yield


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
        valid_pct: fraction of the labelled texts that is kept aside to measure accuracy and compare with the baseline.
        seed: same seed, same data, same machine: same model.
        encoder: the encoder under the classifier. A pretrained one is "minilm" or "smollm2", if its package is
            installed, a folder that `transformers` saved, or a `.gguf` file. Stage 2 then runs only if you give
            unlabelled texts and it has a language model. A class, or its name, is for other encoders than an AWD-LSTM.
            `ELMo` starts from the two models that come with the library, and has no stage 2 then.
        blend: "auto" mixes the model with linear ones on word counts, letter counts and word vectors, see `Blend`. With
            few labels this is worth some points of accuracy (docs/LOG.md, 25). Once the scores are taken, the linear
            ones learn from the texts kept aside too. None answers by the model alone.
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
    scores_: Scores
    n_texts_: int | None
    n_aside_: int | None
    accuracy_: float
    baseline_accuracy_: float | None

    def __init__(self, *, preset: str | Preset | None = None, pretrained: bool | str | Path | Sequence | None = True,
                 backwards: bool = False, bidir: bool = False, lang: str = "en", class_weight: str | dict | None = None,
                 valid_pct: float = 0.1, seed: int | None = None, verbose: bool = True,
                 encoder: type[Encoder] | str | Path | None = None, blend: str | None = "auto"):
        self.preset, self.pretrained, self.backwards, self.bidir = preset, pretrained, backwards, bidir
        self.lang, self.class_weight, self.valid_pct, self.seed = lang, class_weight, valid_pct, seed
        self.verbose, self.encoder, self.blend = verbose, encoder, blend

    # scikit-learn wants arguments to be checked by `fit`, and kept as they are given
    SETTINGS = {"backwards": flag, "bidir": flag, "lang": language, "valid_pct": fraction, "seed": random_seed,
                "verbose": flag, "blend": optional(one_of(["auto"]))}

    @_own_words()
    @interrupted("Stopped. The estimator is as it was before; nothing of this fit is kept.")
    def fit(self, texts: Iterable, labels: Iterable, unlabelled: Iterable | None = None) -> "ULMFiT":
        """Learn from N texts and their N labels, and from any number of texts without labels; returns the estimator.

        Texts come in a list, tuple, array, Series, Index or table, with the column `text` or only one. One string is
        refused, here and by `predict`, since scikit-learn counts rows: an answer is always an array of them.

        Rows whose text is empty or blank are left out, and the first line printed names them. Copies of
        a text are kept aside together, and left out of `unlabelled` too, so that no stage of this fit reads them.

        Raises:
            TextError, LabelError: E1xx, E2xx for texts and labels that cannot be used, with their row numbers.
            ArgumentError: E6xx for a parameter that cannot work.
        """
        checked(self.SETTINGS, **{name: getattr(self, name) for name in self.SETTINGS})
        unlabelled, directions = inputs.texts_of(() if unlabelled is None else unlabelled), self._directions()
        texts = several_texts(texts)
        columns = inputs.columns_of(texts, labels)
        texts = inputs.texts_of(texts)
        n, empty = len(texts), inputs.empty_rows(texts)
        if len(empty) == n:
            raise TextError("E104", received=f"{n:,} rows, none of them with a text" if n else "no texts",
                            expected="texts and their labels", fix="check the data")
        labels, texts = inputs.labels_of(labels, n, empty), inputs.without(texts, empty)
        inputs.check_shared(labels)
        CategoryTarget.learned(labels)  # two classes or more, before anything slow
        if self.class_weight is not None:
            given_weights(self.class_weight, sorted(set(labels)))
        df = pd.DataFrame({"text": texts, "label": labels}, inputs.without(range(n), empty), dtype=object)
        stages.preset_for(self.preset, None)
        with (turn_to_fit() if self.seed is None else no_random(self.seed, reproducible=False),
              nullcontext() if self.verbose else no_warnings()):
            aside = checked_split(DefaultSplitter(labels, self.valid_pct, self.seed, texts), df)[1]
            df["valid"] = np.isin(np.arange(len(df)), aside)
            corpus = inputs.corpus_of(df, unlabelled)
            directions = [(backwards, self._start(backwards, source)) for backwards, source in directions]
            self._say(f"{inputs.rows_read(n, empty, labels, unlabelled, ', left out')}.")
            fitted = copy.copy(self)  # an estimator is fitted in one step, or not
            n, todo = len(unlabelled), len(directions)
            fitted.learners_ = [self._fit_one(df, corpus, n, *direction, columns, left=todo - i)
                                for i, direction in enumerate(directions)]
            fitted.n_aside_, fitted.n_texts_ = len(aside), len(df) - len(aside)
            fitted.classes_ = inputs.as_array(fitted.learners_[0].dls.classes or [])
            fitted._compare(df)
            vars(self).update(vars(fitted))
        return self

    def _directions(self) -> list[tuple[bool, Any]]:
        """Return the models to train, each as (backwards, pretrained)."""
        if not self.bidir:
            return [(bool(self.backwards), self.pretrained)]
        pair = self.pretrained
        if pair is None or isinstance(pair, bool):
            pair = (pair, pair)
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ArgumentError("E603", received=f"bidir=True with pretrained={str(pair)!r}",
                                expected="two language models, of which one reads backwards",
                                fix="name two models with pretrained=; leave out bidir=")
        return [(False, pair[0]), (True, pair[1])]

    def _start(self, backwards: bool, pretrained: bool | str | Path | None) -> PretrainedLM | type[Encoder] | None:
        """Return the model to start from, read before anything slow. Or the encoder of new weights, None for any."""
        encoder = None if self.encoder is None else arch_or_model(self.encoder)
        if isinstance(encoder, PretrainedLM):
            if pretrained is not True:
                raise ArgumentError("E603", received=f"encoder={str(self.encoder)!r} with pretrained={pretrained}",
                                    expected="one model to start from", fix=f"leave out pretrained={pretrained}")
            if self.bidir:
                raise ArgumentError("E603", received=f"encoder={str(self.encoder)!r} with bidir=True",
                                    expected="one model, which reads one way", fix="leave out bidir=")
            return read_model(encoder, backwards)
        if backwards and encoder is not None and encoder.one_way:
            name = "bidir" if self.bidir else "backwards"
            raise ArgumentError("E603", received=f"encoder={encoder.__name__!r} with {name}=True",
                                expected="one of the two: this encoder reads both ways by itself",
                                fix=f"leave out {name}=")
        if pretrained is True and encoder is not None and encoder.one_way:
            return shipped_pair(encoder, self.lang) or encoder
        source = shipped_lm(self.lang, backwards) if pretrained is True else pretrained
        found = read_lm(source, backwards) if source else None
        if encoder is None or found is None or found.arch == encoder.__name__:
            return found or encoder
        if pretrained is True:  # the one that comes with the library is of another encoder
            return encoder
        raise FileError("E402", received=f"{found.name} with the encoder {found.arch}", expected=encoder.__name__,
                        fix=f"pass encoder={found.arch!r}; leave out pretrained=")

    def _fit_one(self, df: pd.DataFrame, corpus: list[str], n_unlabelled: int, backwards: bool,
                 start: PretrainedLM | type[Encoder] | None, columns: dict[str, str], left: int) -> TextLearner:
        pretrained = start if isinstance(start, PretrainedLM) else None
        p = stages.preset_for(self.preset, start)
        p = replace(p, arch=start.__name__) if isinstance(start, type) else p
        common = {"backwards": backwards, "lang": self.lang, "seed": self.seed}
        lm, learns = None, not TARGETS[pretrained.config["task"]].labelled if pretrained else get_arch(p.arch).streams
        if learns and (p.adapts or n_unlabelled or not pretrained):
            lm = stages.new_lm(stages.lm_data(corpus, p, pretrained, **common), p, pretrained, verbose=self.verbose)
        elif n_unlabelled:
            name = pretrained.name if pretrained else p.arch
            warn_user(f"{counted(n_unlabelled, 'unlabelled text')} will not be read: {name} has no language model to "
                      "go on with")
        table = df.reindex(range(df.index[-1] + 1)).rename(columns=columns)  # messages count the user's rows
        dls = stages.classifier_data(table, p, lm or pretrained, on_missing="drop", text_col=columns["text"],
                              label_col=columns["label"], valid_col="valid", **common)
        seconds = left * estimated_seconds(lm or pretrained, p.lm if pretrained else p.pretrain, dls, p)
        self._say(f"{len(df):,} labelled texts: {dls.train.n_rows:,} to train on, {dls.valid.n_rows:,} kept aside to "
                  f"measure the classifier. {_of_the_lm(lm.dls, dls, n_unlabelled) if lm else 'Stage 2 is left out.'} "
                  f"Training takes {minutes(seconds)} on this machine.")
        if lm:
            self._say(f"Language model: {'fine-tuned on' if pretrained else 'learned from'} your texts"
                      + " alone" * (not pretrained))
            (stages.finetune_lm if pretrained else stages.pretrain_lm)(lm, p)
        self._say("Classifier: the head first, then the layers under it")
        learn = stages.new_classifier(dls, p, lm or pretrained, class_weight=self.class_weight, verbose=self.verbose)
        return stages.finetune_classifier(learn, p, gradual=bool(lm or pretrained))

    def _compare(self, df: pd.DataFrame) -> None:
        valid = df[df["valid"]]  # no warning: the user's rows have other numbers
        probs, self.blend_ = probabilities(self.learners_, valid["text"].tolist(), warn=False), None
        if self.blend is not None:
            self.blend_, probs = self._blended(df, probs)
            self._say(f"Mixed with linear models: {self.blend_.told}")
        self._set_scores(scores := compare(df, self.classes_[probs.argmax(1)]))
        self._say(in_sentences(scores, df["label"], len(valid), df["text"].nunique()))

    def _blended(self, df: pd.DataFrame, probs: np.ndarray) -> tuple[Blend, np.ndarray]:
        """Return a mixture of this model and linear ones, and its probabilities for the texts kept aside."""
        number = {label: i for i, label in enumerate(self.classes_.tolist())}
        given = self.class_weight
        weights = {number[label]: w for label, w in given.items()} if isinstance(given, dict) else "balanced"
        return Blend.learned(df["text"].tolist(), df["label"].map(number).to_numpy(), df["valid"].to_numpy(), probs,
                             lang=self.lang, class_weight=weights)

    def _set_scores(self, scores: Scores) -> None:
        self.scores_, self.accuracy_interval_ = scores, (scores.low, scores.high)
        vars(self).update({f"{name}_": getattr(scores, name) for name in Scores._fields if name not in ("low", "high")})

    @_own_words()
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

    @_own_words()
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
            found = {"blend": blend, "accuracy": self.accuracy_, "baseline_accuracy": self.baseline_accuracy_,
                     "scores": self.scores_._asdict(), "texts": [self.n_texts_, self.n_aside_],
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
            model._set_scores(Scores(**settings["scores"]))
            model.n_texts_, model.n_aside_ = settings["texts"]
            model._directions()  # parameters that no fit can use are refused
        except (KeyError, TypeError, ValueError, AttributeError, TrainingError) as e:
            raise FileError("E401", received=f"{Path(path) / PARAMS} with wrong settings ({e})",
                            expected="what ULMFiT.save wrote", fix="save the model again") from e
        model.learners_, model.classes_ = learners, inputs.as_array(learners[0].dls.classes)
        model.blend_ = blend
        return model

    @classmethod
    def from_df(cls, df: pd.DataFrame, text_col: str | int = "text", label_col: str | int = "label",
                unlabelled: Iterable | None = None, **params: Any) -> "ULMFiT":
        """Return a fitted estimator from a table; `params` are the constructor's.

        Of a table of Prodigy's only the rows whose `answer` is "accept" are taken.
        """
        texts, labels = columns = find_columns(df, [text_col, label_col])
        if (rows := accepted(df, columns)) is not None:
            texts, labels = texts.iloc[rows], labels.iloc[rows]
        return cls(**params).fit(texts, labels, unlabelled)

    # --- what scikit-learn expects of an estimator, without importing it ------------------------------------------

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(estimator_type="classifier", target_tags=TargetTags(required=True), transformer_tags=None,
                    classifier_tags=ClassifierTags(), regressor_tags=None,
                    input_tags=InputTags(two_d_array=False, string=True))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "learners_")

    def __repr__(self) -> str:
        params = [f"{name}={value!r}" for name, value in self.get_params().items()]
        if not self.__sklearn_is_fitted__():
            return described(self, *params)
        n_texts, n_aside = self.n_texts_, self.n_aside_  # None for an estimator that an older version has saved
        return described(self, *params, f"fitted on {n_texts:,} texts" if n_texts else "fitted",
                         f"classes {slashed(self.classes_.tolist())}",
                         f"accuracy {self.accuracy_:.3f} on {f'{n_aside:,} ' if n_aside else 'texts '}kept aside")

    def _texts_of(self, given: Iterable) -> list[str]:
        """Texts; of a table the column that the model learned from."""
        return inputs.texts_of(given, self.learners_[0].dls.prepare.text_cols)

    def _check_fitted(self):
        if not self.__sklearn_is_fitted__():
            from ulmfit_easy.recipes.not_fitted import NotFitted

            raise NotFitted("E506", received="a ULMFiT that was not fitted", expected="a fitted one",
                            fix="call fit(texts, labels) first, or ULMFiT.load(path)")

    def _record(self) -> dict:
        found, record = self.scores_, record_of(self.learners_[0])
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


def foreign_to_estimator(path: Path) -> list[str]:
    """Return the names of what in a folder is not of a saved estimator; all if nothing proves that it is one."""
    names = [part.name for part in members(path) if not is_record(part)]
    ways = [name for name in names if name in (way(False), way(True)) and (path / name).is_dir()]
    others = [name for name in names if name not in (*ways, PARAMS, BLEND)]
    others += [f"{way}/{name}" for way in ways for name in foreign_to_bundle(path / way)]
    return others or (names if not any(members(path / way) for way in ways) else [])


def _of_the_lm(of_lm: DataLoaders, of_clas: DataLoaders, n_unlabelled: int) -> str:
    """Tell which texts the language model reads, and why they are fewer than those that were given."""
    given, n = of_clas.train.n_rows + n_unlabelled, of_lm.train.n_rows + of_lm.valid.n_rows
    return (f"The language model reads the {of_clas.train.n_rows:,}"
            + f" and {n_unlabelled:,} unlabelled ones" * (n_unlabelled > 0) + ", from their ends" * of_lm.backwards
            + f", but for {given - n:,} copies or empty texts" * (given > n)
            + f": it trains on {of_lm.train.n_rows:,} and validates with {of_lm.valid.n_rows:,}.")
