"""Questions with answers in the format of SQuAD, as `read_squad` reads them."""

from typing import Any

import pandas as pd

from ulmfit_easy.data.formats import Format
from ulmfit_easy.data.squad import squad_table


class Squad(Format):
    """One object for a whole file: the table of `read_squad`, a row for each question."""

    name = "SQuAD"
    shape = '{"data": [{"paragraphs": [{"context": ..., "qas": [...]}]}]}'

    @staticmethod
    def fits(rows: list[dict[str, Any]]) -> bool:
        articles = rows[0].get("data") if len(rows) == 1 else None
        return isinstance(articles, list) and all(isinstance(each, dict) and "paragraphs" in each for each in articles)

    @staticmethod
    def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
        return squad_table(rows[0])
