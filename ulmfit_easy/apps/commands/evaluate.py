"""`ulmfit evaluate`: how well a model answers for labelled texts that it has not read, next to the baseline."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.options import LABELLED, MODEL, OF_TRAINING, READING
from ulmfit_easy.errors import ArgumentError, LabelError, counted, some
from ulmfit_easy.terminal import say
from ulmfit_easy.user_code import warn_user

if TYPE_CHECKING:
    from ulmfit_easy.apps.saved_model import SavedModel
    from ulmfit_easy.data.targets import Target


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.apps.saved_model import SavedModel, text_columns
    from ulmfit_easy.apps.sources import read_any, texts_in
    from ulmfit_easy.data.sources import find_columns, taught
    from ulmfit_easy.data.targets import read_labels
    from ulmfit_easy.files import write_json
    from ulmfit_easy.learner.tasks import TASKS
    from ulmfit_easy.places import file_place
    from ulmfit_easy.recipes.inputs import empty_rows

    if args.out is not None and file_place(args.out).suffix != ".json":
        raise ArgumentError("E602", received=f"--out {args.out}", expected="a name that ends in .json",
                            fix=f"try --out {args.out.with_suffix('.json')}")
    model = SavedModel(args.model)
    prepare = model.predictor.prepare
    columns = text_columns(args.text, model.text_cols)
    labelled = [args.label] if args.label else model.label_cols or ["label"]
    df = taught(read_any(args.file, [*columns, *labelled], args, len(columns), prepare.target.kind),
                [*columns, *labelled])
    texts = texts_in(df, *columns)
    empty = empty_rows(texts) if len(columns) == 1 else []
    kept = [i for i in range(len(df)) if i not in {*empty}]
    given = [each.iloc[kept] for each in find_columns(df, labelled)]
    labels = read_labels(given, delim=args.label_delim or prepare.label_delim, y_block=prepare.target, rows=kept)[1]
    _check_classes(labels, prepare.target)
    found = model.predict_all(texts := [texts[i] for i in kept])
    report = TASKS[prepare.task].report(labels, found)
    lines = [f"{counted(len(df), 'row')}" + f", {len(empty):,} without text left out" * bool(empty),
             ", ".join(f"{name} {value:.3f}" for name, value in report.figures.items()),
             *(_beside_the_baseline(model, texts, labels, found) if prepare.target.one_class else _in_training(model))]
    say("\n".join(lines) + f"\n\n{report.tables}".rstrip(), sys.stdout)
    if args.out is not None:
        write_json(args.out, {"rows": len(kept), **report.figures})


def _check_classes(labels: list, target: "Target") -> None:
    """Warn of labels that are none of the classes. E203 if all of them are such."""
    if not target.one_class:
        return
    known, given = {str(name) for name in target.classes or []}, {str(label) for label in labels}
    if given and not given & known:
        raise LabelError("E203", received=f"labels that are not classes of this model: {some(sorted(given))}",
                         expected=f"labels among {some(sorted(known), 20)}", fix="name their column with --label")
    if new := sorted(given - known):
        warn_user(f"labels {some(map(repr, new))} are none of the classes, and count as wrong")


def _beside_the_baseline(model: "SavedModel", texts: list, labels: list, found: list) -> list[str]:
    """Return lines on a model and TF-IDF, on these texts and on those that were kept aside in training."""
    from ulmfit_easy.recipes.compare import scored, verdict
    from ulmfit_easy.recipes.counts import OF_BASELINE
    from ulmfit_easy.recipes.inputs import one_string

    classes, lines, theirs = model.predictor.classes or [], [], None
    linear = next((m for m in (model.blend.members if model.blend else []) if m.kind in OF_BASELINE), None)
    if linear:
        at = linear.probs(linear.read(one_string(texts)), len(classes)).argmax(1)
        theirs = [classes[i] for i in at]
    scores = scored(labels, [each[0] for each in found], theirs)
    lines.append(f"95% interval of the accuracy: {scores.low:.3f} to {scores.high:.3f}")
    if scores.baseline_accuracy is not None:
        lines += [f"TF-IDF with logistic regression, which learned beside it: accuracy {scores.baseline_accuracy:.3f}, "
                  f"macro-F1 {scores.baseline_macro_f1:.3f} on the same texts", verdict(scores)]
    return [*lines, *_in_training(model)]


def _in_training(model: "SavedModel") -> list[str]:
    """Return a line with the scores of an estimator and of its baseline on the texts kept aside in training."""
    said = {name: value for name, value in (model.settings.get("scores") or {}).items() if value is not None}
    ours = [name for name in said if f"baseline_{name}" in said or name in ("accuracy", "r2")]
    told = [f"{name.replace('_f1', '-F1')} {said[name]:.3f}" + f" (TF-IDF {said[f'baseline_{name}']:.3f})" * (
        f"baseline_{name}" in said) for name in ours]
    return [f"In training, on texts kept aside: {', '.join(told)}"] if told else []


COMMAND = Command(
    "evaluate", "score a model on labelled texts that it has not read, beside TF-IDF", run,
    ("evaluate my-model test.csv", "evaluate my-model test.csv --out scores.json"),
    {**MODEL,
     **LABELLED,
     **OF_TRAINING,
     "--label": {"metavar": "COL", "help": "column with the labels (default: the one that the model learned from)"},
     "--label-delim": {"metavar": "CHAR", "help": "what stands between the labels of a text that may have several"},
     "--out": {"type": Path, "metavar": "FILE", "help": "where the scores go too, as JSON"},
     **READING},
    more="Of classes it tells accuracy, macro-F1, each class and which were confused; of numbers the errors; of tags "
    "and answers F1.", also=("test", "score", "eval", "benchmark"), order=3)
