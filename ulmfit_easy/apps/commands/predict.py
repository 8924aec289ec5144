"""`ulmfit predict`: the classes of the texts of a table, written in the form that the ending of `--out` names."""

import argparse
import sys
from pathlib import Path

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.options import FILE, READING
from ulmfit_easy.apps.tables import FORMS, form_of, write
from ulmfit_easy.errors import FileError
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.apps.sources import read_any, texts_in
    from ulmfit_easy.learner.load import load_predictor
    from ulmfit_easy.recipes.ensemble import probabilities
    from ulmfit_easy.recipes.inputs import as_array, empty_rows, rows_read
    from ulmfit_easy.recipes.saved import PARAMS, load_saved

    out = None if args.out in (Path("-"), Path("/dev/stdout")) else args.out  # a shell may add to that file
    form = ".csv" if out is None else form_of(out)
    if args.model.is_dir() and not (args.model / PARAMS).exists():
        raise FileError("E404", received=f"{args.model}, a folder without {PARAMS}",
                        expected="the folder that `ulmfit train` wrote", fix="name that one, not a folder in it, nor a "
                        "language model, which `ulmfit train FILE --pretrained DIR` makes a classifier of")
    _, predictors, blend = load_saved(args.model, load_predictor)
    text = args.text or predictors[0].prepare.text_cols[0]
    df = read_any(args.file, [text], args)
    if taken := {"prediction", "probability"} & set(df.columns):
        raise FileError("E407", received=f"{args.file} with a column {min(taken)!r}", expected="no such column yet",
                        fix="rename it, so that it is not overwritten")
    probs = probabilities(predictors, texts := texts_in(df, text), blend=blend)
    df = df.assign(prediction=as_array(predictors[0].classes)[probs.argmax(1)], probability=probs.max(1).round(4))
    saved = "" if out is None else f". Replaced {out}" if out.is_file() else f". Saved to {out}"
    write(df, out, form, args.safe_cells)
    say(rows_read(len(df), empty_rows(texts)) + saved, None if out else sys.stderr)


COMMAND = Command(
    "predict", "classify the texts of a table or a folder", run,
    ("predict my-model new.csv --out predictions.csv",),
    {"model": {"type": Path, "metavar": "DIR", "help": "what `ulmfit train` wrote"}, **FILE,
     "--text": {"metavar": "COL", "help": "column with the texts (default: the one that the model learned from)"},
     "--out": {"type": Path, "metavar": "FILE", "help": "where the table of predictions goes; the ending is one of "
               + ", ".join(FORMS) + " (default: CSV to standard output)"},
     "--safe-cells": {"action": "store_true", "help": "put a ' before text that a spreadsheet would run as a formula, "
                      "in predictions too"},
     **READING},
    also=("classify", "infer", "label", "predict-prob"), order=2)
