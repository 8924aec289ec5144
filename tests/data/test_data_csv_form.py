import warnings

import pandas as pd
import pytest

from ulmfit_easy.data.tables import read_pieces, read_table


def both(tmp_path, content, name="t.csv", **options):
    """The table in a file, read whole; in pieces of one row it is the same."""
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    whole = read_table(tmp_path / name, **options)
    assert pd.concat(read_pieces(tmp_path / name, 1, **options), ignore_index=True).equals(whole)
    return whole


@pytest.mark.parametrize("name, content", [
    ("t.csv", "text;label\ngood, very good;pos\nbad;neg\n"), ("t.txt", "text\tlabel\ngood, very good\tpos\nbad\tneg\n"),
    ("t.csv", "sep=;\r\ntext;label\r\ngood, very good;pos\r\nbad;neg\r\n"),
    ("t.csv", "\ufeffsep=\t\ntext\tlabel\ngood, very good\tpos\nbad\tneg\n"),
    ("t.csv", '"text";"label"\n"good, very good";"pos"\n"bad";"neg"')])
def test_semicolons_and_tabs_are_found_in_the_first_rows(tmp_path, name, content):
    found = both(tmp_path, content, name)
    assert found.to_dict("list") == {"text": ["good, very good", "bad"], "label": ["pos", "neg"]}


@pytest.mark.parametrize("content, names", [
    ("text\none; two\nthree\n", ["text"]), ("a;b\nc;d;e\nf\n", ["a;b"]), ("text,label;x\na,b\n", ["text", "label;x"])])
def test_a_semicolon_in_a_text_is_no_delimiter(tmp_path, content, names):
    assert list(both(tmp_path, content)) == names


def test_each_line_of_one_column_is_a_row(tmp_path):
    assert both(tmp_path, "text\ngood\n\nbad\n   \n\t\n").text.tolist() == ["good", "", "bad", "   ", "\t"]
    assert both(tmp_path, "\n \ntext\ngood\n\n").text.tolist() == ["good", ""]
    assert both(tmp_path, "good\n\nbad", header=None)[0].tolist() == ["good", "", "bad"]


def test_a_blank_line_between_rows_of_several_columns_is_none(tmp_path):
    assert both(tmp_path, "text,label\n\na,b\n\n\nc,d\n\n").text.tolist() == ["a", "c"]


def test_columns_without_a_name_are_called_as_by_pandas(tmp_path):
    assert list(both(tmp_path, "v1,v2,,\nham,hello,,\n")) == ["v1", "v2", "Unnamed: 2", "Unnamed: 3"]


JOINED = 'text,label\nfirst,pos\n"open quote,neg\nthird,pos\nfifth "line",pos\nsixth,neg\n'


@pytest.mark.parametrize("name, sep", [("t.csv", ","), ("t.tsv", "\t"), ("t.csv", ";")])
def test_lines_that_a_lone_quote_joins_are_warned_of_by_their_row(tmp_path, name, sep):
    (tmp_path / name).write_text(JOINED.replace(",", sep))
    with pytest.warns(UserWarning, match="row 1: .*QUOTE_NONE"):
        read_table(tmp_path / name, delimiter=sep)
    with pytest.warns(UserWarning, match="row 1: .*QUOTE_NONE"):
        list(read_pieces(tmp_path / name, 1, delimiter=sep))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_table(tmp_path / name, delimiter=sep, quoting=3)) == 5


def test_well_quoted_lines_with_commas_are_not_warned_of(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert both(tmp_path, 'text,label\n"Dear ""you"",\nyes, ",pos\n').text.tolist() == ['Dear "you",\nyes, ']
