"""Check a bundle's config.json: each value of its type, nothing imported by name, sizes those of the weights."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ulmfit_easy.bundle.tensors import not_finite
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.data.targets import TARGETS, Target
from ulmfit_easy.errors import FileError, UlmfitError, some
from ulmfit_easy.models import classifier, language_model
from ulmfit_easy.models.archs import get_arch, plain_config
from ulmfit_easy.models.classifier import get_text_classifier
from ulmfit_easy.models.language_model import get_language_model
from ulmfit_easy.models.precision import PRECISIONS
from ulmfit_easy.schema import MOST, any_of, flag, language, list_of, misfits, none, one_of, only, optional, share, text
from ulmfit_easy.text.vocab import Vocab

BUILDERS = {"language_model": get_language_model, "classifier": get_text_classifier}

MOST_LAYERS = 100  # of an encoder
MOST_RULES, MOST_BUILT_IN = 100, 20  # each is a walk over the text; the built-in ones cost a file a word each

_CUSTOM = only({"custom": text})  # a function that the user must pass in again
_WORDS = {"lang": language, "special_toks": list_of(text, MOST)}
_SPLITTERS = [
    ("SpacyTokenizer", _WORDS), ("SpacyTokenizer", _WORDS | {"chars": flag}),
    ("BaseTokenizer", {"split_char": optional(text)}),
    ("SentencePieceTokenizer", {"lang": language, "base64": optional(text)}),
]


def _rules(value) -> list:
    rules = list_of(any_of(text, _CUSTOM), MOST_RULES)(value)
    if sum(isinstance(rule, str) for rule in rules) > MOST_BUILT_IN:
        raise ValueError(f"at most {MOST_BUILT_IN} rules of the library")
    return rules


_TOKENIZER = only({
    "tok": any_of(_CUSTOM, *(only({"name": one_of((splitter,)), "params": only(params)})
                             for splitter, params in _SPLITTERS)),
    "rules": _rules, "post_rules": _rules, "mark_fields": optional(flag)})
_MODEL = {**language_model.SETTINGS, **classifier.SETTINGS}
_DATA = {**Preparation.SETTINGS, "backwards": optional(flag), "tokenizer": optional(_TOKENIZER)}
_REST = {"thresh": any_of(none, share, list_of(share)), "takes_probabilities": flag,  # one for all classes, or for each
         "precision": one_of(PRECISIONS)}


def check_kinds(config: dict, source):
    """Check what can be told without the weights of a language model or a classifier: E401 and E402, as below.

    A learner calls it when it is made, because no file could hold it otherwise.
    """
    model, data = config.get("model"), config.get("data")
    if not isinstance(model, dict) or not isinstance(data, dict):
        raise _refused(source, "a config.json without `model` or `data`")
    if wrong := misfits(model, _MODEL) + misfits(data, _DATA) + misfits(config, _REST):
        raise _refused(source, f"a config.json with a value of the wrong kind: {some(wrong)}")
    target = TARGETS.get(data.get("task"), Target)
    if target.has_classes and len(data.get("classes") or ()) != model.get("n_class"):
        raise _unfit(source, f"{len(data.get('classes') or ())} classes for {model.get('n_class')} outputs")
    if config.get("takes_probabilities") and target.one_class:
        raise _unfit(source, "an answer of several classes for data with one class each")
    if isinstance(config.get("thresh"), list) and len(config["thresh"]) != model.get("n_class"):
        raise _unfit(source, f"{len(config['thresh'])} thresholds for {model.get('n_class')} outputs")


def check_settings(config: dict, vocab: Vocab, weights: Mapping[str, Tensor], source):
    """Check the config of a language model or a classifier, before anything is built from it; others pass.

    Raises: FileError E401 for a value of another type; E402 where the weights are not those of the model that is
        described, are no finite numbers, or where there are more classes than outputs.
    """
    if not isinstance(config.get("kind"), str) or config["kind"] not in BUILDERS:
        return
    check_kinds(config, source)
    model = config["model"]
    if nan := not_finite(weights):
        raise _unfit(source, f"weights that are no finite numbers: {some(nan, 3)}")
    own = _shapes(config, model, len(vocab), len(weights), source)
    found = {name: (t.shape, t.is_floating_point()) for name, t in weights.items()}
    if wrong := sorted(name for name in own | found if own.get(name) != found.get(name)):
        raise _unfit(source, f"weights that are missing, unknown, or of another shape or type: {some(wrong, 3)}")


def _shapes(config: dict, model: dict, n_words: int, n_tensors: int, source) -> dict[str, tuple]:
    """Shape and type of each weight of the model that is described; nothing is allocated."""
    try:
        arch = get_arch(config["arch"])
        sizes = model["config"] or {}
        defaults = arch.lm_config if config["kind"] == "language_model" else arch.clas_config
        if any(type(size) is not type(sizes[name]) for name, size in plain_config(sizes, defaults).items()):
            raise ValueError("a size of the wrong kind")
        n_layers = {**defaults, **sizes}.get("n_layers", 0)
        if n_layers > MOST_LAYERS or n_layers + len(model.get("lin_ftrs") or ()) > n_tensors:
            raise ValueError("more layers than weights")
        with torch.device("meta"), NoNumbers():
            built = BUILDERS[config["kind"]](arch, n_words, **model)
    except (UlmfitError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError, AssertionError,
            RuntimeError) as e:
        raise _refused(source, f"a config.json from which no model can be built ({type(e).__name__}: {e})") from e
    return {name: (t.shape, t.is_floating_point()) for name, t in built.state_dict().items()}


class NoNumbers(TorchFunctionMode):
    """Leaves out the random numbers of weights that are made inside; on the device "meta", where there are none to
    begin with, torch would spend a second on loading what draws them."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", None) in ("normal_", "uniform_"):
            return [*args, *(kwargs or {}).values()][0]
        return func(*args, **(kwargs or {}))


def _refused(source, what: str) -> FileError:
    return FileError("E401", received=f"{source} with {what}", expected="the config.json that learn.export wrote",
                     fix="export the learner again")


def _unfit(source, what: str) -> FileError:
    return FileError("E402", received=f"{source} with {what}", expected="the weights of the model in its config.json",
                     fix="keep the three files of a bundle together, as they were written")
