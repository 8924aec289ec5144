"""`ulmfit predict` answers a file piece by piece: the same table, in memory that does not grow with it."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ulmfit_easy.apps import sources
from ulmfit_easy.apps.cli import main
from ulmfit_easy.apps.saved_model import SavedModel
from ulmfit_easy.data.toy import toy_reviews


@pytest.fixture
def table(tmp_path):
    df = toy_reviews(23, seed=5)
    df.loc[15, "text"] = ""
    df.to_csv(tmp_path / "new.csv", index=False)
    return tmp_path / "new.csv"


@pytest.mark.parametrize("form", ["csv", "tsv.gz", "jsonl"])
def test_pieces_give_the_table_that_the_whole_file_gives(form, trained, table, tmp_path, monkeypatch, capsys):
    asked, predict, found = [], SavedModel.predict, []

    def counted(self, texts, first_row=0):
        asked.append((first_row, len(texts)))
        return predict(self, texts, first_row)

    monkeypatch.setattr(SavedModel, "predict", counted)
    for piece in (sources.PIECE, 10):
        monkeypatch.setattr(sources, "PIECE", piece)
        assert main(["predict", str(trained), str(table), "--out", str(out := tmp_path / f"{piece}.{form}")]) == 0
        told = capsys.readouterr()
        assert "23 rows written" in told.out and "1 without text (row 15" in told.out and "(row 15)" in told.err
        found.append(gzip.decompress(data) if (data := out.read_bytes())[:2] == b"\x1f\x8b" else data)
    assert found[0] == found[1] and found[0].count(b"\n") == 23 + (form != "jsonl")
    assert asked == [(0, 23), (0, 9), (9, 10), (19, 4)]  # the first piece has the header too


def test_an_error_in_a_later_piece_leaves_the_older_table(trained, table, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sources, "PIECE", 10)
    with open(table, "a") as file:
        file.write("a,row,of,five,fields\n")
    (out := tmp_path / "out.csv").write_text("before")
    assert main(["predict", str(trained), str(table), "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert "(row 15)" in told and "E407" in told and out.read_text() == "before"
    assert [path.name for path in Path(tmp_path).iterdir() if path.name.startswith("out")] == ["out.csv"]


def rows_of(path):
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_json(path, lines=True, dtype=False)


@pytest.mark.parametrize(("given", "form"), [("jsonl", "csv"), ("parquet", "csv"), ("jsonl", "parquet"),
                                             ("parquet", "jsonl")])
def test_pieces_of_json_lines_and_parquet_keep_each_column(given, form, trained, tmp_path, monkeypatch):
    """A column may begin in a later piece, and whole numbers stay whole if another piece has none."""
    df = toy_reviews(23, seed=5)[["text"]].assign(n=pd.array([1] * 12 + [None] * 11, "Int64"))
    df.loc[15, "text"] = ""
    name = tmp_path / f"new.{given}"
    if given == "jsonl":
        rows = [{k: v for k, v in row.items() if not pd.isna(v)} for row in df.to_dict("records")]
        name.write_text("\ufeff" + "\n\n".join(map(json.dumps, [*rows[:-1], rows[-1] | {"late": ["a", "b"]}])))
    else:
        df.to_parquet(name)
    found = []
    for piece in (sources.PIECE, 10):
        monkeypatch.setattr(sources, "PIECE", piece)
        assert main(["predict", str(trained), str(name), "--out", str(out := tmp_path / f"{piece}.{form}")]) == 0
        found.append(out)
    if form == "csv":
        assert found[0].read_bytes() == found[1].read_bytes() and b".0," not in found[0].read_bytes()
        return
    whole, pieces = map(rows_of, found)
    pd.testing.assert_frame_equal(whole, pieces)
    assert pieces.text.tolist() == df.text.tolist() and {"n", "prediction", "probability"} < {*pieces.columns}
    assert given == "parquet" or list(pieces.late.iloc[-1]) == ["a", "b"]


@pytest.mark.parametrize("given", ["jsonl", "parquet"])
def test_a_file_without_rows_gives_a_table_without_rows(given, trained, tmp_path, capsys):
    name, out = tmp_path / f"new.{given}", tmp_path / "out.csv"
    if given == "jsonl":
        name.write_text("")
    else:
        pd.DataFrame({"text": pd.Series([], dtype=str)}).to_parquet(name)
    assert main(["predict", str(trained), str(name), "--out", str(out)]) == (2 if given == "jsonl" else 0)
    if given == "jsonl":
        assert "E407" in (told := capsys.readouterr().err) and "new.jsonl, which is empty" in told
    else:
        assert out.read_text() == '"text","prediction","probability"\n'


def test_parquet_keeps_the_types_of_its_columns_and_an_index_with_a_name(trained, tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    of = {"text": pa.string(), "on": pa.date32(), "n": pa.int16(), "pairs": pa.map_(pa.string(), pa.int64()),
          "of": pa.struct({"a": pa.int32()})}
    pq.write_table(pa.table([["fine", "good"], *[[None] * 2] * 4], schema=pa.schema(of)), tmp_path / "in.parquet")
    assert main(["predict", str(trained), str(tmp_path / "in.parquet"), "--out", str(tmp_path / "out.parquet")]) == 0
    found = pq.read_schema(tmp_path / "out.parquet")
    assert dict(zip(found.names, found.types, strict=True)).items() >= of.items()
    monkeypatch.setattr(sources, "PIECE", 1)
    for index in (pd.Index(["k2", "k1"], name="key"), pd.RangeIndex(4, 8, 2, name="key")):
        pd.DataFrame({"text": ["fine", "good"]}, index).to_parquet(tmp_path / "in.parquet")
        assert main(["predict", str(trained), str(tmp_path / "in.parquet"), "--out", str(tmp_path / "o.jsonl")]) == 0
        assert pd.read_json(tmp_path / "o.jsonl", lines=True)["key"].tolist() == [*index]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_memory_does_not_grow_with_the_file(form, trained, tmp_path):
    """The answers are made up, since reading and writing is what could hold the table."""
    code = """
import re, sys
from ulmfit_easy.apps import saved_model
from ulmfit_easy.apps.cli import main
predict, answer = saved_model.SavedModel.predict, []
def one(self, texts, first_row=0):
    answer[:] = answer or predict(self, [texts[0]])
    return answer * len(texts)
saved_model.SavedModel.predict = one
assert main(["predict", *sys.argv[1:]]) == 0
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])  # getrusage may tell of the parent
"""
    peaks = []
    for n in (2_000, 60_000):
        df = pd.DataFrame({"text": [f"good film {i} " * 100 for i in range(n)]})
        name, out = tmp_path / f"{n}.{form}", tmp_path / f"out.{form}"
        if form == "jsonl":
            df.to_json(name, orient="records", lines=True)
        else:
            getattr(df, f"to_{form}")(name)
        run = subprocess.run([sys.executable, "-c", code, str(trained), str(name), "--out", str(out)],
                             capture_output=True, text=True, check=True)
        peaks.append(int(run.stdout.splitlines()[-1]) / 1024)
    assert peaks[1] - peaks[0] < 100  # MB, of a file with 90 MB of text
