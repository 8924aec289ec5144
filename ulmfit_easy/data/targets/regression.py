"""One or more numbers for each text."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ulmfit_easy.data.targets.category import CategoryBlock
from ulmfit_easy.data.targets.target import Block, Target
from ulmfit_easy.errors import LabelError, counted, in_rows
from ulmfit_easy.schema import whole

if TYPE_CHECKING:
    from torch import Tensor


class RegressionBlock(CategoryBlock):
    """Describe a target: one or more numbers for each text. With `n_out`, exactly that many."""

    kind = "regression"

    def __init__(self, n_out: int | None = None):
        super().__init__()
        self.n_out = n_out


class RegressionTarget(Target):
    """One or more numbers for each text."""

    task, SETTINGS = "regression", {"n_out": whole()}

    def __init__(self, c: int = 1):
        self.c: int = c

    @classmethod
    def read(cls, columns: Sequence, values: list[list], delim: str | None, y_block: str | Block | None,
             rows: Collection | None) -> list:
        return values[0] if len(values) == 1 else list(zip(*values, strict=True))

    def config(self) -> dict:
        return {"n_out": self.c}

    @classmethod
    def from_config(cls, config: dict) -> "RegressionTarget":
        return cls(config["n_out"])

    @classmethod
    def learned(cls, labels: Sequence, classes: Sequence | None = None,
                block: str | Block | None = None) -> "RegressionTarget":
        """Return the target with as many numbers as a row of labels has. E207 if `block` names another number."""
        n, wanted = np.shape(labels[0])[0] if np.ndim(labels[0]) else 1, getattr(block, "n_out", None)
        if wanted not in (None, n):
            raise LabelError("E207", received=f"{n} numbers for each text", expected=f"n_out={wanted}",
                             fix="name as many label columns, or leave n_out out")
        return cls(n)

    def encode(self, labels: Sequence, unseen: int | None = None, rows: Collection | None = None,
               argument: str = "labels") -> np.ndarray:
        """(N,) float32, or (N, n) where rows are lists. E204 with the rows that are not finite numbers."""
        values = np.array([_numbers(label) for label in labels], dtype=np.float32).reshape(len(labels), -1)
        if len(bad := np.flatnonzero(~np.isfinite(values).all(1))):
            bad = bad if rows is None else np.asarray(rows)[bad]
            raise LabelError("E204", received=f"{counted(len(bad), 'target')} without a finite number, {in_rows(bad)}",
                             expected="a finite number in each row",
                             fix="drop or fill these rows")
        return values if self.c > 1 else values[:, 0]

    def decode(self, value: "Tensor") -> float | list[float]:
        """Return a number, or a list of them if a text has several."""
        numbers = np.asarray(value).reshape(-1).tolist()
        return numbers[0] if self.c == 1 else numbers


def _numbers(label: Any) -> Any:
    if isinstance(label, list | tuple):
        return [_numbers(v) for v in label]
    try:
        return float(label)
    except (TypeError, ValueError):
        return np.nan
