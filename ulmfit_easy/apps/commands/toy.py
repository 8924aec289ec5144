"""`ulmfit toy`: made-up reviews with labels."""

import argparse
from pathlib import Path

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.flags import next_line
from ulmfit_easy.apps.tables import FORMS, form_of, write
from ulmfit_easy.errors import FileError
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.data.toy import toy_reviews
    from ulmfit_easy.schema import checked, whole

    checked({"rows": whole()}, rows=args.rows)
    form = form_of(args.out, "reviews.csv")
    if args.out.is_file():
        raise FileError("E411", received=f"{args.out}, a file that is there already", expected="the name of a new file",
                        fix="choose another name with --out, or delete the file")
    write(toy_reviews(args.rows, args.seed), args.out, form)
    then = f"{next_line('train', args.out)}, or keep it to test with"
    say(f"Saved {args.rows:,} reviews to {args.out}. Next: {then}")


COMMAND = Command(
    "toy", "write made-up reviews with labels, to try the other commands on", run,
    ("toy --out reviews.csv", "toy --out new.csv --rows 30 --seed 1"),
    {"--out": {"type": Path, "default": Path("reviews.csv"), "metavar": "FILE", "help": "a new file; its ending is one "
               "of " + ", ".join(FORMS)},
     "--rows": {"type": int, "default": 300, "metavar": "N", "help": "number of reviews (default: 300)"},
     "--seed": {"type": int, "default": 0, "metavar": "N", "help": "same seed, same reviews"}},
    also=("example", "sample"), order=90, torch=False)
