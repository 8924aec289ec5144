"""Check a bundle's config.json: each part by its own table, nothing imported by name, sizes those of the weights."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ulmfit_easy.bundle.tensors import not_finite, unlike
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.data.targets import TARGETS, Target
from ulmfit_easy.errors import FileError, UlmfitError, some
from ulmfit_easy.known import UnknownPartError
from ulmfit_easy.models.archs import checks_of, get_arch
from ulmfit_easy.models.build import build_model
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.precision import PRECISIONS
from ulmfit_easy.models.readers import Whole
from ulmfit_easy.schema import any_of, flag, list_of, misfits, none, number, one_of, only, share, such, whole
from ulmfit_easy.text.vocab import Vocab

MOST_LAYERS = 100  # of an encoder
WRONG = (UlmfitError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError, AssertionError, RuntimeError)
LOSS = {"thresh": any_of(none, share, list_of(share)),  # one for all classes, or one for each
        "takes_probabilities": flag}
# scores of texts that the model has not learned from, and their shares: what `drift` compares new texts with
REFERENCE = {"edges": list_of(number()), "counts": list_of(whole(0)), "classes": list_of(whole(0)), "unknown": share}


@contextmanager
def refusing(source: str | Path) -> Iterator[None]:
    """Raise FileError E401 for whatever goes wrong while a config.json is read."""
    try:
        yield
    except FileError:
        raise
    except UnknownPartError as e:
        raise FileError("E401", received=f"{source} with {e.received}", expected=e.expected,
                        fix="if it is yours, first import the file that defines it") from e
    except WRONG as e:
        raise _refused(source, f"settings from which nothing can be built ({type(e).__name__}: {e})") from e


def check_parts(config: dict, source: str | Path) -> Target:
    """Check what can be told without weights, and return the target.

    A learner calls it when it is made, because no file could hold it otherwise.

    Raises: FileError E401 for a missing part, or a value of the wrong kind. E402 for parts that do not fit together.
    """
    with refusing(source):
        arch, head = get_arch(config["encoder"]["name"]), Head.find(config["head"]["name"])
        kind = TARGETS[config["task"]]
        tables = {"text": Preparation.SETTINGS, "target": kind.SETTINGS, "loss": LOSS}
        wrong = [misfit for part, table in tables.items() for misfit in misfits(config[part], table)]
        wrong += misfits(config["encoder"]["config"], checks_of(arch.lm_config | arch.clas_config))
        wrong += misfits(config["head"]["config"], head.SETTINGS) + misfits(config.get("reader", {}), Whole.SETTINGS)
        wrong += misfits(config, {"precision": one_of(PRECISIONS), "reference": such(
            only(REFERENCE), lambda known: len(known["counts"]) == len(known["edges"]) + 1 and sum(known["counts"]),
            "a histogram")})
        if not wrong:
            target = kind.from_config(config["target"])
    if wrong:
        raise _refused(source, f"a config.json with a value of the wrong kind: {some(wrong)}")
    if head.decodes == target.labelled:
        raise _unfit(source, f"a {head.__name__} for the task {target.task!r}")
    thresh, n_out = config["loss"].get("thresh"), target.c
    if (known := config.get("reference")) and len(known["classes"]) not in (0, n_out):
        raise _unfit(source, f"counts of {len(known['classes'])} classes for {n_out} outputs")
    if config["loss"].get("takes_probabilities") and target.one_class:
        raise _unfit(source, "an answer of several classes for data with one class each")
    if isinstance(thresh, list) and len(thresh) != n_out:
        raise _unfit(source, f"{len(thresh)} thresholds for {n_out} outputs")
    return target


def check_config(config: dict, vocab: Vocab, weights: Mapping[str, Tensor], source: str | Path) -> None:
    """Check a config before anything is built from it.

    Raises: FileError as `check_parts`. E402 if the weights are no finite numbers, or not those of the model that is
        described.
    """
    target = check_parts(config, source)
    if nan := not_finite(weights):
        raise _unfit(source, f"weights that are no finite numbers: {some(nan, 3)}")
    with refusing(source):
        n_layers = config["encoder"]["config"].get("n_layers", 0)
        if n_layers > MOST_LAYERS or n_layers + len(config["head"]["config"].get("lin_ftrs") or ()) > len(weights):
            raise ValueError("more layers than weights")
        with torch.device("meta"), NoNumbers():  # nothing is allocated
            own = build_model(config, vocab, target.c).state_dict()
    if wrong := unlike(weights, own):
        raise _unfit(source, f"weights that are missing, unknown, or of another shape or type: {some(wrong, 3)}")


class NoNumbers(TorchFunctionMode):
    """Makes modules in a `with` block without drawing random numbers for their weights.

    The device "meta" does so too, but torch then spends a second on loading the code that draws them.
    """

    def __torch_function__(self, func: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None) -> Any:
        if getattr(func, "__name__", None) in ("normal_", "uniform_"):
            return [*args, *(kwargs or {}).values()][0]
        return func(*args, **(kwargs or {}))


def _refused(source: str | Path, what: str) -> FileError:
    return FileError("E401", received=f"{source} with {what}", expected="the config.json that learn.export wrote",
                     fix="export the learner again")


def _unfit(source: str | Path, what: str) -> FileError:
    return FileError("E402", received=f"{source} with {what}", expected="the weights of the model in its config.json",
                     fix="keep the three files of a bundle together, as they were written")
