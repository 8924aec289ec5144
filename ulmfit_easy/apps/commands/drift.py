"""`ulmfit drift`: if new texts are like those that a model was validated with."""

import argparse
import sys

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.options import FILE, MODEL, OF_TRAINING, READING
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> int:
    from ulmfit_easy.apps.sources import texts_in
    from ulmfit_easy.apps.whole_model import load_model, read_pool
    from ulmfit_easy.recipes.drift import drift
    from ulmfit_easy.recipes.inputs import empty_rows, without

    model = load_model(args.model)
    df, columns = read_pool(args.file, model, args)
    texts = texts_in(df, *columns)
    found = drift(model, without(texts, empty_rows(texts)))
    say(found, sys.stdout)
    return 1 if found.drifted else 0


COMMAND = Command(
    "drift", "compare new texts with those of the training: scores, classes, unknown words", run,
    ("drift my-model new.csv", "drift my-model texts.txt"),
    {**MODEL, **FILE, **OF_TRAINING, **READING},
    more="Give 200 texts or more: few move by chance. It ends with 1 if the model should be looked at, else with 0.",
    also=("monitor", "shift"), order=4)
