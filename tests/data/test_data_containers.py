import bz2
import gzip
import lzma
import zipfile

import pandas as pd
import pytest

from ulmfit_easy.data.tables import read_pieces, read_table
from ulmfit_easy.errors import FileError

CSV = b"text,label\ngood film,pos\nbad film,neg\n"


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["t.csv", "t", "T.DAT"])
def test_compression_is_known_by_the_first_bytes_whatever_the_name(tmp_path, pack, name):
    file = tmp_path / name
    file.write_bytes(pack(CSV))
    assert read_table(file).label.tolist() == ["pos", "neg"]
    assert pd.concat(read_pieces(file, 1)).label.tolist() == ["pos", "neg"]


@pytest.mark.parametrize("end, pack", [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_the_name_without_its_compression_tells_the_kind_of_table(tmp_path, end, pack):
    (tmp_path / f"t.tsv{end}").write_bytes(pack(b"text\tlabel\na, b\tpos\n"))
    (tmp_path / f"t.jsonl{end}").write_bytes(pack(b'{"text": "a"}'))
    assert read_table(tmp_path / f"t.tsv{end}").text.tolist() == ["a, b"]
    assert read_table(tmp_path / f"t.jsonl{end}").text.tolist() == ["a"]


@pytest.mark.parametrize("end", [".gz", ".bz2", ".xz", ".zip"])
@pytest.mark.parametrize("content", [CSV, gzip.compress(CSV)[:-9], bz2.compress(CSV)[:-9], lzma.compress(CSV)[:-9]],
                         ids=["plain", "gz", "bz2", "xz"])
def test_what_is_not_whole_is_e407(tmp_path, end, content):
    (tmp_path / f"t{end}").write_bytes(content)
    for read in (read_table, lambda path: list(read_pieces(path, 1))):
        with pytest.raises(FileError, match="E407"):
            read(tmp_path / f"t{end}")


def test_the_only_table_in_a_zip_is_read_and_several_are_named(tmp_path):
    one = zipped(tmp_path / "one.zip", {"data/r.tsv": "text\tlabel\na\tpos\n", "__MACOSX/r.tsv": "x"})
    assert read_table(one).to_dict("list") == {"text": ["a"], "label": ["pos"]}
    with pytest.raises(FileError, match="E407.*2 files .*a.csv, b.csv.*unpack"):
        read_table(zipped(tmp_path / "two.zip", {"a.csv": "x", "b.csv": "y"}))


@pytest.mark.parametrize("name, content, what", [
    ("t.csv", b"%PDF-1.7", "PDF"), ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "workbook"),
    ("t.zst", b"\x28\xb5\x2f\xfd", "zstd")])
def test_files_that_are_no_tables_are_called_by_their_name(tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=f"E407.*{what}"):
        read_table(tmp_path / name)


def test_a_workbook_says_so_if_nothing_can_read_it(tmp_path, monkeypatch):
    monkeypatch.setattr("ulmfit_easy.data.tables.find_spec", lambda name: None)
    book = zipped(tmp_path / "t.csv", {"[Content_Types].xml": "<Types/>", "xl/workbook.xml": "<workbook/>"})
    with pytest.raises(FileError, match="E407.*workbook.*CSV.*openpyxl"):
        read_table(book)
    with pytest.raises(FileError, match="E407.*Office document"):
        read_table(zipped(tmp_path / "t.docx", {"[Content_Types].xml": "", "word/document.xml": ""}))


def test_a_workbook_gives_strings_of_its_first_sheet(tmp_path):
    pytest.importorskip("openpyxl")
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        pd.DataFrame({"text": ["a\nb", None, "NA"], "label": [1, 2, 2.5]}).to_excel(book, index=False)
        pd.DataFrame({"other": [1]}).to_excel(book, sheet_name="more")
    with pytest.warns(UserWarning, match="2 sheets .*first"):
        found = read_table(tmp_path / "t.xlsx")
    assert found.to_dict("list") == {"text": ["a\nb", "", "NA"], "label": ["1", "2", "2.5"]}
