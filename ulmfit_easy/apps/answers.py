"""The answers of a model as new columns of the table that has the texts."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ulmfit_easy.apps.sources import texts_in
from ulmfit_easy.apps.tables import each_cell, parquet_schema, plain, writing
from ulmfit_easy.errors import ArgumentError, check_new

if TYPE_CHECKING:
    import pandas as pd

    from ulmfit_easy.apps.saved_model import SavedModel
    from ulmfit_easy.learner.predictor import Named


@dataclass(frozen=True)
class Answers:
    """The form in which answers are written, and the columns of a table that have the texts.

    Attributes:
        columns: the columns of the texts, one or several.
        top_k: how many of the likeliest classes to write. None writes what the task shows.
        proba: add a column with the probability of each class.
        sep: put it between the names in a list, for one cell. None keeps lists.
    """

    columns: Sequence[str] = ("text",)
    top_k: int | None = None
    proba: bool = False
    sep: str | None = None

    def write(self, tables: "Iterable[pd.DataFrame]", model: "SavedModel", source: str, out: Path | None, form: str,
              safe_cells: bool = False) -> tuple[int, list[int]]:
        """Write tables with the answers for them, piece by piece. Return how many rows, and which have no text.

        The arguments are those of `added` and `writing`. An input that cannot be read touches no output.
        """
        from ulmfit_easy.recipes.inputs import empty_rows

        pieces = iter(tables)
        first, n, empty = next(pieces), 0, list[int]()
        types = parquet_schema(Path(source)) if form == ".parquet" and source.lower().endswith(form) else None
        with writing(out, form, safe_cells, types) as put:
            for df in chain([first], pieces):
                put(self.added(df, model, source, n))
                empty += [n + i for i in empty_rows(texts_in(df, *self.columns))] if len(self.columns) == 1 else []
                n += len(df)
        return n, empty

    def added(self, df: "pd.DataFrame", model: "SavedModel", source: str, first_row: int = 0) -> "pd.DataFrame":
        """Return a table with the answers of a model in new columns, and with lists as one cell each if `sep` is given.

        Args:
            source: the name of the table, for messages.
            first_row: the number of its first row, for warnings.

        Raises: E603 for a table that has one of the new columns, and as `cells`.
        """
        import pandas as pd

        if not (texts := texts_in(df, *self.columns)):  # an answer for any word tells which columns there are
            word = next((word for word in model.predictor.vocab if word.isalpha() and not word.startswith("xx")), "a")
            texts = [word if len(self.columns) == 1 else (word,) * len(self.columns)]
        found = model.predict(texts, first_row)
        new = pd.DataFrame([self.cells(each) for each in found], dtype=object).infer_objects()[:len(df)]
        check_new(new.columns, df.columns, source)
        flat = each_cell(df, lambda cell: in_one_cell(cell, " ")) if self.sep else df
        return pd.concat([flat, new.set_index(df.index)], axis=1)

    def cells(self, found: "Named") -> dict[str, Any]:
        """Return the columns of one answer. E603 for classes that are wanted of a model without classes."""
        cells = found.cells()
        if self.top_k or self.proba:
            if not found.classes or "entities" in cells or len(found.probs) != len(found.classes):
                raise ArgumentError("E603", received="--top-k or --proba for a model without classes of whole texts",
                                    expected="a classifier", fix="leave it out")
            probs = dict(zip(map(str, found.classes), found.probs.tolist(), strict=True))
            if self.top_k:
                ranked = sorted(probs.items(), key=lambda pair: -pair[1])[:self.top_k]
                cells = {name if i == 0 else f"{name}_{i + 1}": value for i, (label, p) in enumerate(ranked)
                         for name, value in (("prediction", label), ("probability", round(p, 4)))}
            if self.proba:
                cells |= {f"probability_{name}": round(p, 4) for name, p in probs.items()}
        return {name: in_one_cell(value, self.sep) for name, value in cells.items()} if self.sep else cells


def separator(model: "SavedModel", form: str) -> str | None:
    """Return what stands between the names of a list in one cell. None for a form that has lists."""
    prepare = model.predictor.prepare
    if form.startswith((".jsonl", ".parquet")):
        return None
    return " " if prepare.target.per == "token" else prepare.label_delim or ";"


def in_one_cell(value: Any, sep: str) -> Any:
    """Return a list as one cell: of names with `sep` between them, of anything else as JSON."""
    if getattr(value, "ndim", 0):  # of Parquet
        value = value.tolist()
    if not isinstance(value, list | tuple | dict):
        return value
    simple = not isinstance(value, dict) and all(isinstance(each, str) for each in value)
    return sep.join(value) if simple else json.dumps(value, ensure_ascii=False, default=plain)
