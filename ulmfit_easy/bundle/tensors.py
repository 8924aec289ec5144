"""Read a safetensors file into memory of our own.

The library of that format maps the file instead. Then a copy over the file would change the weights that were checked,
minutes later. A shorter one would end the process. Here each byte is read once, and what is checked is what is used.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ulmfit_easy.files import json_of, regular_file

MAX_HEADER = 64 << 20
TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
         "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool}


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Return the tensors by name, and the metadata.

    Raises: ValueError, LookupError, TypeError or AttributeError for anything else than such a file. FileError as
        `regular_file`.
    """
    with regular_file(path) as f:
        size = os.fstat(f.fileno()).st_size - 8
        n = int.from_bytes(f.read(8), "little")
        if n > min(size, MAX_HEADER):
            raise ValueError(f"a header of {n:,} bytes")
        header = json_of(f.read(n))
        metadata = header.pop("__metadata__")
        places = _places(header, size - n)  # before any memory is taken
        found = {}
        for name, dtype, shape in places:
            found[name] = tensor = torch.empty(shape, dtype=dtype)
            if tensor.numel() and f.readinto(raw_bytes(tensor)) != tensor.numel() * tensor.element_size():
                raise ValueError("it ends too early")
    return {name: found[name] for name in header}, metadata


def raw_bytes(tensor: Tensor) -> memoryview:
    """Return the memory of a contiguous tensor that has numbers."""
    return memoryview(tensor.reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]  # before Python 3.12 no class says so


def _places(header: dict, size: int) -> list[tuple]:
    """Name, type and shape of each tensor in the order of their bytes, which must be all there are."""
    places, at = [], 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        dtype, shape, (begin, end) = TYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        if not all(type(n) is int and 0 <= n < 1 << 40 for n in (*shape, begin, end)):
            raise ValueError(f"{name} with a shape of {shape}")
        if begin != at or end - begin != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{name} with other bytes than its own")
        places.append((name, dtype, shape))
        at = end
    if at != size:
        raise ValueError(f"{size:,} bytes for tensors of {at:,}")
    return places


def unlike(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Return the names of tensors that only one of the two has, or that differ in shape or are no floats in one."""
    found, wanted = ({name: (t.shape, t.is_floating_point()) for name, t in each.items()} for each in (weights, own))
    return sorted(name for name in found | wanted if found.get(name) != wanted.get(name))


def not_finite(weights: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the weights in which a number is NaN or infinite."""
    floats = ((name, t) for name, t in weights.items() if t.is_floating_point() and t.numel())
    return [name for name, t in floats  # NaN is both; no copy, unlike isfinite
            if not all(math.isfinite(value.item()) for value in t.aminmax())]
