"""`ulmfit query`: which texts of a pool to label next."""

import argparse
import sys
from pathlib import Path

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.options import FILE, MODEL, OF_TRAINING, READING
from ulmfit_easy.apps.tables import FORMS, form_of, write
from ulmfit_easy.errors import check_new, counted
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.apps.sources import texts_in
    from ulmfit_easy.apps.whole_model import load_model, read_pool
    from ulmfit_easy.recipes.query import query

    form = ".csv" if args.out is None else form_of(args.out, "next.csv")
    model = load_model(args.model, classes=True)
    df, columns = read_pool(args.file, model, args)
    check_new(["score"], df.columns, args.file)  # before the model reads the pool
    known = None
    if args.labelled is not None:
        known = texts_in(read_pool(args.labelled, model, args)[0], *columns)
    chosen = query(model, texts_in(df, *columns), args.k, args.strategy, labelled=known)
    found = df.iloc[chosen.index].assign(score=chosen["score"].round(4).tolist())
    write(found, args.out, form)
    if not args.quiet:
        say(f"{counted(len(found), 'row')} of {len(df):,} written{f' to {args.out}' if args.out else ''}",
            None if args.out else sys.stderr)


COMMAND = Command(
    "query", "choose the texts of a pool that are worth a label most (active learning)", run,
    ("query my-model pool.csv -k 20 --out next.csv", "query my-model pool.csv --strategy entropy"),
    {**MODEL, **FILE,
     "-k": {"type": int, "default": 20, "metavar": "K", "help": "how many rows (default: 20)"},
     "--strategy": {"default": "margin", "metavar": "NAME", "help": "margin or entropy, the texts of which the model "
                    "is least sure; kcenter, texts that differ"},
     "--labelled": {"type": Path, "metavar": "FILE", "help": "for kcenter, texts that have labels: new ones must "
                    "differ from these too"},
     **OF_TRAINING,
     "--out": {"type": Path, "metavar": "FILE", "help": "where the rows go; the ending is one of " + ", ".join(FORMS)
               + " (default: CSV to standard output)"},
     **READING},
    more="The rows keep their columns, and have a column score. The first row is worth most.",
    also=("active", "sample", "annotate", "ask"), order=4)
