"""Bounds of a file that `torch.save` wrote, checked before torch reads it: a small file costs little."""

import io
import zipfile
from pickletools import genops
from typing import BinaryIO

MOST_STEPS = 100_000  # of the program that makes the tensors; a language model and its optimizer take some 5,000
MOST_BYTES = 16 << 20
MOST_PARTS = 10_000  # of a tuple of tuples, each of which is hashed anew as the key of a dict
PARTS = 5  # pickles before the numbers in a file of torch before 1.6: magic, protocol, system, tensors, keys


class OutOfBounds(ValueError):
    """The file claims more than it holds, or is of another kind."""


def check_bounds(file: BinaryIO) -> None:
    """Check that reading a file takes no undue time or memory. Then rewind the file.

    Raises: OutOfBounds if it would, and what zipfile and pickletools raise for damaged data.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as parts:
            for part in parts.infolist():
                if part.compress_type != zipfile.ZIP_STORED:
                    raise OutOfBounds(f"whose part {part.filename[:50]} is compressed, which torch.save does not do")
                if part.filename.endswith("data.pkl"):
                    if part.file_size > MOST_BYTES:
                        raise OutOfBounds(f"with a program of {part.file_size:,} bytes")
                    _count(io.BytesIO(parts.read(part)), MOST_STEPS)
    else:
        file.seek(0)
        if file.read(8) == b"\x89HDF\r\n\x1a\n":
            raise OutOfBounds("which is HDF5, as Keras writes it")
        file.seek(0)
        for _ in range(PARTS):
            _count(file, MOST_STEPS)
    file.seek(0)


def _count(program: BinaryIO, most: int) -> None:
    """Walk a pickle, which runs nothing, up to its end."""
    parts, memo, is_tuple = 1, {}, False  # the most parts of any tuple so far; of those that were kept; the last thing
    for i, (op, arg, _) in enumerate(genops(program)):
        if i >= most:
            raise OutOfBounds(f"with a program of more than {most:,} steps")
        if op.name == "GLOBAL" and str(arg).startswith("builtins "):  # bytearray makes memory of a number
            raise OutOfBounds(f"which asks for {str(arg).replace(' ', '.')}")
        if "PUT" in op.name:
            memo[arg] = parts if is_tuple else 0
        elif "GET" in op.name:
            is_tuple = memo.get(arg, 0) > 0
            parts += memo.get(arg, 0)
        else:
            is_tuple = op.name.startswith("TUPLE")
        if parts > MOST_PARTS:
            raise OutOfBounds(f"with a tuple of more than {MOST_PARTS:,} tuples")
