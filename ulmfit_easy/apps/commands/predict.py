"""`ulmfit predict`: the answers of a model for texts, next to the columns of their table."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.options import CLUSTER, MODEL, OF_TRAINING, READING
from ulmfit_easy.apps.tables import FORMS, form_of
from ulmfit_easy.errors import ArgumentError, FileError, counted, in_rows
from ulmfit_easy.terminal import say

if TYPE_CHECKING:
    import pandas as pd


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.apps.answers import Answers, separator
    from ulmfit_easy.apps.parts import are_several
    from ulmfit_easy.apps.saved_model import SavedModel, text_columns
    from ulmfit_easy.apps.sources import typed_texts
    from ulmfit_easy.bars import rows_of
    from ulmfit_easy.cluster import check_workers
    from ulmfit_easy.schema import checked, optional, whole

    checked({"top_k": optional(whole())}, top_k=args.top_k)
    check_workers(args.scheduler, args.workers)
    if args.scheduler or are_several(args.texts):
        _run_parts(args)
        return
    out = None if args.out in (Path("-"), Path("/dev/stdout")) else args.out  # a shell may add to that file
    form = ".csv" if out is None else form_of(out)
    model = SavedModel(args.model)
    columns = text_columns(args.text, model.text_cols)
    answers = Answers(columns, args.top_k, args.proba, separator(model, form))
    typed = typed_texts(args.texts, columns)
    if typed and out is None:
        for found in model.predict(typed):
            answer = answers.cells(found)
            say("  ".join(f"{value}" if name.startswith("pred") or len(answer) == 2 else f"{name} {value}"
                          for name, value in answer.items()), sys.stdout)
        return
    tables = rows_of(_tables(typed, args, columns, model.predictor.prepare.target.kind), "predicting")
    n, empty = answers.write(tables, model, args.texts[0], out, form, args.safe_cells)
    if not args.quiet:
        none = f", {len(empty):,} without text ({in_rows(empty)}, counted from 0)" if empty else ""
        say(f"{counted(n, 'row')} written{f' to {out}' if out else ''}{none}", None if out else sys.stderr)


def _run_parts(args: argparse.Namespace) -> None:
    """Answer for many files, one output file for each."""
    from ulmfit_easy.apps.answers import Answers
    from ulmfit_easy.apps.parts import Job, model_of, predict_parts, sha256_of_model
    from ulmfit_easy.apps.saved_model import text_columns
    from ulmfit_easy.files import existing

    if args.out in (None, Path("-"), Path("/dev/stdout")):
        raise ArgumentError("E603", received="several files, or --scheduler, without --out", expected="a folder for "
                            "the answers", fix="name a new one with --out")
    model, sha256 = args.model.absolute(), sha256_of_model(existing(args.model))
    saved = model_of(str(model), sha256)
    answers = Answers(text_columns(args.text, saved.text_cols), args.top_k, args.proba)
    reading = {name: getattr(args, name) for name in ("encoding", "quoting", "delimiter")}
    job = Job(str(model), str(args.out.absolute()), sha256, answers, saved.predictor.prepare.target.kind, reading,
              args.safe_cells)
    told = predict_parts(args.texts, job, args.scheduler, args.workers)
    if not args.quiet:
        say(told)


def _tables(typed: list | None, args: argparse.Namespace, columns: list[str], kind: str) -> "Iterator[pd.DataFrame]":
    """Yield the texts in tables with the columns. A CSV file may be larger than memory."""
    import pandas as pd

    from ulmfit_easy.apps.sources import read_in_pieces

    if typed:
        yield pd.DataFrame([text if isinstance(text, tuple) else (text,) for text in typed], columns=columns)
        return
    try:
        yield from read_in_pieces(Path(name := args.texts[0]), columns, args, len(columns), kind)
    except FileError as e:
        if e.code != "E404" or Path(name).name != name or "." in name:
            raise
        raise FileError("E404", received=f"{name}, where no file is", expected="a file, a folder or a text",
                        fix=f"check the spelling; for a text of one word, echo {name} | ulmfit predict "
                        f"{args.model} -") from e


COMMAND = Command(
    "predict", "answer for the texts of a table, a folder, standard input or the command line", run,
    ("predict my-model new.csv --out predictions.csv", "predict my-model new.csv --top-k 3",
     'predict my-model "Would buy again." --proba', "predict my-model - < texts.txt",
     'predict my-model "in/*.parquet" --out answers --scheduler local --workers 2'),
    {**MODEL,
     "texts": {"nargs": "+", "metavar": "FILE", "help": "a table (.csv, .tsv, .jsonl, .xlsx, .parquet) or several, a "
               "folder of .txt files, - for standard input, or a text between quotes; two texts for a model of pairs"},
     **OF_TRAINING,
     "--top-k": {"type": int, "metavar": "K", "help": "the K likeliest classes, with probabilities (default: the "
                 "likeliest one)"},
     "--proba": {"action": "store_true", "help": "a column with the probability of each class"},
     "--out": {"type": Path, "metavar": "FILE", "help": "where the table of predictions goes; the ending is one of "
               + ", ".join(FORMS) + " (default: CSV to standard output); for several files a folder "
               "with one for each"},
     "--safe-cells": {"action": "store_true", "help": "put a ' before text that a spreadsheet would run as a formula, "
                      "in predictions too"},
     **CLUSTER, **READING},
    also=("classify", "infer", "label", "predict-prob"), order=2)
