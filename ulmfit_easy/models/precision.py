"""Which type the parts of a model compute in, where torch's autocast leaves them alone."""

import torch
from torch import Tensor


def autocast(*tensors: Tensor | None) -> list[Tensor | None]:
    """The tensors in autocast's type where it is on, as they are where it is off; None stays None."""
    kind = next(t for t in tensors if t is not None).device.type
    if not torch.is_autocast_enabled(kind):
        return list(tensors)
    dtype = torch.get_autocast_dtype(kind)
    return [None if t is None else t.to(dtype) for t in tensors]


def at_least_float32(x: Tensor) -> torch.dtype:
    """float32, or the type of `x` where that is wider: what sums and exponentials are computed in."""
    return torch.promote_types(x.dtype, torch.float32)


def chosen(precision: str, device: torch.device) -> str:
    """What "auto" stands for on a device: "bf16" on a CPU that is faster with it, else "fp32"."""
    if precision != "auto":
        return precision
    return "bf16" if device.type == "cpu" and cpu_has_fast_bf16() else "fp32"


def cpu_has_fast_bf16() -> bool:
    """Whether this processor multiplies bfloat16 matrices faster than float32 ones, so that training in them pays.

    Those with amx do, and AMD's with avx512_bf16. Intel's with avx512_bf16 and no amx take up to twice as long as in
    float32 (measured, docs/PERFORMANCE.md), and others have to imitate it.
    """
    has = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(has.get("amx_bf16") or (has.get("avx512_bf16") and "Intel" not in has.get("cpu_name", "")))
