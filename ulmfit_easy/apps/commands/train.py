"""`ulmfit train`: a classifier from a table or a folder of labelled texts."""

import argparse
from pathlib import Path

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.flags import next_line, same_flags
from ulmfit_easy.apps.options import LABEL, LABELLED, READING, START, TEXT, TRAINING
from ulmfit_easy.apps.saving import OVERWRITE, keep, model_place
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> None:
    import pandas as pd

    from ulmfit_easy.apps.sources import read_any, texts_in
    from ulmfit_easy.data.sources import accepted
    from ulmfit_easy.recipes.estimator import ULMFiT
    from ulmfit_easy.recipes.saved import foreign_to_estimator

    model_place(args.out, args.overwrite, foreign_to_estimator)
    df = read_any(args.file, [args.text, args.label], args)
    if (rows := accepted(df, [df[args.text], df[args.label]])) is not None:
        df = df.iloc[rows]
    more = [text for file in args.unlabelled for text in texts_in(read_any(file, [args.text], args), args.text)]
    pretrained = True if args.pretrained is None else args.pretrained
    if pretrained and pretrained is not True and not args.bidir:
        if len(pretrained) > 1:
            raise ArgumentError("E603", received="--pretrained twice", expected="--bidir with it",
                                fix="add --bidir, or name one model")
        pretrained = pretrained[0]
    if args.bidir and args.backwards:
        raise ArgumentError("E603", received="--bidir and --backwards", expected="one of the two",
                            fix="leave --backwards out: --bidir trains both directions")
    model = ULMFiT(preset=args.preset, pretrained=pretrained, backwards=args.backwards, bidir=args.bidir,
                   lang=args.lang, class_weight=args.class_weight, seed=args.seed, verbose=not args.quiet,
                   encoder=args.encoder)
    texts = pd.Series(texts_in(df, args.text), name=args.text, dtype=object)
    model.fit(texts, df[args.label], more or None)
    keep(model.save, args.out)
    say(f"Saved to {args.out}. Next: " + next_line("predict", args.out, "FILE", *same_flags(
        args, "encoding", "delimiter", "quoting")))


COMMAND = Command(
    "train", "train a classifier on a table or a folder of labelled texts", run,
    ("train reviews.csv --text text --label label --out my-model",
     "train reviews.csv --unlabelled more.csv --class-weight balanced"),
    {**LABELLED, **TEXT, **LABEL,
     "--unlabelled": {"type": Path, "metavar": "FILE", "action": "append", "default": [],
                      "help": "more texts, for the language model; may be given several times"},
     "--out": {"type": Path, "default": Path("ulmfit-model"), "metavar": "DIR", "help": "where the model goes"},
     **OVERWRITE,
     "--encoder": {"metavar": "MODEL", "help": "another encoder, with its weights: minilm or smollm2, if installed; "
                   "a folder that transformers saved; a .gguf file (default: that of --pretrained)"},
     "--bidir": {"action": "store_true", "help": "a forward and a backward model; twice the time"},
     "--class-weight": {"choices": ["balanced"], "help": "let rare classes count as much as common ones"},
     **TRAINING, **READING},
    one_of={"--pretrained": {"type": Path, "metavar": "DIR", "action": "append",
                             "help": "an exported language model to start from; with --bidir twice, forwards and "
                             "backwards (default: the one that comes with the library, for English)"}, **START},
    also=("fit", "supervised", "learn", "finetune"), order=1)
