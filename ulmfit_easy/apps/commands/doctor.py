"""`ulmfit doctor`: what may spoil a training, before hours are spent on it."""

import argparse
import sys
from dataclasses import replace

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.flags import at_command_line
from ulmfit_easy.apps.options import LABELLED, READING
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> int:
    from ulmfit_easy.apps.sources import read_any
    from ulmfit_easy.data.doctor import doctor
    from ulmfit_easy.data.sources import joined

    named = args.text or []
    if args.file.is_dir():
        named = named or ["text"]
        df = read_any(args.file, [*named, args.label or "label"], args)
    else:
        df = read_any(args.file, [*named, *([args.label] if args.label else [])], args, len(named))
    found = doctor(df.map(joined) if named else df, named or "", args.label or "", label_delim=args.label_delim)
    told = replace(found, figures={name: at_command_line(value, args.parser) for name, value in found.figures.items()},
                   findings=[each._replace(advice=at_command_line(each.advice, args.parser))
                             for each in found.findings])
    say(told, sys.stdout)
    return 0 if found.ok else 1


COMMAND = Command(
    "doctor", "look for what may spoil a training: duplicates, damaged texts, rare labels and more", run,
    ("doctor reviews.csv", "doctor reviews.csv --text title --text body --label stars"),
    {**LABELLED,
     "--text": {"action": "append", "metavar": "COL", "help": "column with the texts; may be given several times "
                "(default: text, or the column with the longest cells)"},
     "--label": {"metavar": "COL", "help": "column with the labels (default: label, or the column with the fewest "
                 "different values)"},
     "--label-delim": {"metavar": "CHAR", "help": "what stands between the labels of a text that has several"},
     **READING},
    more="It ends with 1 if it finds a problem, else with 0.", also=("check", "debug", "lint", "validate"), order=4)
