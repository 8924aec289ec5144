"""`ulmfit tune`: a search for better rates, epochs and dropouts, which ends in a preset for `ulmfit train`."""

import argparse
from pathlib import Path

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.flags import next_line, same_flags
from ulmfit_easy.apps.options import LABELLED, READING, TEXTS
from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.apps.presets import preset_given
    from ulmfit_easy.apps.sources import read_any, texts_in
    from ulmfit_easy.extras import optional_package
    from ulmfit_easy.files import writable, write_json
    from ulmfit_easy.recipes.tune import tune

    optional_package("optuna")  # before anything is read
    if args.out.suffix != ".json":
        raise ArgumentError("E602", received=f"--out {args.out}", expected="a name that ends in .json",
                            fix=f"try --out {args.out.with_suffix('.json')}")
    if writable(args.out).exists() and not args.overwrite:
        raise FileError("E412", received=f"{args.out}, a file that exists", expected="a new file",
                        fix="choose another name with --out, or add --overwrite")
    preset = preset_given(args.preset)
    texts, label = args.text or ["text"], args.label or "label"
    df = read_any(args.file, [*texts, label], args, len(texts))
    more = [text for file in args.unlabelled for text in texts_in(read_any(file, texts, args, len(texts)), *texts)]
    found = tune(df, args.minutes, text_col=texts, label_col=label, unlabelled=more, preset=preset,
                 pretrained=args.pretrained or "en", n_trials=args.n_trials, seed=args.seed)
    write_json(args.out, found.preset.to_json())
    say(f"Saved to {args.out}. Next: " + next_line("train", args.file, "--preset", args.out, *same_flags(
        args, "text", "label", "unlabelled", "pretrained", "encoding", "delimiter", "quoting")))


COMMAND = Command(
    "tune", "search the rates, epochs and dropouts of the classifier with Optuna", run,
    ("tune reviews.csv --minutes 30 --out tuned.json",),
    {**LABELLED, **TEXTS,
     "--label": {"metavar": "COL", "help": "column with the labels (default: label)"},
     "--minutes": {"type": float, "default": 10.0, "metavar": "M", "help": "no trial begins after them (default: 10)"},
     "--n-trials": {"type": int, "metavar": "N", "help": "stop after that many trials, too"},
     "--unlabelled": {"type": Path, "metavar": "FILE", "action": "append", "default": [],
                      "help": "more texts, for the language model; may be given several times"},
     "--pretrained": {"type": Path, "metavar": "DIR", "help": "an exported language model to start from (default: the "
                      "one that comes with the library, for `--lang`)"},
     "--preset": {"metavar": "NAME", "help": "where to begin: a preset, or a file of this command (default: the "
                                             "encoder's own)"},
     "--seed": {"type": int, "default": 0, "metavar": "N", "help": "of the split, of all fits and of the search"},
     "--out": {"type": Path, "default": Path("tuned.json"), "metavar": "FILE", "help": "where the best preset goes"},
     "--overwrite": {"action": "store_true", "help": "replace an older file"},
     **READING},
    more="It needs the package optuna. Each trial is measured on the same rows kept aside, one in five. So the best "
    "accuracy is a little too good: measure it on rows that nobody has read.", also=("search", "hpo", "optimize"),
    order=5)
