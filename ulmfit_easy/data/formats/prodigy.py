"""Prodigy's JSON lines: texts with an answer, and a label, chosen options or spans."""

from typing import Any

import pandas as pd

from ulmfit_easy.data.formats import Format
from ulmfit_easy.data.formats.spans import Span, with_tags
from ulmfit_easy.errors import counted
from ulmfit_easy.user_code import warn_user

ANSWERS = ("accept", "reject", "ignore")


class Prodigy(Format):
    """Rows of `textcat`, `choice` and `ner`. The column `answer` stays, and says which rows teach their label.

    Of options, `label` has the chosen one, or a list of them if several may be chosen. An accepted row in which nothing
    was chosen is "ignore" then. If all rows ask for one label, `reject` is an answer too: the class "not LABEL". Rows
    that judge a single span, as `ner.teach` asks, are "ignore": nobody looked at their other words.

    Source: prodi.gy/docs/api-interfaces and prodi.gy/docs/text-classification.
    """

    name = "Prodigy"
    shape = '{"text": ..., "label": ..., "answer": "accept"}, or with "options" and "accept", or with "spans"'

    @staticmethod
    def fits(rows: list[dict[str, Any]]) -> bool:
        return any("_task_hash" in row or row.get("answer") in ANSWERS for row in rows) and all(
            isinstance(row.get("text"), str) and row.get("answer", "accept") in ANSWERS for row in rows)

    @staticmethod
    def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
        df = pd.DataFrame(rows, dtype=object)
        answers = [row.get("answer", "accept") for row in rows]
        if any("options" in row for row in rows):
            chosen = [list(row.get("accept") or []) for row in rows]
            several = any(len(each) > 1 or (row.get("config") or {}).get("choice_style") == "multiple"
                          for each, row in zip(chosen, rows, strict=True))
            df["label"] = pd.Series(chosen if several else [each[0] if each else None for each in chosen], dtype=object)
            if not several:
                answers = ["ignore" if answer == "accept" and not each else answer
                           for answer, each in zip(answers, chosen, strict=True)]
        elif "reject" in answers and all(isinstance(row.get("label"), str) and row["label"] == rows[0]["label"]
                                         for row in rows):  # all ask for one label
            df["label"] = [f"not {row['label']}" if answer == "reject" else row["label"]
                           for row, answer in zip(rows, answers, strict=True)]
            answers = ["accept" if answer == "reject" else answer for answer in answers]
        if judged := {i for i, row in enumerate(rows) if answers[i] == "accept" and _judges_one_span(row)}:
            warn_user(f"{counted(len(judged), 'row')} of Prodigy left out: each judges one span, as ner.teach asks, "
                      "and does not say what the other words are")
            answers = ["ignore" if i in judged else answer for i, answer in enumerate(answers)]
        df["answer"] = answers
        if not any("spans" in row for row in rows):
            return df
        return with_tags(df, [row["text"] for row in rows], (
            [Span(span["start"], span["end"], span["label"]) for span in row.get("spans") or []] for row in rows))


def _judges_one_span(row: dict[str, Any]) -> bool:
    """Return True if someone accepted or rejected one span of a row, and did not look for others."""
    return bool(row.get("spans")) and "label" not in row and (row.get("_is_binary") or row.get("_view_id") == "ner")
