import csv
import gzip

import numpy as np
import pandas as pd
import pytest

from ulmfit_easy.data.sources import clean_texts, find_column, get_text_files, read_table
from ulmfit_easy.errors import ArgumentError, FileError, TextError


def written(tmp_path, data, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def code(error):
    return error.value.code


@pytest.mark.parametrize("word", ["NA", "null", "None", "nan", "", "007", "1.50", "-"])
def test_a_table_keeps_every_field_as_the_text_it_is(tmp_path, word):
    df = read_table(written(tmp_path, f'text,label\n"{word}",a\nb,c\n'))
    assert df["text"].tolist() == [word, "b"] and df["label"].tolist() == ["a", "c"]


def test_quotes_newlines_and_byte_order_marks_are_read_as_meant(tmp_path):
    df = read_table(written(tmp_path, '\ufeff"text",label\n"a ""b""\nc, d",x\n'))
    assert df.to_dict("list") == {"text": ['a "b"\nc, d'], "label": ["x"]}


@pytest.mark.parametrize("name", ["t.tsv", "t.TSV", "t.tab", "t.tsv.gz"])
def test_tabs_and_gzip_are_known_by_the_suffix(tmp_path, name):
    data = b"text\tlabel\na, b\tx\n"
    df = read_table(written(tmp_path, gzip.compress(data) if name.endswith("gz") else data, name))
    assert df.values.tolist() == [["a, b", "x"]]


def test_a_header_can_be_absent_or_further_down(tmp_path):
    path = written(tmp_path, "a,b\nc,d\ne,f\n")
    assert read_table(path, header=None).shape == (3, 2)
    assert read_table(path, header=1).to_dict("list") == {"c": ["e"], "d": ["f"]}


@pytest.mark.parametrize("data", ["", "text,label\na,b,c,d\n", 'text,label\n"a,b\n'])
def test_what_is_no_table_is_e407(tmp_path, data):
    with pytest.raises(FileError) as e:
        read_table(written(tmp_path, data))
    assert code(e) == "E407"


def test_lone_quotes_can_be_read_as_characters(tmp_path):
    df = read_table(written(tmp_path, 't\tl\n5" disk\tx\n"open\ty\n', "t.tsv"), quoting=csv.QUOTE_NONE)
    assert df["t"].tolist() == ['5" disk', '"open']


def test_an_encoding_that_python_does_not_know_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="E602.*'utf-9'"):
        read_table(written(tmp_path, b"text,label\n"), encoding="utf-9")


def test_missing_files_folders_and_broken_gzip_have_codes(tmp_path):
    for path, expected in [(tmp_path / "no.csv", "E404"), (tmp_path, "E404"),
                           (written(tmp_path, b"not gzip", "t.csv.gz"), "E407")]:
        with pytest.raises(FileError) as e:
            read_table(path)
        assert code(e) == expected


def test_columns_are_found_by_name_and_position():
    df = pd.DataFrame([["a", "b"]], columns=["text", "label"])
    assert find_column(df, "label").tolist() == find_column(df, 1).tolist() == find_column(df, -1).tolist()
    with pytest.raises(TextError, match=r"did you mean 'label'\?$") as e:
        find_column(df, "labels")
    assert code(e) == "E102"
    for col in (2, None):
        with pytest.raises(TextError):
            find_column(df, col)


def test_one_of_two_columns_of_the_same_name_is_not_guessed():
    with pytest.raises(TextError) as e:
        find_column(pd.DataFrame([["a", "b"]], columns=["text", "text"]), "text")
    assert code(e) == "E102"


@pytest.mark.parametrize("value", [3, 2.5, b"bytes", ["a", "list"], np.int64(3), {"a": 1}, pd.Timestamp(0)])
@pytest.mark.parametrize("on_missing", ["raise", "drop", "empty"])
def test_what_is_no_text_is_never_made_one(value, on_missing):
    column = pd.Series(["a", *[value] * 7], dtype="object")
    with pytest.raises(TextError, match=r"7 texts.*rows 1, 2, 3, 4, 5 \(and 2 more\)") as e:
        clean_texts([column], on_missing)
    assert code(e) == "E101"


def test_a_policy_that_does_not_exist_is_an_error_even_where_nothing_is_missing():
    with pytest.raises(ArgumentError, match="E602"):
        clean_texts([["a"]], "skip")


def test_several_columns_make_rows_of_fields():
    assert clean_texts([["a", "b"], ["c", None]], "empty")[0] == [("a", "c"), ("b", "")]
    assert clean_texts([["a", "b"], ["c", None]], "drop")[0] == [("a", "c")]


def test_files_come_sorted_and_hidden_or_other_files_stay_out(tmp_path):
    for name in ["b/2.txt", "b/1.TXT", "a/1.txt", "a/x.md", ".cache/1.txt", "a/.h.txt"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    names = [str(p.relative_to(tmp_path)) for p in get_text_files(tmp_path)]
    assert names == ["a/1.txt", "b/1.TXT", "b/2.txt"]
    assert len(get_text_files(tmp_path, folders=["a"])) == 1
    assert len(get_text_files(tmp_path, extensions=(".md",))) == 1
    with pytest.raises(FileError):
        get_text_files(tmp_path, folders=["c"])


def test_links_to_folders_are_followed_once(tmp_path):
    (tmp_path / "root/pos").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root/pos/1.txt").write_text("a")
    (tmp_path / "elsewhere/2.txt").write_text("b")
    (tmp_path / "root/neg").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root/pos/up").symlink_to(tmp_path / "root")
    assert [f.relative_to(tmp_path / "root").as_posix() for f in get_text_files(tmp_path / "root")] == [
        "neg/2.txt", "pos/1.txt"]
