"""The official files of the paper's six data sets are read as tables; small files of the same format stand for them."""

import pandas as pd
import pytest

from ulmfit_easy.data.datasets import read_dataset
from ulmfit_easy.errors import FileError

TREC = {"train_5500.label": "NUM:dist How far is Orléans ?\nHUM:ind Who was he ?\n",
        "TREC_10.label": "LOC:city Where ?\n"}
IMDB = {"train/pos/0_9.txt": "A film to see twice.", "train/neg/1_1.txt": "Dull.", "test/pos/0_10.txt": "Great!",
        "train/unsup/0_0.txt": "A film.", "train/urls_pos.txt": "http://...", "README": "Large Movie Review Dataset"}
AG = {"train.csv": '"3","Dell gets order","Philips said ""yes"", it did."\n"1","Vote","It was close."\n',
      "test.csv": '"2","Final","They won."\n', "classes.txt": "World\nSports\nBusiness\nSci/Tech\n"}
YELP = {"train.csv": '"1","Cold soup.\\n\\nNever again, ""chef""."\n"2","Superb"\n', "test.csv": '"2","Good"\n'}
OWN = {"all.csv": "text,label\nA film,pos\nNA,7\n", "unsup.csv": "text\nMore\n"}
READ = {  # files, and the rows of each part
    "TREC": (TREC, {"train": [("How far is Orléans ?", "NUM"), ("Who was he ?", "HUM")], "test": [("Where ?", "LOC")]}),
    "IMDb": (IMDB, {"train": [("Dull.", "neg"), ("A film to see twice.", "pos")], "test": [("Great!", "pos")],
                    "unsup": [("A film.",)]}),
    "AG": (AG, {"train": [('Dell gets order Philips said "yes", it did.', "Business"), ("Vote It was close.", "World")],
                "test": [("Final They won.", "Sports")]}),
    "Yelp": (YELP, {"train": [('Cold soup.\n\nNever again, "chef".', "1"), ("Superb", "2")], "test": [("Good", "2")]}),
    "own": (OWN, {"train": [("A film", "pos"), ("NA", "7")], "unsup": [("More",)]})}


def written(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="latin-1")
    return folder


@pytest.mark.parametrize("name", READ)
def test_each_official_format_is_read(name, tmp_path):
    files, parts = READ[name]
    found = read_dataset(written(tmp_path, files))
    rows = {part: list(df[[c for c in ("text", "label") if c in df]].itertuples(index=False, name=None))
            for part, df in found.items()}
    assert rows == parts


def test_fine_classes_of_trec_are_a_column(tmp_path):
    assert read_dataset(written(tmp_path, TREC))["train"]["label_fine"].tolist() == ["NUM:dist", "HUM:ind"]


def test_a_compressed_table_is_read(tmp_path):
    pd.DataFrame({"text": ["a"], "label": ["b"]}).to_csv(tmp_path / "train.csv.gz", index=False)
    assert read_dataset(tmp_path)["train"].iloc[0].tolist() == ["a", "b"]


@pytest.mark.parametrize(("files", "error"), [
    ({"train_5500.label": "NUM:dist How far ?\n\n"}, "E407.*line 2 .*a class such as NUM:dist"),
    ({"train.csv": '"1","a"\n"World","b"\n'}, "E407.*line 2 .*the number of a class and a text"),
    ({"train.csv": "1\n2\n"}, "E407.*line 1 "),
    ({"README": "nothing"}, "E404.*without a part to learn from.*README")])
def test_other_files_are_refused(files, error, tmp_path):
    with pytest.raises(FileError, match=error):
        read_dataset(written(tmp_path, files))
