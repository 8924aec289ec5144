"""`ulmfit predict`: the answers of a model for texts, next to the columns of their table."""

import argparse
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.options import MODEL, OF_TRAINING, READING
from ulmfit_easy.apps.tables import FORMS, form_of, writing
from ulmfit_easy.errors import FileError, counted, in_rows
from ulmfit_easy.terminal import say

if TYPE_CHECKING:
    import pandas as pd


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.apps.answers import Answers
    from ulmfit_easy.apps.saved_model import SavedModel, text_columns
    from ulmfit_easy.apps.sources import texts_in, typed_texts
    from ulmfit_easy.recipes.inputs import empty_rows
    from ulmfit_easy.schema import checked, optional, whole

    checked({"top_k": optional(whole())}, top_k=args.top_k)
    out = None if args.out in (Path("-"), Path("/dev/stdout")) else args.out  # a shell may add to that file
    form = ".csv" if out is None else form_of(out)
    model = SavedModel(args.model)
    columns = text_columns(args.text, model.text_cols)
    target = model.predictor.prepare.target
    sep = None if form.startswith((".jsonl", ".parquet")) else (
        " " if target.per == "token" else model.predictor.prepare.label_delim or ";")
    answers = Answers(columns, args.top_k, args.proba, sep)
    typed = typed_texts(args.texts, columns)
    if typed and out is None:
        for found in model.predict(typed):
            answer = answers.cells(found)
            say("  ".join(f"{value}" if name.startswith("pred") or len(answer) == 2 else f"{name} {value}"
                          for name, value in answer.items()), sys.stdout)
        return
    tables = _tables(typed, args, columns, target.kind)
    table, n, empty = next(tables), 0, list[int]()  # an input that cannot be read touches no output
    with writing(out, form, args.safe_cells) as put:
        for df in chain([table], tables):
            put(answers.added(df, model, args.texts[0], n))
            empty += [n + i for i in empty_rows(texts_in(df, *columns))] if len(columns) == 1 else []
            n += len(df)
    if not args.quiet:
        none = f", {len(empty):,} without text ({in_rows(empty)}, counted from 0)" if empty else ""
        say(f"{counted(n, 'row')} written{f' to {out}' if out else ''}{none}", None if out else sys.stderr)


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
     'predict my-model "Would buy again." --proba', "predict my-model - < texts.txt"),
    {**MODEL,
     "texts": {"nargs": "+", "metavar": "FILE", "help": "a table (.csv, .tsv, .jsonl, .xlsx, .parquet), a folder of "
               ".txt files, - for standard input, or a text between quotes; two texts for a model of pairs"},
     **OF_TRAINING,
     "--top-k": {"type": int, "metavar": "K", "help": "the K likeliest classes, with probabilities (default: the "
                 "likeliest one)"},
     "--proba": {"action": "store_true", "help": "a column with the probability of each class"},
     "--out": {"type": Path, "metavar": "FILE", "help": "where the table of predictions goes; the ending is one of "
               + ", ".join(FORMS) + " (default: CSV to standard output)"},
     "--safe-cells": {"action": "store_true", "help": "put a ' before text that a spreadsheet would run as a formula, "
                      "in predictions too"},
     **READING},
    also=("classify", "infer", "label", "predict-prob"), order=2)
