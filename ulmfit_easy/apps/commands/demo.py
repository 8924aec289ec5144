"""`ulmfit demo`: the three stages on real movie reviews."""

import argparse
from pathlib import Path

from ulmfit_easy.apps.command import Command
from ulmfit_easy.errors import FileError


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.apps.demo import run_demo

    if not args.data.exists():
        raise FileError("E404", received=f"no file {args.data}", expected="the archive with the demo's texts",
                        fix="run `make demo`, which fetches it, or name it with --data")
    run_demo(args.data, args.out, seed=args.seed)


COMMAND = Command(
    "demo", "run the three stages on real movie reviews (`make demo` fetches them)", run,
    ("demo --data demo-data/vaderSentiment-2.5.tar.gz",),
    {"--data": {"type": Path, "default": Path("demo-data/vaderSentiment-2.5.tar.gz"), "metavar": "FILE",
                "help": "the archive with the reviews"},
     "--out": {"type": Path, "default": Path("demo-output"), "metavar": "DIR", "help": "where the plots go"},
     "--seed": {"type": int, "default": 0, "metavar": "N",
                "help": "chooses the reviews and starts all random numbers"}}, order=91)
