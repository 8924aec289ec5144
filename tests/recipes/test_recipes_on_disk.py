"""Unlabelled texts in files: an estimator reads them in pieces, and never those that are kept aside."""

from pathlib import Path

import pandas as pd
import pytest
from recipes_tiny import LABELS, TEXTS, TINY

from ulmfit_easy.data import tables
from ulmfit_easy.data.tables import TableOnDisk
from ulmfit_easy.errors import TextError, UlmfitError
from ulmfit_easy.recipes import training
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.recipes.on_disk import FileCorpus, tables_of

MORE = ["a new film", None, " ", "another soup, and more", *TEXTS[:24]]


@pytest.fixture
def file(tmp_path):
    pd.DataFrame({"id": range(len(MORE)), "text": MORE}).to_csv(tmp_path / "more.csv", index=False)
    return tmp_path / "more.csv"


def test_an_estimator_reads_a_file_in_pieces_but_for_the_texts_kept_aside(file, monkeypatch, capsys):
    made, lm_data = [], training.stages.lm_data
    monkeypatch.setattr(training.stages, "lm_data", lambda *args, **kw: made.append(lm_data(*args, **kw)) or made[0])
    monkeypatch.setattr(tables, "read_table", None)
    model = ULMFiT(preset=TINY, seed=0, pretrained=False, blend=None)
    model.fit(TEXTS[:24], LABELS[:24], [TableOnDisk(file, 5)])
    (of_lm,), aside = made, {*model.learners_[0].dls.valid.rows.tolist()}
    store = of_lm.train.ids.store
    read = ["".join(map(str, store.tokens(row))) for row in range(len(store))]
    assert len(read) == 24 - len(aside) + 2 and len({*read}) == len(read)
    assert "22 and 2 unlabelled ones: it trains on" in (said := capsys.readouterr().out) and "copies" not in said


def test_a_corpus_has_the_texts_of_all_its_tables_piece_by_piece(file):
    corpus = FileCorpus(["first"], [TableOnDisk(file, 3), TableOnDisk(file, 100)], without=TEXTS)
    pieces = [piece["text"].tolist() for piece in corpus.pieces()]
    assert sum(pieces, []) == ["first", *MORE[:1], MORE[3], *MORE[:1], MORE[3]] and max(map(len, pieces)) <= 2
    assert corpus.n_on_disk == 4


def test_a_file_without_names_has_them_from_the_call(file):
    file.write_text("a first line\na second one\n")
    pieces = FileCorpus([], [TableOnDisk(file, header=None)]).pieces()
    assert [text for piece in pieces for text in piece["text"]] == ["a first line", "a second one"]


def test_paths_and_tables_are_files_and_anything_else_is_texts(file):
    assert [table.path for table in tables_of([file, TableOnDisk(file)])] == [file, file]
    assert tables_of(file)[0].chunksize > 1000 and tables_of(()) == tables_of(["a"]) == []


@pytest.mark.parametrize(("name", "as_path", "error"), [
    ("more.csv", False, r"E101.*'more.csv', one str.*Path\(name\)"),
    ("more.json", True, "E407.*CSV, JSON lines or Parquet. Fix: write it as CSV or Parquet.$")])
def test_a_file_that_cannot_be_read_in_pieces_is_told_with_what_to_pass(name, as_path, error, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text('[{"text": "a new film"}]')
    with pytest.raises(UlmfitError, match=error):
        ULMFiT(preset=TINY, pretrained=False, verbose=False).fit(
            TEXTS[:24], LABELS[:24], Path(name) if as_path else name)


@pytest.mark.parametrize("table", [{"id": [1], "review": ["a"]}, {"A first line of plain text": ["a second one"]}],
                         ids=["other columns", "plain text"])
def test_a_file_without_the_column_is_told_before_any_training(table, file):
    pd.DataFrame(table).to_csv(file, index=False)
    with pytest.raises(TextError, match="E102.*'text'"):
        ULMFiT(preset=TINY, pretrained=False, verbose=False).fit(TEXTS[:24], LABELS[:24], file)
