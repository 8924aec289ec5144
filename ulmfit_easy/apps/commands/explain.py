"""`ulmfit explain`: which words of a text decide the answer of a model."""

import argparse
import sys
from pathlib import Path

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.options import MODEL
from ulmfit_easy.errors import ArgumentError, refuse_stranger
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.apps.saved_model import SavedModel
    from ulmfit_easy.apps.sources import STDIN, typed_texts
    from ulmfit_easy.apps.word_by_word import word_by_word

    model = SavedModel(args.model)
    several = typed_texts(args.texts, model.text_cols)
    if several is None and (args.texts[0] == STDIN or Path(args.texts[0]).exists()):
        raise ArgumentError("E602", received=f"{args.texts[0]}, which is no text", expected="a text",
                            fix="type the text between quotes")
    names = {str(name): name for name in model.predictor.classes or []}
    if args.label is not None:
        refuse_stranger("label=", args.label, names)
    for i, text in enumerate(several or args.texts):
        say("\n" * (i > 0) + str(word_by_word(model, text, names.get(args.label))), sys.stdout)


COMMAND = Command(
    "explain", "show which words of a text speak for an answer, and which against it", run,
    ('explain my-model "The soup was superb. The staff was rude."',
     'explain my-model "The soup was superb." --label neg'),
    {**MODEL,
     "texts": {"nargs": "+", "metavar": "TEXT", "help": "a text between quotes, or several; the fields of one text for "
               "a model of pairs"},
     "--label": {"metavar": "NAME", "help": "the class to explain (default: the likeliest one)"}},
    more="Each word is left out, and the model is asked again: the score of a word is what the log-odds of the class "
    "lose. Long texts lose several words at once.", also=("interpret", "why", "attribute"), order=4)
