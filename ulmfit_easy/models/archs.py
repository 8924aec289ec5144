"""The configs of encoders."""

import re
from collections.abc import Mapping

from torch import Tensor

from ulmfit_easy.errors import ArgumentError, ArgumentTypeError, refuse_stranger
from ulmfit_easy.models.encoder import Encoder
from ulmfit_easy.schema import checked, flag, json_list, json_object, number, text, whole
from ulmfit_easy.text.vocab import Vocab


def get_arch(arch: type[Encoder] | str) -> type[Encoder]:
    """Return an encoder's class, given itself or its name in any case. Raises E604 for anything else."""
    return Encoder.find(arch)


def sizes_of(weights: Mapping[str, Tensor]) -> dict:
    """Return `arch` and sizes of the encoder in a state dict. Empty if no encoder knows its weights.

    The encoder may be by itself, in a language model or in a classifier.
    """
    shapes = {re.sub(r"^0\.(module\.)?", "", name): t.shape for name, t in weights.items()}
    found = ((encoder.__name__, encoder.sizes_of(shapes)) for encoder in Encoder.known.filled().values())
    return next(({"arch": name, **sizes} for name, sizes in found if sizes), {})


def plain_config(config: dict, defaults: dict) -> dict:
    """Return `config` with plain values, each of the kind of its default.

    Raises: E601 or E602 for another kind, E604 for an unknown name.
    """
    for name in config:
        refuse_stranger("config with ", name, defaults)
    return checked(checks_of(defaults), **config)


def checks_of(defaults: dict) -> dict:
    """Return a check for each name of a config: a value of the kind of its default.

    Raises: E601 for a default of a kind that no file holds.
    """
    kinds = {bool: lambda default: flag, int: lambda default: whole(min(default, 1)), float: lambda default: number(),
             str: lambda default: text, list: lambda default: json_list, dict: lambda default: json_object}
    for name, default in defaults.items():
        if type(default) not in kinds:
            raise ArgumentTypeError("E601", received=f"a config with {name}={default!r:.40} for a default",
                                    expected=f"a {' or '.join(kind.__name__ for kind in kinds)}",
                                    fix="give it another value in lm_config and clas_config, such as 0 for None")
    return {name: whole(-1) if name.endswith("_token") else kinds[type(default)](default)  # an id, or -1 for none
            for name, default in defaults.items()}


def make_encoder(arch: type[Encoder], vocab_sz: int, config: dict) -> Encoder:
    """Return a fresh encoder. It remembers its sizes and dropouts. Special tokens are left to the vocabulary."""
    encoder = arch(vocab_sz, **config)
    if missing := [name for name in ("width", "embedding") if not hasattr(encoder, name)]:
        raise ArgumentError("E603", received=f"{arch.__name__} without {missing[0]!r}", expected="an encoder that has "
                            "it", fix="set it in the class; its contract is Encoder in ulmfit_easy/models/encoder.py")
    encoder.settings = without_tokens(config)
    return encoder


def special_ids(vocab: Vocab, config: Mapping) -> dict:
    """Return the ids of the special tokens that a config has by their roles, such as `pad_token` and `sep_token`."""
    return {name: vocab.stoi[token] for role, token in vocab.specials.items() if (name := f"{role}_token") in config}


def without_tokens(config: Mapping) -> dict:
    """Return a config without the ids of special tokens, which the vocabulary decides."""
    return {name: value for name, value in config.items() if not name.endswith("_token")}


def resolve_config(defaults: dict, config: dict | None, drop_mult: float, pad_idx: int = 1) -> dict:
    """Return `defaults` updated by `pad_idx` and `config`, with every dropout (`*_p`) multiplied by `drop_mult`.

    Raises E604 for a name that is not in `defaults`, E602 for a dropout outside 0-1.
    """
    merged = {**defaults, "pad_token": pad_idx, **plain_config(config or {}, defaults)}
    merged = {k: v * drop_mult if k.endswith("_p") else v for k, v in merged.items()}
    check_dropouts(merged, f" after drop_mult={drop_mult}")
    return merged


def check_dropouts(config: dict, when: str = "") -> None:
    """Raise E602 unless each dropout (`*_p`) is from 0 to below 1."""
    if wrong := {k: v for k, v in config.items() if k.endswith("_p") and not 0 <= v < 1}:
        raise ArgumentError("E602", received=f"dropouts {wrong}{when}", expected="probabilities from 0 to below 1",
                            fix="lower drop_mult or the values in config")
