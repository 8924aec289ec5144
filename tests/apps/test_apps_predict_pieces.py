"""`ulmfit predict` answers a CSV file piece by piece: the same table, in memory that does not grow with it."""

import gzip
from pathlib import Path

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
