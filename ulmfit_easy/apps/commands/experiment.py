"""`ulmfit experiment`: the tables and figures of the ULMFiT paper, on data sets that the user has."""

import argparse
import sys
from pathlib import Path

from ulmfit_easy.apps.command import Command
from ulmfit_easy.errors import ArgumentError, FileError, counted
from ulmfit_easy.terminal import say

NAMES = ("table4", "table5", "table6", "table7", "lowshot", "behaviour", "bidirectional")
DATA = ("trec", "ag", "imdb", "mr", "newsgroups", "sms", "nsmc", "dbpedia", "yelp-bi", "yelp-full")


def run(args: argparse.Namespace) -> int:
    from ulmfit_easy.recipes.experiments.cells import read
    from ulmfit_easy.recipes.experiments.page import write_page
    from ulmfit_easy.recipes.experiments.paper import EXPERIMENTS
    from ulmfit_easy.recipes.experiments.run import Run
    from ulmfit_easy.schema import checked, optional, whole

    checked({"seeds": whole(), "labels": optional(whole(2))}, seeds=args.seeds, labels=args.labels)
    cells, page = args.out / f"{args.name}.jsonl", args.page or args.out / f"{args.name}.md"
    if page.suffix != ".md":
        raise ArgumentError("E602", received=f"--page {page}", expected="the name of a page, which ends in .md",
                            fix=f"pass --page {page.with_suffix('.md')}")
    if args.page is None:
        Run(args.name, args.folder, args.data, cells, args.labels)(args.seeds)
    elif not cells.exists():
        raise FileError("E404", received=f"no {cells}", expected="the cells of a run",
                        fix="leave out --page to run them, or name their folder with --out")
    last = {(line["row"], line["column"], line["seed"]): line for line in read(cells)}  # of a cell that ran twice
    done = [line for line in last.values() if "error" not in line]
    if done:
        write_page(args.name, EXPERIMENTS[args.name], done, page)
        say(f"Saved {page}, with a plot and a CSV file. Write what it says under its last heading: the words stay.")
    if failed := len(last) - len(done):
        say(f"{counted(failed, 'cell')} failed: {cells} tells why. The same line runs them again.", sys.stderr)
    return int(failed > 0)


COMMAND = Command(
    "experiment", "repeat a table or figure of the ULMFiT paper, such as table7", run,
    ("experiment table7 --data trec --folder my-data --seeds 3",
     "experiment table7 --page results/table7.md"),
    {"name": {"choices": NAMES, "metavar": "NAME", "help": f"one of {', '.join(NAMES)}"},
     "--data": {"choices": DATA, "nargs": "+", "metavar": "NAME", "default": ["trec"],
                "help": f"data sets: {', '.join(DATA)} (default: trec)"},
     "--folder": {"type": Path, "default": Path(), "metavar": "DIR", "help": "where the folders of the data sets lie, "
                  "with their official files, or with tables train.csv and test.csv"},
     "--labels": {"type": int, "metavar": "N", "help": "labelled rows per class (default: about 500 in all)"},
     "--seeds": {"type": int, "default": 3, "metavar": "N", "help": "how often to repeat, with other labelled rows and "
                 "random numbers (default: 3)"},
     "--out": {"type": Path, "default": Path("experiments"), "metavar": "DIR", "help": "where the cells go, and the "
               "page with its plot and CSV file"},
     "--page": {"type": Path, "metavar": "FILE", "help": "write the page there from the cells in --out that have run, "
                "and run nothing"}},
    more="Each cell is a way to train, a data set and a seed. A cell that has run is not run again, so the same "
    "command continues a run that was stopped.", also=("experiments", "reproduce", "paper"), order=92)
