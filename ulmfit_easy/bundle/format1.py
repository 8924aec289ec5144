"""Read the config.json of format 1, which every release must continue to read, as one of format 2."""

from ulmfit_easy.data.targets import TARGETS
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.models.heads.pooling import PoolingLinearClassifier
from ulmfit_easy.models.softmax import LMDecoder

READER = ("seq_len", "max_len")
ABOUT_LOSS = ("thresh", "takes_probabilities")


def upgraded(config: dict) -> dict:
    """Return a config of format 2 that says the same.

    Raises: LookupError, TypeError, ValueError, AttributeError or TrainingError for a config that lacks something or
        names an unknown encoder. Values are checked elsewhere.
    """
    arch, model, text = get_arch(config["arch"]), dict(config["model"]), dict(config["data"])
    is_lm = {"language_model": True, "classifier": False}[config["kind"]]
    defaults = arch.lm_config if is_lm else arch.clas_config
    given, drop_mult = model.pop("config") or {}, model.pop("drop_mult", 1.0)
    encoder = {**defaults, **given}
    encoder = {name: value * drop_mult if name.endswith("_p") else value for name, value in encoder.items()}
    settings = {name: encoder.pop(name) for name in ("output_p", "tie_weights", "out_bias") if name in encoder}
    name = model.pop("head", (LMDecoder if is_lm else PoolingLinearClassifier).__name__)
    parts = {} if is_lm else {"reader": {name: model.pop(name) for name in READER if name in model}}
    task, target = text.pop("task"), {name: text.pop(name) for name in ("classes", "n_out") if name in text}
    target = {name: target[name] for name in TARGETS[task].SETTINGS}
    if "n_class" in model and model.pop("n_class") != TARGETS[task].from_config(target).c:
        raise ValueError("another number of outputs than the labels need")
    settings |= {name: value for name, value in model.items() if value not in (None, False)}
    if "pad_token" not in given:  # the vocabulary decides it
        del encoder["pad_token"]
    return {"task": task, "text": text, "target": target, "encoder": {"name": arch.__name__, "config": encoder},
            "head": {"name": name, "config": settings}, **parts,
            "loss": {name: config[name] for name in ABOUT_LOSS if name in config},
            **({"precision": config["precision"]} if "precision" in config else {})}
