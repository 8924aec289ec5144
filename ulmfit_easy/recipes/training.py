"""The stages of one estimator in one direction, told line by line."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ulmfit_easy.bundle.record import way
from ulmfit_easy.data import ranks
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.targets import TARGETS
from ulmfit_easy.data.targets.masked import MaskedToken
from ulmfit_easy.errors import FileError, counted
from ulmfit_easy.files import read_json, write_json
from ulmfit_easy.learner.callbacks.checkpoint import CheckpointCallback
from ulmfit_easy.learner.events import Callback
from ulmfit_easy.learner.pretrained import PretrainedLM
from ulmfit_easy.learner.text_learner import TextLearner
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.recipes import stages
from ulmfit_easy.recipes.best_epoch import BestEpoch
from ulmfit_easy.recipes.estimate import estimated_seconds
from ulmfit_easy.recipes.labelled import Labelled
from ulmfit_easy.recipes.on_disk import FileCorpus
from ulmfit_easy.recipes.presets import Preset
from ulmfit_easy.recipes.starts import Begin
from ulmfit_easy.text.subword import SentencePieceTokenizer
from ulmfit_easy.user_code import warn_user

SEED = "fit.json"  # the file in a folder of checkpoints with the seed of the fit


@dataclass(frozen=True)
class Training:
    """The plan of an estimator's training: what its parameters say, and all that both directions share.

    Attributes:
        preset, changes: which preset, and what is to be changed in it, as for `Preset.tuned`.
        common: arguments of all loaders.
        learner: arguments of the classifier's learner.
        patience: epochs without a better validation loss after which a phase of stage 3 ends. None never ends it.
        say: prints a line.
        subword: learn pieces of words from the texts. A number is the size of the vocabulary.
        after: seconds that linear models will take after all stages.
        folder: for checkpoints, from which the same training resumes. None writes none.
        learners: the classifiers whose training has begun.
    """

    preset: str | Preset | None
    changes: dict[str, Any]
    common: dict[str, Any]
    learner: dict[str, Any]
    patience: int | None
    say: Callable[[str], None]
    verbose: bool
    subword: bool | int = False
    after: float = 0.0
    folder: Path | None = None
    learners: list[TextLearner] = field(default_factory=list)

    def preset_for(self, start: Begin) -> Preset:
        """Return the preset for what training starts from, with the changes."""
        p = stages.preset_for(self.preset, start).tuned(**self.changes)
        return replace(p, arch=start.__name__) if isinstance(start, type) else p

    def run(self, rows: Labelled, corpus: list[str] | FileCorpus, n_unlabelled: int, backwards: bool, start: Begin,
            left: int) -> TextLearner:
        """Return a classifier's learner that has run all stages.

        Args:
            rows: the labelled texts.
            corpus: what a language model may read.
            n_unlabelled: how many texts without labels the user gave.
            start: what `starts.begin` returned.
            left: how many directions are still to be trained, this one included.
        """
        pretrained, p = start if isinstance(start, PretrainedLM) else None, self.preset_for(start)
        common = {**self.common, "backwards": backwards}
        lm, learns = None, _has_lm(pretrained) if pretrained else get_arch(p.arch).streams
        pieces = {"tok_tfm": self._pieces()} if self.subword else {}
        on_disk = isinstance(corpus, FileCorpus)
        if learns and (p.adapts or n_unlabelled or on_disk or not pretrained):
            of_lm = stages.lm_data(corpus, p, pretrained, **common, **pieces)
            lm = stages.new_lm(of_lm, p, pretrained, verbose=self.verbose)
        elif n_unlabelled or on_disk:
            name = pretrained.name if pretrained else p.arch
            given = "the unlabelled texts" if on_disk else counted(n_unlabelled, "unlabelled text")
            warn_user(f"{given} will not be read: {name} has no language model to go on with")
        dls = stages.classifier_data(rows.table(), p, lm or pretrained, on_missing="drop", splitter=rows.splitter,
                                     text_col=list(rows.text_cols), label_col=rows.label_col, weights=rows.weights,
                                     **rows.kind.loader(), **common, **({} if lm else pieces))
        if isinstance(corpus, FileCorpus):
            n_unlabelled = corpus.n_on_disk
        learner = {**rows.kind.learner(rows.df["label"].tolist()), **self.learner}
        estimate = estimated_seconds(lm or pretrained, p.lm if pretrained else p.pretrain, dls, p, **learner)
        aside = f"{dls.valid.n_rows:,} kept aside to measure the classifier" if dls.valid.n_rows else "none kept aside"
        self.say(f"{len(rows.df):,} labelled texts: {dls.train.n_rows:,} to train on, {aside}. "
                 f"{_of_the_lm(lm.dls, dls, n_unlabelled, len(rows.text_cols)) if lm else 'Stage 2 is left out.'} "
                 f"Training takes {estimate.told(left, self.after)}.")
        if lm:
            self.say(f"Language model: {'fine-tuned on' if pretrained else 'learned from'} your texts"
                     + " alone" * (not pretrained))
            start_of_lm = time.perf_counter()
            (stages.finetune_lm if pretrained else stages.pretrain_lm)(lm, p, self._checkpoints("lm", backwards))
            if corrected := estimate.corrected(time.perf_counter() - start_of_lm, left, self.after):
                self.say(corrected)
        self.say("Classifier: the head first, then the layers under it")
        learn = stages.new_classifier(dls, p, lm or pretrained, verbose=self.verbose, **learner)
        self.learners.append(learn)
        cbs = [] if self.patience is None else [BestEpoch(patience=self.patience)]
        return stages.finetune_classifier(learn, p, gradual=bool(lm or pretrained),
                                          cbs=[*cbs, *self._checkpoints("classifier", backwards)])

    def _pieces(self) -> SentencePieceTokenizer:
        size = None if isinstance(self.subword, bool) else self.subword
        return SentencePieceTokenizer(self.common["lang"], vocab_sz=size)

    def _checkpoints(self, stage: str, backwards: bool) -> list[Callback]:
        if self.folder is None:
            return []
        return [CheckpointCallback(self.folder.absolute() / f"{stage}-{way(backwards)}", resume=True)]

    @property
    def begun(self) -> list[TextLearner]:
        """The classifiers that have read a batch at least, though their training may not be over."""
        return [learn for learn in self.learners if learn.phases or learn.train_iter]


def seed_in(folder: Path, seed: int | None) -> int:
    """Return the seed of the training whose checkpoints are in a folder, and keep it there. None draws one.

    Raises: FileError E408 for the checkpoints of another seed.
    """
    return ranks.from_main(lambda: _seed_in(folder, seed))


def _seed_in(folder: Path, seed: int | None) -> int:
    file = folder / SEED
    if folder.exists() and not folder.is_dir():
        raise FileError("E411", received=f"{folder}, a file", expected="a folder for checkpoints",
                        fix="name another place with resume=")
    kept = read_json(file) if file.exists() else {"seed": None}
    if not isinstance(kept, dict) or type(kept.get("seed", "")) not in (int, type(None)):
        raise FileError("E401", received=f"{file} without a seed", expected="what a fit with resume= wrote",
                        fix="name another folder with resume=")
    known = kept["seed"]
    if known is not None and seed not in (None, known):
        raise FileError("E408", received=f"{folder}, whose fit has seed={known}", expected=f"seed={seed}",
                        fix=f"pass seed={known}, or name another folder with resume=")
    if known is None:
        folder.mkdir(parents=True, exist_ok=True)
        known = secrets.randbelow(2**31) if seed is None else int(seed)
        write_json(file, {"seed": known})
    return known


def _has_lm(pretrained: PretrainedLM) -> bool:
    """Tell if stage 2 can train a model. It cannot train one that fills masks if the tokenizer has no mask."""
    task = pretrained.config["task"]
    return not TARGETS[task].labelled and (task != MaskedToken.task or "mask" in pretrained.vocab.specials)


def _of_the_lm(of_lm: DataLoaders, of_clas: DataLoaders, n_unlabelled: int, n_fields: int) -> str:
    """Tell which texts the language model reads, and why they are fewer than those that were given."""
    given, n = of_clas.train.n_rows * n_fields + n_unlabelled, of_lm.train.n_rows + of_lm.valid.n_rows
    fields = f", each of their {n_fields} fields as a text" * (n_fields > 1)
    return (f"The language model reads the {of_clas.train.n_rows:,}{fields}"
            + f" and {n_unlabelled:,} unlabelled ones" * (n_unlabelled > 0) + ", from their ends" * of_lm.backwards
            + f", but for {given - n:,} copies or empty texts" * (given > n)
            + f": it trains on {of_lm.train.n_rows:,} and validates with {of_lm.valid.n_rows:,}.")
