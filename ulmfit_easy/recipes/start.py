"""What a pretraining run begins with: random weights, or a language model that learns on."""

from ulmfit_easy.errors import FileError, TrainingError
from ulmfit_easy.learner.pretrained import PretrainedLM, direction_error, read_lm
from ulmfit_easy.recipes.plan import Plan


def start_of(plan: Plan) -> PretrainedLM | None:
    """The language model that a plan goes on with, None where it starts anew.

    Raises: what `read_lm` raises for `plan.pretrained`; FileError E402 if it has no decoder or reads the other
        way; TrainingError E502 if one of both has an adaptive softmax, whose weights fit no other.
    """
    if plan.pretrained is None:
        return None
    found = read_lm(plan.pretrained)
    if not any(name.startswith("1.decoder.") for name in found.weights):
        raise FileError("E402", received=f"{plan.pretrained}, an encoder without a decoder",
                        expected="a language model", fix="name the language model's file")
    backwards = (found.config.get("data") or {}).get("backwards")
    if backwards not in (None, plan.backwards):
        raise direction_error(plan.pretrained, backwards, plan.backwards)
    softmax = found.config["model"].get("softmax", "full")
    if "adaptive" in (softmax, plan.softmax) and softmax != plan.softmax:
        raise TrainingError("E502", received=f"softmax={plan.softmax!r} for {plan.pretrained}, trained with "
                            f"{softmax!r}", expected="adaptive for both or for neither",
                            fix="set softmax (--softmax) as that model has it")
    return found
