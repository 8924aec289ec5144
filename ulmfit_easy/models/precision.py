"""Choose the number type that a model computes in, and cast what torch's autocast leaves out."""

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ulmfit_easy.cleanup import surely
from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.schema import one_of, takes

PRECISIONS = ("fp32", "bf16", "fp16")
FROM_OUTSIDE = "ULMFIT_EASY_PRECISION"  # an environment variable: "fp32", "bf16" or "auto"


def autocast(*tensors: Tensor) -> list[Tensor]:
    """Return the tensors in autocast's type if it is on, else as they are."""
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return list(tensors)
    dtype = torch.get_autocast_dtype(kind)
    return [t.to(dtype) for t in tensors]


def in_bf16(device_type: str, function: Callable, *args: object) -> Any:
    """Return `function(*args)`, computed in bfloat16. Unlike `torch.autocast`, Ctrl-C cannot leave it switched on."""
    before = torch.is_autocast_enabled(device_type), torch.get_autocast_dtype(device_type)

    def body() -> Any:
        torch.set_autocast_dtype(device_type, torch.bfloat16)
        torch.set_autocast_enabled(device_type, True)
        return function(*args)

    return surely(body, lambda: [(torch.clear_autocast_cache,), (torch.set_autocast_dtype, device_type, before[1]),
                                 (torch.set_autocast_enabled, device_type, before[0])])


def at_least_float32(x: Tensor) -> torch.dtype:
    """Return the type for sums and exponentials: float32, or the type of `x` if that is wider."""
    return torch.promote_types(x.dtype, torch.float32)


@takes({"precision": one_of(("auto", *PRECISIONS))})
def chosen(precision: str, device: torch.device, *, bf16_if_fast: bool = True) -> str:
    """Return the precision to train in: "fp32", "bf16" or "fp16".

    Args:
        precision: One of these, or "auto". "auto" is the value of `ULMFIT_EASY_PRECISION`, if it is set to "fp32" or
            "bf16". Else it is "bf16" on a CPU that trains faster with it, and "fp32" elsewhere.
        bf16_if_fast: False makes "auto" never choose "bf16" by itself.

    Raises: ArgumentError E602 for any other precision, in the argument or in the environment.
    """
    if precision != "auto":
        return precision
    forced = os.environ.get(FROM_OUTSIDE) or "auto"
    if forced not in ("auto", "fp32", "bf16"):
        raise ArgumentError("E602", received=f"{FROM_OUTSIDE}={forced}", expected="auto, fp32, bf16",
                            fix=f"unset {FROM_OUTSIDE}, or set it to one of these")
    if forced != "auto":
        return forced
    return "bf16" if bf16_if_fast and device.type == "cpu" and cpu_has_fast_bf16() else "fp32"


def cpu_has_fast_bf16() -> bool:
    """Return True if this processor multiplies bfloat16 matrices faster than float32 ones, so that training gains.

    Those with amx do, and AMD's with avx512_bf16. Intel's with avx512_bf16 and no amx take up to twice as long as in
    float32 (measured, docs/PERFORMANCE.md), and others have to imitate it.
    """
    has: dict = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(has.get("amx_bf16") or (has.get("avx512_bf16") and "Intel" not in has.get("cpu_name", "")))


def cpu_has_fast_int8() -> bool:
    """Return True if this processor multiplies matrices of 8-bit numbers faster than float32 ones."""
    has: dict = getattr(torch.cpu, "get_capabilities", dict)()
    return any(has.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))
