"""`ulmfit export`: a trained model for programs without torch."""

import argparse
from pathlib import Path

from ulmfit_easy.apps.command import Command
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.apps.saved_model import SavedModel
    from ulmfit_easy.files import read_json
    from ulmfit_easy.learner.onnx import told
    from ulmfit_easy.recipes.ensemble import first_to_onnx

    model = SavedModel(args.model)
    out = first_to_onnx(model.predictors, model.blend, args.out, args.quantize)
    size = (out / "model.onnx").stat().st_size
    changes = read_json(out / "config.json").get("int8")
    compared = f". 8-bit weights {told(changes)}" if changes else ", its numbers compared with torch's"
    say(f"{size / 1e6:,.1f} MB{compared}. Saved to {out}.")


COMMAND = Command(
    "export", "write a model as an ONNX graph, for programs without torch", run,
    ("export my-model my-onnx", "export my-model my-onnx --quantize"),
    {"model": {"type": Path, "metavar": "DIR", "help": "what `ulmfit train` wrote, or `learn.export` in Python"},
     "out": {"type": Path, "metavar": "OUT", "help": "the folder of the graph, its vocabulary and its classes"},
     "--quantize": {"action": "store_true", "help": "keep weights in 8 bits: about a quarter of the size, and answers "
                    "that differ a little"}},
    also=("onnx", "to-onnx", "export-onnx"), order=9)
