"""The JSON and JSON-MIN that Label Studio exports: choices, ratings and numbers of texts, and labels of spans."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd

from ulmfit_easy.data.formats import Format
from ulmfit_easy.data.formats.spans import Span, with_tags
from ulmfit_easy.errors import counted
from ulmfit_easy.user_code import warn_user


class Found(NamedTuple):
    """The labels of one annotation: a list of values from each control for the whole text, and spans."""

    labels: dict[str, list]
    spans: list[dict]


class LabelStudio(Format):
    """Tasks with annotations. The table has the data of each task, and a column for each control that labels texts.

    The first of these is called `label` too, unless another column is. Of several annotations of a task the ground
    truth counts, else the first one that nobody cancelled. A warning counts the tasks whose annotations differ. A task
    without any has the answer "ignore". In JSON-MIN a single choice is a plain column with the name of its control.

    Source: labelstud.io/guide/export.
    """

    name = "Label Studio"
    shape = '{"data": {"text": ...}, "annotations": [{"result": [...]}]}'

    @staticmethod
    def fits(rows: list[dict[str, Any]]) -> bool:
        return all(isinstance(row.get("data"), dict) and isinstance(_annotations(row), list) for row in rows) or all(
            "annotation_id" in row and "annotator" in row for row in rows)

    @staticmethod
    def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
        tasks = [_of_task(row) if "annotation_id" not in row else _of_flat(row) for row in rows]
        data, found = [row for row, *_ in tasks], [each for _, each, _ in tasks]
        if n_torn := sum(torn for *_, torn in tasks):
            warn_user(f"{counted(n_torn, 'task')} with annotations that differ: the ground truth counts, else the "
                      "first one")
        df = pd.DataFrame(data, dtype=object)
        controls = dict.fromkeys(name for each in found if each for name in each.labels)
        for name in controls:
            values: list[Any] = [each.labels.get(name, []) if each else [] for each in found]
            if all(len(value) < 2 for value in values):
                values = [value[0] if value else None for value in values]
            df[name] = pd.Series(values, dtype=object)
            df["label"] = df["label"] if "label" in df else df[name]
        spans = [each.spans if each else [] for each in found]
        if None in found:
            df["answer"] = ["ignore" if each is None else "accept" for each in found]
        if not any(spans):
            return df
        texts = [_text(row) for row in data]
        return with_tags(df, texts, ([_span(text, value) for value in values]
                                     for text, values in zip(texts, spans, strict=True)))


def _annotations(row: dict) -> Any:
    return row.get("annotations", row.get("completions"))


def _of_task(row: dict) -> tuple[dict, Found | None, bool]:
    """Return the data of a task, what was found in it, or None, and True if its annotations differ."""
    done = sorted((each for each in _annotations(row) if not each.get("was_cancelled")),
                  key=lambda each: not each.get("ground_truth"))
    found = [_found(each["result"]) for each in done]
    return row["data"], found[0] if found else None, any(other != found[0] for other in found)


def _found(results: Iterable[dict]) -> Found:
    labels, spans = dict[str, list](), list[dict]()
    for result in results:
        value, kind = result.get("value", {}), result.get("type")
        if kind in ("labels", "hypertextlabels"):
            spans.append(value)
        elif kind in ("choices", "rating", "number"):
            said = value[kind]
            labels[result["from_name"]] = said if isinstance(said, list) else [said]
    return Found(labels, spans)


def _of_flat(row: dict) -> tuple[dict, Found | None, bool]:
    """As `_of_task`, for a row of JSON-MIN."""
    found, data = Found({}, []), {}
    for name, value in row.items():
        if isinstance(value, dict) and isinstance(value.get("choices"), list):
            found.labels[name] = value["choices"]
        elif isinstance(value, list) and value and all(isinstance(each, dict) and "labels" in each for each in value):
            found.spans.extend(value)
        else:
            data[name] = value
    return data, found, False


def _text(data: dict) -> str:
    """Return the text of a task: `text`, or the only string in its data."""
    texts = [data["text"]] if "text" in data else [value for value in data.values() if isinstance(value, str)]
    if len(texts) != 1 or not isinstance(texts[0], str):
        raise ValueError("tasks with labels of spans and several texts")
    return texts[0]


def _span(text: str, value: dict) -> Span:
    """Return a span in characters. Label Studio counts an emoji as two, as JavaScript does: the text tells."""
    start, end = value["start"], value["end"]
    if "text" in value and text[start:end] != value["text"]:
        start, end = (len(text.encode("utf-16-le")[:2 * at].decode("utf-16-le", "ignore")) for at in (start, end))
    return Span(start, end, value["labels"][0])
