from collections import namedtuple
from pathlib import Path

import pandas as pd
import pytest

from ulmfit_easy.data.sources import fields_in, values_of
from ulmfit_easy.errors import LabelError, TextError
from ulmfit_easy.fastai.getters import AttrGetter, ColReader, FromFlags, ItemGetter, RegexLabeller

Row = namedtuple("Row", "name text label")
ROW = {"name": "a", "text": "Some text", "label": "x;y"}


@pytest.mark.parametrize("row", [Row(**ROW), pd.Series(ROW), ROW], ids=["tuple", "series", "dict"])
def test_a_column_reader_reads_rows_of_any_kind(row):
    assert ColReader("text")(row) == "Some text"
    assert ColReader(["name", "label"])(row) == ("a", "x;y")
    assert ColReader("label", label_delim=";")(row) == ["x", "y"]
    assert ColReader("name", pref="<", suff=">")(row) == "<a>"
    assert Path(ColReader("name", pref=Path("folder"), suff=".txt")(row)) == Path("folder/a.txt")


def test_a_column_may_be_a_position_and_an_empty_cell_has_no_labels():
    assert ColReader(1)(pd.Series(ROW)) == ColReader(1)(Row(**ROW)) == "Some text"
    assert ColReader("label", label_delim=" ")({"label": ""}) == []
    assert pd.isna(ColReader("label", label_delim=" ")({"label": float("nan")}))


def test_columns_are_whole_where_no_value_has_to_be_changed():
    df = pd.DataFrame([ROW])
    assert [c.name for c in ColReader(["name", 2]).columns(df)] == ["name", "label"]
    assert ColReader("name", suff=".txt").columns(df) is None and ColReader("name").columns([ROW]) is None
    with pytest.raises(TextError, match="E102.*'text'"):
        ColReader("txt").columns(df)


def test_parts_attributes_and_patterns_are_read():
    assert ItemGetter(1)(("a", "b")) == "b"
    assert AttrGetter("label")(Row(**ROW)) == "x;y" and AttrGetter("none", 3)(Row(**ROW)) == 3
    assert RegexLabeller(r"/(\d)_stars/")(Path("data/5_stars/a.txt")) == "5"
    assert RegexLabeller(r"(\w+)-", match=True)("pos-1/neg-2") == "pos"
    with pytest.raises(LabelError, match=r"\[E202\].*'b/pos-1'"):
        RegexLabeller(r"(pos)", match=True)("b/pos-1")


def test_flags_become_the_names_of_classes():
    assert FromFlags(ItemGetter("flags"), ["a", "b", "c"])({"flags": [1, 0, 1]}) == ["a", "c"]
    with pytest.raises(LabelError, match="E207.*names"):
        FromFlags(ItemGetter("flags"), None)


def test_a_getter_gives_a_value_for_each_item_or_row():
    df = pd.DataFrame([ROW, ROW], index=[7, 7])
    assert values_of(lambda row: row.text, df) == ["Some text"] * 2
    assert values_of(len, ["a", "bc"]) == [1, 2] and values_of(None, ("a",)) == ["a"]
    assert fields_in([("a", "b"), ("c", "d")]) == [["a", "c"], ["b", "d"]] and fields_in(["a"]) == [["a"]]
