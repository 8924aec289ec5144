"""Read what `learn.export` wrote: the parts of a learner, or a predictor, which needs nothing that trains."""

from collections.abc import Callable
from pathlib import Path

import torch

from ulmfit_easy.bundle.artefact import load_bundle, load_state
from ulmfit_easy.bundle.parts import refusing
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.learner.losses import BCELossFlat, activation_of, decodes_of
from ulmfit_easy.learner.predictor import Predictor
from ulmfit_easy.learner.tasks import TASKS
from ulmfit_easy.models.build import build_model
from ulmfit_easy.models.encoder import Headed
from ulmfit_easy.models.precision import chosen
from ulmfit_easy.schema import one_of, path, takes
from ulmfit_easy.text.tokenizers import Tokenizer


def load_parts(fname: str | Path, cpu: bool = True,
               tokenizer: Tokenizer | None = None) -> tuple[dict, Preparation, Headed, Callable, torch.device]:
    """Return config, preparation, model (in evaluation mode), loss and device. Arguments as of `load_learner`."""
    config, vocab, weights = load_bundle(fname)
    device = torch.device("cpu" if cpu or not torch.cuda.is_available() else "cuda")
    with refusing(fname):
        prepare = Preparation.from_config(config, vocab, tokenizer)
        model, said = build_model(config, vocab, prepare.target.c), config["loss"]
        loss_func = BCELossFlat() if said.get("takes_probabilities") else TASKS[prepare.task].loss(None)
        if said.get("thresh") is not None:
            loss_func.thresh = said["thresh"]
    load_state(model, weights, fname)
    return config, prepare, model.to(device).eval(), loss_func, device


@takes({"fname": path, "precision": one_of(("auto", "fp32", "bf16", "int8"))})
def load_predictor(fname: str | Path, cpu: bool = True, *, tokenizer: Tokenizer | None = None,
                   precision: str = "fp32") -> Predictor:
    """Return a `Predictor` of the classifier (or regression) that `export` wrote: for answers alone.

    It starts faster than a learner, because it imports nothing for training. It takes the arguments of `load_learner`,
    and:

    Args:
        precision: "fp32", the default, gives the same answers on each machine. "bf16" computes in 16 bits, and "auto"
            does so on a CPU that is faster with it. "int8" computes in 8 bits, see `Predictor`.

    Raises:
        ArgumentError: E602 for another precision, and for "int8" with an encoder that has no LSTM layers.
        FileError: E404 if the folder or a file of it is missing. E401 or E402 if it is not a bundle. No code in it is
            run.
        TrainingError: E506 for a language model.
    """
    _, prepare, model, loss_func, device = load_parts(fname, cpu, tokenizer)
    kind = precision if precision == "int8" else chosen(precision, device)
    return Predictor(prepare, model, activation_of(loss_func), decodes_of(loss_func), TASKS[prepare.task].prediction,
                     device, bs=prepare.bs, precision=kind)
