"""The JSON lines that doccano exports: classes of texts, or spans with labels."""

from typing import Any

import pandas as pd

from ulmfit_easy.data.formats import Format
from ulmfit_easy.data.formats.spans import Span, with_tags

SPANS = ("entities", "label", "labels")
CLASSES = ("cats", "label", "labels")


class Doccano(Format):
    """Lists of classes, or of spans such as `[0, 5, "PER"]`, below `label`, `labels`, `entities` and `cats`.

    `label` has the one class of each text. If a text has several, all rows keep their lists. A text without any class
    has the answer "ignore", if others have one class each: nobody has labelled it yet.

    Source: github.com/doccano/doccano, backend/data_export.
    """

    name = "doccano"
    shape = '{"id": 1, "text": ..., "label": ["pos"]}, or with spans, "label": [[0, 5, "PER"]]'

    @staticmethod
    def fits(rows: list[dict[str, Any]]) -> bool:
        return _key(rows, SPANS, _is_span) is not None or (
            all("id" in row for row in rows) and _key(rows, CLASSES, lambda each: isinstance(each, str)) is not None)

    @staticmethod
    def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
        df = pd.DataFrame(rows, dtype=object)
        key = _key(rows, CLASSES, lambda each: isinstance(each, str))
        if key is not None:
            labels = [row.get(key) or [] for row in rows]
            if all(len(each) < 2 for each in labels):
                df["label"] = pd.Series([each[0] if each else None for each in labels], dtype=object)
                if not all(labels):
                    df["answer"] = ["accept" if each else "ignore" for each in labels]
            else:
                df["label"] = pd.Series(labels, dtype=object)
        key = _key(rows, SPANS, _is_span)
        if key is None:
            return df
        return with_tags(df, [row["text"] for row in rows], ([_span(each) for each in row.get(key) or []]
                                                             for row in rows))


def _key(rows: list[dict[str, Any]], keys: tuple[str, ...], of_kind: Any) -> str | None:
    """Return the first key below which all rows have lists of this kind, one of them not empty."""
    for key in keys:
        values = [row.get(key) or [] for row in rows]
        if any(values) and all(isinstance(row.get("text"), str) and isinstance(value, list) and all(map(of_kind, value))
                               for row, value in zip(rows, values, strict=True)):
            return key
    return None


def _is_span(each: Any) -> bool:
    if isinstance(each, dict):
        return "start_offset" in each and "label" in each
    return isinstance(each, list) and [*map(type, each)] == [int, int, str]


def _span(each: Any) -> Span:
    return Span(each["start_offset"], each["end_offset"], each["label"]) if isinstance(each, dict) else Span(*each)
