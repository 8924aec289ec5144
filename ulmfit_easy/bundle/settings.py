"""What a bundle's config.json may say: each value of its type, nothing imported by name, sizes those of the weights."""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ulmfit_easy.bundle.tensors import not_finite
from ulmfit_easy.errors import FileError, UlmfitError, some
from ulmfit_easy.models.archs import get_arch
from ulmfit_easy.models.classifier import get_text_classifier
from ulmfit_easy.models.language_model import get_language_model
from ulmfit_easy.models.precision import PRECISIONS
from ulmfit_easy.text.vocab import Vocab

BUILDERS = {"language_model": get_language_model, "classifier": get_text_classifier}

MOST_LAYERS = 100  # of an encoder, and of a head
MOST_RULES, MOST_BUILT_IN = 100, 20  # each is a walk over the text; the built-in ones cost a file a word each
MOST_ROWS = 1 << 16  # of a batch: all are padded to the longest

Check = Callable[[object], bool]


def _text(value) -> bool:
    return isinstance(value, str) and value != ""


def _flag(value) -> bool:
    return isinstance(value, bool)


def _number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31


def _rows(value) -> bool:
    return _count(value) and value <= MOST_ROWS


def _share(value) -> bool:
    return _number(value) and 0 <= value <= 1


def _range(value) -> bool:
    return _each(_number)(value) and len(value) == 2 and value[0] < value[1]


def _name(value) -> bool:  # of a class or a column
    return isinstance(value, str | int | float)


def _language(value) -> bool:  # spaCy imports a module of this name
    return isinstance(value, str) and re.fullmatch("[a-z]{2,3}", value) is not None


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _each(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _few(check: Check, most: int = 1000) -> Check:
    return lambda value: _each(check)(value) and len(value) <= most


def _classes(value) -> bool:
    return _each(_name)(value) and len(set(value)) == len(value)


def _one_of(*known: str) -> Check:
    return lambda value: isinstance(value, str) and value in known


def _only(known: Mapping[str, Check]) -> Check:
    """An object with these keys and no others."""
    return lambda value: isinstance(value, dict) and value.keys() == known.keys() and _wrong(value, known) == []


def _any_of(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


def _wrong(value: Mapping, known: Mapping[str, Check]) -> list[str]:
    """The keys whose values are of another type; keys that are missing, or that a later version added, are no error."""
    return [key for key, check in known.items() if key in value and not check(value[key])]


_CUSTOM = _only({"custom": _text})  # a function that the user must pass in again
_SPLITTERS = {
    "SpacyTokenizer": {"lang": _language, "special_toks": _few(_text)},
    "BaseTokenizer": {"split_char": _text},
    "SentencePieceTokenizer": {"lang": _language, "base64": _or_none(_text)},
}


def _rules(value) -> bool:
    is_list = _each(_any_of(_text, _CUSTOM))(value) and len(value) <= MOST_RULES
    return is_list and sum(isinstance(rule, str) for rule in value) <= MOST_BUILT_IN


_TOKENIZER = _only({
    "tok": _any_of(_CUSTOM, *(_only({"name": _one_of(name), "params": _only(params)})
                              for name, params in _SPLITTERS.items())),
    "rules": _rules, "post_rules": _rules, "mark_fields": _or_none(_flag)})
_MODEL = {"drop_mult": _number, "softmax": _text, "seq_len": _count, "n_class": _count, "max_len": _or_none(_count),
          "lin_ftrs": _or_none(_few(_count, MOST_LAYERS)), "ps": _or_none(_few(_share, MOST_LAYERS)),
          "y_range": _or_none(_range), "pool_words": _flag}
_DATA = {"task": _one_of("lm", "single", "multi", "regression"), "classes": _or_none(_classes),
         "n_out": _or_none(_count), "text_cols": _few(_name), "label_cols": _few(_name),
         "label_delim": _or_none(_text), "seq_len": _count, "backwards": _or_none(_flag), "bs": _rows,
         "encoding": _text, "tokenizer": _or_none(_TOKENIZER)}
_REST = {"thresh": _or_none(_number), "takes_probabilities": _flag, "precision": _one_of(*PRECISIONS)}


def check_settings(config: dict, vocab: Vocab, weights: Mapping[str, Tensor], source):
    """Check the config of a language model or a classifier, before anything is built from it; others pass.

    Raises: FileError E401 for a value of another type; E402 where the weights are not those of the model that is
        described, are no finite numbers, or where there are more classes than outputs.
    """
    if not isinstance(config.get("kind"), str) or config["kind"] not in BUILDERS:
        return
    model, data = config.get("model"), config.get("data")
    if not isinstance(model, dict) or not isinstance(data, dict):
        raise _refused(source, "a config.json without `model` or `data`")
    if wrong := _wrong(model, _MODEL) + _wrong(data, _DATA) + _wrong(config, _REST):
        raise _refused(source, f"a config.json with a value of the wrong kind: {some(wrong)}")
    has_classes = data.get("task") in ("single", "multi")
    if has_classes and len(data.get("classes") or ()) != model.get("n_class"):
        raise _unfit(source, f"{len(data.get('classes') or ())} classes for {model.get('n_class')} outputs")
    if config.get("takes_probabilities") and data.get("task") == "single":
        raise _unfit(source, "an answer of several classes for data with one class each")
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
        if any(type(v) is not type(defaults[k]) and not (k.endswith("_p") and _number(v)) for k, v in sizes.items()):
            raise ValueError("a size of the wrong kind")
        n_layers = {**defaults, **sizes}["n_layers"]
        if n_layers > MOST_LAYERS or n_layers + len(model.get("lin_ftrs") or ()) > n_tensors:
            raise ValueError("more layers than weights")
        with torch.device("meta"), NoNumbers():
            built = BUILDERS[config["kind"]](arch.cls, n_words, **model)
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
