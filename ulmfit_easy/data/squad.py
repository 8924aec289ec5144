"""Questions with answers in the format of SQuAD: v1.1, v2 and KorQuAD 1."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from ulmfit_easy.data.containers import opened
from ulmfit_easy.decoding import decoded
from ulmfit_easy.errors import FileError

__all__ = ["read_squad"]


def read_squad(path: str | Path) -> pd.DataFrame:
    """Read a file of SQuAD. Return one row for each question: `id`, `title`, `question`, `context` and `answers`.

    `answers` is a list of `{"text": ..., "answer_start": ...}`, which is empty for a question that the context does
    not answer (`is_impossible` of v2). The file may be compressed. `TextDataLoaders.from_df(df,
    text_col=["question", "context"], label_col="answers", y_block="span")` takes the table.

    Raises: FileError E404 if the file does not exist. E403 if it is not UTF-8. E407 if it has another format.

    Source: Rajpurkar et al. 2016 (arXiv 1606.05250) and 2018 (arXiv 1806.03822).
    """
    path = Path(path)
    with opened(path) as (_, file):
        text = decoded(file.read(), path)
    try:
        return squad_table(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise FileError("E407", received=f"{path}, which is not in the format of SQuAD ({type(e).__name__}: {e!s:.80})",
                        expected='{"data": [{"paragraphs": [{"context": ..., "qas": [...]}]}]}',
                        fix="read a table with a question per row by read_table") from e


def squad_table(data: dict[str, Any]) -> pd.DataFrame:
    """Return the table of `read_squad` for what its JSON says."""
    rows = [{"id": asked["id"], "title": article.get("title", ""), "question": asked["question"],
             "context": paragraph["context"], "answers": [] if asked.get("is_impossible") else asked["answers"]}
            for article in data["data"] for paragraph in article["paragraphs"] for asked in paragraph["qas"]]
    return pd.DataFrame(rows, columns=["id", "title", "question", "context", "answers"])
