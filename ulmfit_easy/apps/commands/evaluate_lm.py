"""`ulmfit evaluate-lm`: perplexity and bits per character of a language model."""

import argparse
import sys
from pathlib import Path

from ulmfit_easy.apps.command import Command
from ulmfit_easy.errors import ArgumentError, FileError
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.bundle.shipped import named_folder
    from ulmfit_easy.learner.text import load_learner
    from ulmfit_easy.learner.text_learner import LMLearner
    from ulmfit_easy.recipes.evaluate import evaluate_lm
    from ulmfit_easy.recipes.saved import PARAMS
    from ulmfit_easy.text.corpus import Corpus

    if args.model and args.backwards:
        raise ArgumentError("E603", received=f"--model {args.model} and --backwards", expected="one of the two",
                            fix="leave --backwards out: a model knows which way it reads")
    model = named_folder(args.model or "en", args.backwards)
    learn = None if (model / PARAMS).exists() else load_learner(model, cpu=False)
    if not isinstance(learn, LMLearner):
        what = "a classifier" if learn is None or learn.dls.target.labelled else "which does not guess the next token"
        raise FileError("E402", received=f"{model}, {what}", expected="a language model",
                        fix="name the folder that `ulmfit pretrain` or `ulmfit lm` wrote, or leave --model out for the "
                        "one that comes with the library")
    say(evaluate_lm(learn, Corpus(args.files, args.headings)), sys.stdout)


COMMAND = Command(
    "evaluate-lm", "measure perplexity and bits per character of a language model", run,
    ("evaluate-lm held-out.txt --model my-lm",),
    {"files": {"nargs": "+", "metavar": "FILE", "help": "UTF-8 text, also as .gz or .zst"},
     "--model": {"type": Path, "metavar": "DIR", "help": "an exported language model, or the language or name of an "
                 "installed one: ko, awd_lstm-fwd (the default) or awd_lstm-bwd"},
     "--backwards": {"action": "store_true", "help": "without --model: take awd_lstm-bwd"},
     "--headings": {"action": "store_true", "help": "keep lines such as `= Title =`"}},
    more="Each document is read from its beginning. Perplexity is that of a token, unknown words counted as one token "
    "xxunk: it compares models of one vocabulary. Bits per character, with unknown words spelled out, compare all "
    "models.", also=("perplexity",), order=7)
