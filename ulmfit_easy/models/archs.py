"""The architectures the library knows: class, configs and splitters under one name.

A saved bundle names its architecture; the name is looked up here and never imported, so that loading runs no
code of a file's choosing. Adding an architecture is one line in `ARCHS`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from ulmfit_easy.errors import TrainingError, some
from ulmfit_easy.models.awd_lstm import (
    AWD_LSTM,
    Groups,
    awd_lstm_clas_config,
    awd_lstm_clas_split,
    awd_lstm_lm_config,
    awd_lstm_lm_split,
)
from ulmfit_easy.models.awd_qrnn import AWD_QRNN, awd_qrnn_clas_config, awd_qrnn_lm_config
from ulmfit_easy.values import checked, count, flag, number


@dataclass(frozen=True)
class Arch:
    """An encoder class with its default configs and the functions that split models into layer groups."""

    cls: type[nn.Module]
    lm_config: dict
    clas_config: dict
    lm_split: Callable[[nn.Module], Groups]
    clas_split: Callable[[nn.Module], Groups]

    @property
    def name(self) -> str:
        return self.cls.__name__


_KNOWN = [
    Arch(AWD_LSTM, awd_lstm_lm_config, awd_lstm_clas_config, awd_lstm_lm_split, awd_lstm_clas_split),
    Arch(AWD_QRNN, awd_qrnn_lm_config, awd_qrnn_clas_config, awd_lstm_lm_split, awd_lstm_clas_split),
]
ARCHS: dict[str, Arch] = {arch.name: arch for arch in _KNOWN}


def get_arch(arch: type[nn.Module] | str) -> Arch:
    """The entry of an encoder class or of its name. Raises E502 when the library does not know it."""
    name = arch if isinstance(arch, str) else arch.__name__
    if name not in ARCHS:
        raise TrainingError("E502", received=f"the architecture {name!r}", expected=f"one of {some(ARCHS)}",
                            fix="pass AWD_LSTM or AWD_QRNN, or add an Arch to ulmfit_easy.models.archs.ARCHS")
    return ARCHS[name]


def sizes_of(weights: Mapping[str, Tensor]) -> dict:
    """`arch`, `vocab_sz`, `emb_sz`, `n_hid` and `n_layers` of the encoder in a state dict; empty where there is none.

    The encoder may be by itself, in a language model or in a classifier.
    """
    shapes = {re.sub(r"^0\.(module\.)?", "", name): t.shape for name, t in weights.items()}
    try:
        vocab_sz, emb_sz = shapes["encoder.weight"]
        qrnn = shapes.get("rnns.0.layers.0.linear.weight_raw")  # (3H, window * E)
        arch, n_hid = ("AWD_LSTM", shapes["rnns.0.weight_hh_l0_raw"][1]) if qrnn is None else ("AWD_QRNN", qrnn[0] // 3)
    except (LookupError, ValueError):
        return {}
    n_layers = len({name.split(".")[1] for name in shapes if name.startswith("rnns.")})
    return {"arch": arch, "vocab_sz": vocab_sz, "emb_sz": emb_sz, "n_hid": n_hid, "n_layers": n_layers}


def plain_config(config: dict, defaults: dict) -> dict:
    """`config` with plain values, each of the kind that its default has; E502 for another kind or an unknown name."""
    if unknown := sorted(map(str, config.keys() - defaults.keys())):
        raise TrainingError("E502", received=f"config with {some(unknown)}",
                            expected=f"only {some(sorted(defaults), 20)}", fix="remove or rename these keys")
    checks = {name: flag if isinstance(value, bool) else count if isinstance(value, int) else number
              for name, value in defaults.items()}
    return checked(checks, **config)


def resolve_config(defaults: dict, config: dict | None, drop_mult: float, pad_idx: int = 1) -> dict:
    """`defaults` updated by `pad_idx` and `config`, with every dropout (`*_p`) multiplied by `drop_mult`.

    Raises E502 on a name that is not in `defaults`, a dropout outside 0-1, or `bidir=True`.
    """
    config = {**({"pad_token": pad_idx} if "pad_token" in defaults else {}), **plain_config(config or {}, defaults)}
    merged = {k: v * drop_mult if k.endswith("_p") else v for k, v in {**defaults, **config}.items()}
    if wrong := {k: v for k, v in merged.items() if k.endswith("_p") and not 0 <= v < 1}:
        raise TrainingError("E502", received=f"dropouts {wrong} after drop_mult={drop_mult}",
                            expected="probabilities from 0 to below 1",
                            fix="lower drop_mult or the values in config")
    if merged.pop("bidir"):
        raise TrainingError("E502", received="bidir=True", expected="a model that reads in one direction",
                            fix="train a second model with backwards=True and average the two")
    return merged
