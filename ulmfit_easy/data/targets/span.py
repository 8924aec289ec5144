"""A span of the text as the answer to a question."""

from collections.abc import Mapping
from typing import Any


def texts_of(cell: Any) -> list[str]:
    """Return the texts of the answers in a cell: of a list, of SQuAD's list of objects, or of an object of lists."""
    if isinstance(cell, Mapping):
        return list(cell["text"])
    return [each["text"] if isinstance(each, Mapping) else each for each in cell]
