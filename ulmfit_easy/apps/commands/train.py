"""`ulmfit train`: a model from labelled texts: classes, numbers, pairs, tags of words, or answers."""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.flags import next_line, same_flags
from ulmfit_easy.apps.options import CHANGES, CHUNKSIZE, KIND, LABELLED, READING, START, SUBWORD, TRAINING
from ulmfit_easy.apps.resuming import RESUME, run_folder
from ulmfit_easy.apps.saving import OVERWRITE, keep, model_place
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.terminal import say

if TYPE_CHECKING:
    import pandas as pd

    from ulmfit_easy.apps.sources import Labelled


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.apps.presets import preset_given
    from ulmfit_easy.apps.sources import on_disk, read_any, read_labelled, texts_in
    from ulmfit_easy.bundle.artefact import foreign_to_bundle
    from ulmfit_easy.data.sources import taught
    from ulmfit_easy.data.targets import kind_of
    from ulmfit_easy.recipes.saved import foreign_to_estimator

    args.preset = preset_given(args.preset)
    foreign = lambda path: min(foreign_to_estimator(path), foreign_to_bundle(path), key=len)  # noqa: E731
    model_place(args.out, args.overwrite, foreign)
    if args.task:
        kind_of(args.task)
    if args.chunksize is not None and not args.unlabelled:
        raise ArgumentError("E603", received="--chunksize alone", expected="--unlabelled with it: labelled texts are "
                            "read at once", fix="leave it out, or name a file with --unlabelled")
    pretrained = _pretrained(args)
    given = read_labelled(args.file, args)
    columns = [*given.text, given.label]
    given = given._replace(df=taught(given.df, columns))
    valid = None if args.valid is None else taught(
        read_any(args.valid, columns, args, len(given.text), given.kind), columns)
    more = on_disk(args.unlabelled, given.text, args) if args.chunksize is not None else [
        text for file in args.unlabelled
        for text in texts_in(read_any(file, given.text, args, len(given.text)), *given.text)]
    estimator = _estimators().get(given.kind)
    train = _other if estimator is None else partial(_estimated, estimator)
    with run_folder(args) as folder:
        keep(train(args, given, valid, more, pretrained, folder), args.out.absolute())
    say(f"Saved to {args.out}. Next: " + next_line("predict", args.out, "FILE", *same_flags(
        args, "encoding", "delimiter", "quoting")))


def _pretrained(args: argparse.Namespace) -> Any:
    """Return the model to start from, as `ULMFiT` takes it."""
    pretrained = True if args.pretrained is None else args.pretrained
    if pretrained and pretrained is not True and not args.bidir:
        if len(pretrained) > 1:
            raise ArgumentError("E603", received="--pretrained twice", expected="--bidir with it",
                                fix="add --bidir, or name one model")
        pretrained = pretrained[0]
    if args.bidir and args.backwards:
        raise ArgumentError("E603", received="--bidir and --backwards", expected="one of the two",
                            fix="leave --backwards out: --bidir trains both directions")
    return pretrained


def _estimators() -> dict:
    """Return the estimator for each kind of labels. None stands for labels without a named kind."""
    from ulmfit_easy.recipes.estimator import ULMFiT, ULMFiTRegressor
    from ulmfit_easy.recipes.kinds import KINDS

    found = {KINDS[form].y_block: cls for cls in (ULMFiT, ULMFiTRegressor) for form in cls.FORMS}
    return {None: ULMFiT, **found}


def _estimated(cls: Any, args: argparse.Namespace, given: "Labelled", valid: "pd.DataFrame | None", more: list,
               pretrained: Any, folder: Path) -> Any:
    """Train an estimator, and return what saves it."""
    params = {name: getattr(args, name) for name in (
        "preset", "backwards", "bidir", "lang", "seed", "encoder", "epochs", "lr", "bs", "min_freq", "patience")}
    params.update(pretrained=pretrained, verbose=not args.quiet, subword=args.subword or False,
                  text_col=given.text if len(given.text) > 1 else None)
    if args.class_weight:
        if "class_weight" not in cls().get_params():
            raise ArgumentError("E603", received="--class-weight for numbers", expected="classes", fix="leave it out")
        params["class_weight"] = args.class_weight
    model = cls(**params)
    own = {} if valid is None else {"X_val": _texts(valid, given.text), "y_val": _labels(valid, given, args)}
    model.fit(_texts(given.df, given.text), _labels(given.df, given, args), more or None, resume=folder, **own)
    return model.save


def _labels(df: "pd.DataFrame", given: "Labelled", args: argparse.Namespace) -> "pd.Series":
    """Return the labels of a table: of several in one cell, lists."""
    from ulmfit_easy.data.targets import MultiCategoryTarget, kind_of, read_labels

    labels = df[given.label]
    if not issubclass(kind_of(given.kind), MultiCategoryTarget):
        return labels
    read = read_labels([labels], delim=args.label_delim, y_block=given.kind, rows=range(len(df)))[1]
    return type(labels)(read, labels.index, object, labels.name)


def _texts(df: "pd.DataFrame", columns: list[str]) -> Any:
    """Return the texts of a table under the names of their columns, which the model remembers."""
    import pandas as pd

    from ulmfit_easy.apps.sources import texts_in

    found = {name: pd.Series(texts_in(df, name), name=name, dtype=object) for name in columns}
    return found[columns[0]] if len(columns) == 1 else pd.DataFrame(found)


def _other(args: argparse.Namespace, given: "Labelled", valid: "pd.DataFrame | None", more: list,
           pretrained: Any, folder: Path) -> Any:
    """Train for a task that the estimator does not have, and return what saves the model."""
    from ulmfit_easy.recipes.other_tasks import train_task

    if args.chunksize:
        raise ArgumentError("E603", received=f"--chunksize for labels of the kind {given.kind}",
                            expected="classes or numbers", fix="leave it out; or let `ulmfit lm` read these texts in "
                            "pieces, and name its model with --pretrained")
    if args.bidir or args.class_weight:
        raise ArgumentError("E603", received=f"--{'bidir' if args.bidir else 'class-weight'} for labels of the kind "
                            f"{given.kind}", expected="it for one class each", fix="leave it out")
    learn = train_task(given.df, given.text, given.label, given.kind or "", valid=valid, unlabelled=more,
                       encoder=args.encoder, pretrained=pretrained, backwards=args.backwards, lang=args.lang,
                       preset=args.preset, seed=args.seed, patience=args.patience,
                       changes={name: getattr(args, name) for name in ("epochs", "lr", "bs", "min_freq")},
                       subword=args.subword or False, resume=folder, verbose=not args.quiet)
    return learn.export


COMMAND = Command(
    "train", "train a model on labelled texts: classes, numbers, pairs, tags of words, answers", run,
    ("train reviews.csv --text text --label label --out my-model",
     "train reviews.csv --unlabelled more.csv --valid test.csv --class-weight balanced",
     "train pairs.csv --text sentence1 --text sentence2 --encoder minilm", "train ner.conll --out my-tagger",
     "train nsmc.tsv --text document --lang ko"),
    {"file": {**LABELLED["file"], "help": LABELLED["file"]["help"] + "; a .conll file of words with tags; a .json file "
              "of questions with answers, as SQuAD has it"},
     **KIND,
     "--unlabelled": {"type": Path, "metavar": "FILE", "action": "append", "default": [],
                      "help": "more texts, for the language model; may be given several times"},
     **CHUNKSIZE,
     "--valid": {"type": Path, "metavar": "FILE", "help": "labelled texts to measure with (default: one row in ten)"},
     "--out": {"type": Path, "default": Path("ulmfit-model"), "metavar": "DIR", "help": "where the model goes"},
     **OVERWRITE, **RESUME,
     "--encoder": {"metavar": "MODEL", "help": "another encoder, with its weights: e5, minilm or smollm2, if "
                   "installed; a folder that transformers saved; a .gguf file (default: that of --pretrained)"},
     "--bidir": {"action": "store_true", "help": "a forward and a backward model; twice the time"},
     "--class-weight": {"choices": ["balanced"], "help": "let rare classes count as much as common ones"},
     "--patience": {"type": int, "metavar": "N", "help": "end a phase when the validation loss has not improved for N "
                    "epochs; each phase keeps its best one (default: run all epochs)"},
     **CHANGES, **SUBWORD, **TRAINING, **READING},
    one_of={"--pretrained": {"type": Path, "metavar": "DIR", "action": "append",
                             "help": "an exported language model to start from; with --bidir twice, forwards and "
                             "backwards (default: the one that comes with the library, for `--lang`)"}, **START},
    also=("fit", "supervised", "learn", "finetune"), order=1)
