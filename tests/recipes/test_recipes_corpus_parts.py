"""A corpus in many files is the same, copies left out, whichever processes read and tokenize it."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from ulmfit_easy.errors import FileError, TextError
from ulmfit_easy.recipes.corpus import parts
from ulmfit_easy.recipes.corpus.parts import look_at, tokens_on
from ulmfit_easy.recipes.corpus.plan import Plan
from ulmfit_easy.text.corpus import Corpus, Rows
from ulmfit_easy.text.look import Look
from ulmfit_easy.text.store import TokenStore
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer

SPLIT = Tokenizer(BaseTokenizer())
TEXTS = [["b a b", "c\n\na", "b a b"], ["a c", "b a b"], ["b a b"], ["d", None, " ", "a", "c\n\na", "e"]]
UNIQUE = ["b a b", "c\n\na", "a c", "d", "a", "e"]


@pytest.fixture
def corpus(tmp_path):
    for i, texts in enumerate(TEXTS):
        pd.DataFrame({"id": range(len(texts)), "body": texts}).to_parquet(tmp_path / f"{i}.parquet")
    return Corpus([tmp_path / f"{i}.parquet" for i in range(len(TEXTS))], text_col="body")


def files(store):
    return {path.name: path.read_bytes() for path in store.path.iterdir()}


def test_a_row_of_a_parquet_file_is_a_document(corpus):
    assert list(corpus) == [text for texts in TEXTS for text in texts if text and text.strip()]


@pytest.mark.parametrize(("column", "code"), [("text", "E102.*text_col="), ("id", "E101.*int64")])
def test_a_parquet_file_without_texts_is_refused(corpus, column, code):
    with pytest.raises(TextError, match=code):
        Corpus(corpus.files, text_col=column)
    corpus.files[0].write_bytes(b"PAR1 and no more")
    with pytest.raises(FileError, match="E401"):
        Corpus(corpus.files, text_col="body")


def test_a_walk_file_by_file_sees_what_one_walk_sees(corpus):
    seen = look_at(corpus)
    assert seen.look.sha256 == Look(corpus).finish().sha256 and seen.ends.tolist() == [0, 3, 5, 6, 10]
    assert seen.n_chars.tolist() == [len(text) for text in corpus] and seen.look.first == list(corpus)
    only = seen.only(rows := seen.unique())
    assert list(Rows(corpus, rows)) == UNIQUE and only.ends.tolist() == [0, 2, 3, 3, 6]
    assert only.look.sha256 == Look(UNIQUE).finish().sha256 and only.n_chars.tolist() == [*map(len, UNIQUE)]


def test_stores_of_files_are_joined_byte_for_byte_and_made_once(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "BLOCK", 2)
    seen = look_at(corpus)
    rows, made, crash, store_of = seen.unique(), [], True, parts._store_of
    seen_rows = seen.only(rows)

    def counted(texts, tokenizer, folder):
        made.append(next(iter(texts)))
        if crash and made[-1] == "d":
            raise KeyboardInterrupt
        return store_of(texts, tokenizer, folder)

    monkeypatch.setattr(parts, "_store_of", counted)
    built = partial(TokenStore.build, Rows(corpus, rows), SPLIT, look=seen_rows.look)
    one = built(cache_dir=tmp_path / "one")
    tokens = partial(tokens_on, None, corpus, seen.ends, rows, seen_rows.look)
    with pytest.raises(KeyboardInterrupt):
        built(cache_dir=tmp_path / "many", tokens=tokens)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "many").glob("*.parts/*/meta.json")}
    crash = False
    many = built(cache_dir=tmp_path / "many", tokens=tokens)
    assert len(kept) == 2 and made == ["b a b", "a c", "d"] * 2  # the third file has nothing new
    assert files(one) == files(many) and [one.tokens(i) for i in range(6)][1] == one.tokens(1)
    assert not list((tmp_path / "many").glob("*.parts")) and one.path.name == many.path.name


def test_files_that_change_in_between_are_told(corpus, tmp_path):
    seen = look_at(corpus)
    rows = np.arange(len(seen.n_chars))
    pd.DataFrame({"body": ["x", "y", "z"]}).to_parquet(corpus.files[0])
    with pytest.raises(FileError, match="E406"):
        TokenStore.build(corpus, SPLIT, tmp_path / "c", look=seen.look,
                         tokens=partial(tokens_on, None, corpus, seen.ends, rows, seen.look))


def test_a_plan_takes_a_pattern(corpus):
    folder = corpus.files[0].parent
    plan = Plan(corpus=f"{folder}/*.parquet", text_col="body")
    assert plan.corpus == tuple(map(str, corpus.files))
    with pytest.raises(FileError, match="E404"):
        Plan(corpus=f"{folder}/*.txt")
