"""What a pretraining run begins with: random weights, or a language model that learns on."""

from typing import NamedTuple

from torch import Tensor

from ulmfit_easy.bundle.foreign import load_any
from ulmfit_easy.errors import FileError, TrainingError
from ulmfit_easy.learner.pretrained import direction_error
from ulmfit_easy.recipes.plan import Plan
from ulmfit_easy.text.vocab import Vocab


class Start(NamedTuple):
    """The shape of a model, and what one that learns on brings with it."""

    arch: str
    config: dict  # sizes that are not the architecture's own
    vocab: Vocab | None = None
    tokenizer: dict | None = None  # as `Tokenizer.config` tells it
    weights: dict[str, Tensor] | None = None


def start_of(plan: Plan) -> Start:
    """What a plan begins with.

    Raises: what `load_any` raises for `plan.pretrained`; FileError E402 if it is no language model or reads the other
        way; TrainingError E502 if one of both has an adaptive softmax, whose weights fit no other.
    """
    if plan.pretrained is None:
        return Start(plan.arch.upper(), plan.config)
    config, vocab, weights = load_any(plan.pretrained)
    if config["kind"] != "language_model" or not any(name.startswith("1.decoder.") for name in weights):
        raise FileError("E402", received=f"{plan.pretrained}, which has no decoder", expected="a language model",
                        fix="name the folder that `ulmfit pretrain` wrote, or another library's language model")
    data = config.get("data") or {}
    if data.get("backwards") not in (None, plan.backwards):
        raise direction_error(plan.pretrained, data["backwards"], plan.backwards)
    softmax = config["model"].get("softmax", "full")
    if "adaptive" in (softmax, plan.softmax) and softmax != plan.softmax:
        raise TrainingError("E502", received=f"softmax={plan.softmax!r} for {plan.pretrained}, trained with "
                            f"{softmax!r}", expected="adaptive for both or for neither",
                            fix="set softmax (--softmax) as that model has it")
    return Start(config["arch"], config["model"].get("config") or {}, vocab, data.get("tokenizer"), weights)
