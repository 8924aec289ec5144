import json
import os
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.data.tables import read_table
from ulmfit_easy.errors import ArgumentError, FileError, TextError
from ulmfit_easy.fastai import tokenized
from ulmfit_easy.fastai.tokenized import (
    parallel_tokenize,
    tokenize_csv,
    tokenize_files,
    tokenize_folder,
    tokenize_texts,
)
from ulmfit_easy.text.rules import replace_maj
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer

HERE = dict(tok=BaseTokenizer, n_workers=0)
TEXTS = {"pos/1.txt": "Good film", "pos/2.txt": "xxbos a  b\n", "neg/1.txt": "", "neg/deep/3.txt": "très\r\nlong"}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "films", TEXTS)
    return tmp_path / "films"


def write(root, texts):
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())


def tokens_in(out, names=TEXTS):
    return [(out / name).read_bytes().decode().split(" ") for name in names]


def of_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def tree(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


# --- folders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_workers", [0, 1])
def test_a_folder_has_the_tokens_of_each_text_at_the_same_place(folder, n_workers):
    out = tokenize_folder(folder, n_workers=n_workers, tok=BaseTokenizer())
    expected = tokenize_texts(TEXTS.values(), **HERE)
    assert out == folder.with_name("films_tok") and tokens_in(out) == expected
    assert set(tree(out)) == {*map(os.path.normpath, TEXTS), "counter.json", "lengths.json", "tokenized.json"}
    assert of_json(out / "counter.json") == Counter(sum(expected, []))
    assert of_json(out / "lengths.json") == {name: len(t) for name, t in zip(TEXTS, expected, strict=True)}


def test_extensions_folders_and_encoding_choose_and_read_the_texts(folder, tmp_path):
    (folder / "pos" / "note.MD").write_bytes("naïf".encode("cp1252"))
    out = tokenize_folder(folder, ".md", "pos", tmp_path / "elsewhere", encoding="cp1252", **HERE)
    assert tokens_in(out, ["pos/note.MD"]) == [["xxbos", "naïf"]] and list(of_json(out / "lengths.json")) == [
        "pos/note.MD"]
    with pytest.raises(FileError, match="E403.*note.MD"):
        tokenize_folder(folder, [".md"], **HERE)
    with pytest.raises(TextError, match="E104.*extensions"):
        tokenize_folder(folder, [".rst"], **HERE)


def test_a_folder_is_kept_while_all_is_the_same(folder):
    out = tokenize_folder(folder, **HERE)
    os.utime(folder / "pos/1.txt", (0, 0))
    (out / "pos/1.txt").write_text("mine")
    assert tokenize_folder(folder, **HERE) == out and (out / "pos/1.txt").read_text() == "mine"
    tokenize_folder(folder, skip_if_exists=False, **HERE)
    assert (out / "pos/1.txt").read_text() == "xxbos xxmaj good film"


def test_hashes_are_of_the_texts_that_were_tokenized(folder, monkeypatch):
    def late(*args, **kwargs):  # another program writes to the folder
        write(folder, {"pos/1.txt": "Bad film"})
        return parallel_tokenize(*args, **kwargs)
    with monkeypatch.context() as m:
        m.setattr(tokenized, "parallel_tokenize", late)
        assert tokens_in(tokenize_folder(folder, rules=[], **HERE))[0] == ["Bad", "film"]
    write(folder, TEXTS)
    assert tokens_in(tokenize_folder(folder, rules=[], **HERE))[0] == ["Good", "film"]


def test_rules_that_cannot_be_compared_are_never_the_same(folder):
    rules = [lambda text, seen=iter("ab"): text + next(seen, "")]
    out = tokenize_folder(folder, rules=rules, **HERE)
    (out / "pos/1.txt").write_text("mine")
    assert tokens_in(tokenize_folder(folder, rules=rules, **HERE))[0] == ["Good", "film"]


def test_a_file_of_the_user_in_the_folder_of_tokens_is_not_lost(folder):
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("names may be no UTF-8")
    out = tokenize_folder(folder, **HERE)
    (out / "pos" / "notes.txt").write_text("mine")
    for skip in (True, False):
        with pytest.raises(FileError, match="E412.*something is: pos/notes.txt"):
            tokenize_folder(folder, skip_if_exists=skip, **HERE)
    assert (out / "pos" / "notes.txt").read_text() == "mine"
    (out / "pos" / "notes.txt").unlink()
    assert tokenize_folder(folder, skip_if_exists=False, **HERE) == out


def lower(text):
    return text.lower()


CHANGES = {
    "a changed text": lambda path: write(path, {"pos/1.txt": "Bad film"}),
    "a new text": lambda path: write(path, {"pos/9.txt": "New"}),
    "a text that is gone": lambda path: (path / "pos/1.txt").unlink(),
    "a text that has moved": lambda path: (path / "pos/1.txt").rename(path / "neg/9.txt"),
    "other rules": lambda path: {"rules": [replace_maj]},
    "rules of one's own": lambda path: {"rules": [lower]},
    "another tokenizer": lambda path: {"tok": BaseTokenizer("o")},
    "a token file that is gone": lambda path: (path.with_name("films_tok") / "pos/2.txt").unlink(),
    "another encoding": lambda path: {"encoding": "latin-1"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_has_changed_is_tokenized_anew(folder, change, tmp_path):
    tokenize_folder(folder, **HERE)
    changed = change(folder)
    options = {**HERE, **(changed if isinstance(changed, dict) else {})}
    out = tokenize_folder(folder, **options)
    assert tree(out) == tree(tokenize_folder(folder, output_dir=tmp_path / "fresh", **options))
    assert not {p.name for p in tmp_path.iterdir()} - {"films", "films_tok", "fresh"}


def test_what_is_stopped_leaves_the_old_folder_whole_or_none(folder, tmp_path):
    def stop(text):
        if "long" in text:
            raise KeyboardInterrupt
        return text

    for _ in range(2):
        before = tree(tmp_path)
        with pytest.raises(KeyboardInterrupt):
            tokenize_folder(folder, rules=[stop], **HERE)
        assert tree(tmp_path) == before
        tokenize_folder(folder, **HERE)


def test_a_folder_with_other_things_in_it_is_never_replaced(folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years")
    for place in (tmp_path / "mine", folder, tmp_path):
        before = tree(tmp_path)
        with pytest.raises(FileError, match="E412"):
            tokenize_folder(folder, output_dir=place, **HERE)
        assert tree(tmp_path) == before


def test_tokens_inside_the_folder_of_the_texts_are_no_texts(folder):
    for _ in range(2):
        out = tokenize_folder(folder, output_dir=folder / "tok", skip_if_exists=False, **HERE)
    assert list(of_json(out / "lengths.json")) == sorted(TEXTS)


# --- files --------------------------------------------------------------------------------------------------------


def test_files_go_where_their_names_say(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = ["films/pos/1.txt", folder / "neg/1.txt"]
    assert tokens_in(tokenize_files(files, folder, "one", **HERE), ["pos/1.txt"]) == [
        ["xxbos", "xxmaj", "good", "film"]]
    two = tokenize_files(files, "films", tmp_path / "two", ["a/x", tmp_path / "two/y"], **HERE)
    assert tokens_in(two, ["a/x", "y"]) == [["xxbos", "xxmaj", "good", "film"], ["xxbos", ""]]
    assert of_json(two / "lengths.json") == {"pos/1.txt": 4, "neg/1.txt": 2}


@pytest.mark.parametrize("names", [["x", "x"], ["x", "a/../x"], ["x", "../y"], ["x", "/y"], ["x"],
                                   ["x", "counter.json"]])
def test_a_file_without_a_place_of_its_own_is_refused(folder, tmp_path, names):
    with pytest.raises(ArgumentError, match="E602"):
        tokenize_files([folder / "pos/1.txt", folder / "neg/1.txt"], folder, tmp_path / "out", names, **HERE)
    assert not (tmp_path / "out").exists()


def test_files_that_are_elsewhere_or_nowhere_are_refused(folder, tmp_path):
    with pytest.raises(ArgumentError, match="E602"):
        tokenize_files([folder / "pos/1.txt"], folder / "neg", tmp_path / "out", **HERE)
    with pytest.raises(FileError, match="E404"):
        tokenize_files([folder / "none.txt"], folder, tmp_path / "out", **HERE)


def test_a_subword_model_is_learned_where_there_is_none(folder):
    from ulmfit_easy.text.subword import SentencePieceTokenizer

    write(folder, {f"more/{i}.txt": f"a film to see {i} times and more" for i in range(20)})
    tok = SentencePieceTokenizer(vocab_sz=60)
    out = tokenize_folder(folder, tok=tok, n_workers=0)
    assert tok.model is not None and tokens_in(out, ["pos/1.txt"]) == tokenize_texts(["Good film"], 0, tok=tok)


# --- tables -------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20), min_size=1,
                max_size=7), st.integers(1, 4))
@settings(deadline=None, max_examples=30)
def test_tokens_of_any_text_come_back_from_a_csv(tmp_path_factory, texts, chunksize):
    file = tmp_path_factory.mktemp("csv") / "a.csv"
    pd.DataFrame({"text": texts, "n": range(len(texts))}).to_csv(file, index=False, lineterminator="\r\n")
    expected = tokenize_texts(texts, **HERE)
    out = tokenize_csv(file, "text", chunksize=chunksize, **HERE)
    table = read_table(out)
    assert list(table) == ["n", "text", "text_length"] and table.n.tolist() == list(map(str, range(len(texts))))
    assert [text.split(" ") for text in table.text] == expected
    assert table.text_length.tolist() == [str(len(tokens)) for tokens in expected]
    assert of_json(file.with_name("a_tok_counter.json")) == Counter(sum(expected, []))


def test_a_table_is_the_same_in_any_pieces_and_from_workers(tmp_path):
    file = tmp_path / "a.csv"
    pd.DataFrame({"id": ["007", "NA", ""], "a": ["One", "two", "x"], "b": ["y", "", "z"]}).to_csv(file, index=False)
    outs = [tokenize_csv(file, ["a", "b"], tmp_path / f"new/{k}_{n}.csv", n_workers=n, chunksize=k, tok=BaseTokenizer())
            for k, n in [(50_000, 0), (1, 0), (2, 1)]]
    assert len({out.read_bytes() for out in outs}) == 1
    assert read_table(outs[0]).id.tolist() == ["007", "NA", ""]
    assert read_table(outs[0]).text[1] == "xxbos xxfld 1 two xxfld 2"
    marks = tokenize_csv(file, ["a", "b"], mark_fields=False, **HERE)
    assert read_table(marks).text.tolist() == ["xxbos xxmaj one y", "xxbos two", "xxbos x z"]


def test_a_table_without_names_stays_without(tmp_path):
    (tmp_path / "a.csv").write_text("1,Good film\n0,bad\n")
    out = tokenize_csv(tmp_path / "a.csv", 1, header=None, **HERE)
    assert read_table(out, header=None).values.tolist() == [["1", "xxbos xxmaj good film", "4"],
                                                            ["0", "xxbos bad", "2"]]


def test_a_table_that_cannot_be_tokenized_leaves_what_was_there(tmp_path):
    pd.DataFrame({"text": ["a", "b", "c"]}).to_csv(tmp_path / "a.csv", index=False)
    tokenize_csv(tmp_path / "a.csv", "text", **HERE)
    before = tree(tmp_path)

    def stop(text):
        assert text != "c"
        return text

    with pytest.raises(AssertionError):
        tokenize_csv(tmp_path / "a.csv", "text", rules=[stop], chunksize=1, **HERE)
    with pytest.raises(TextError, match="E102"):
        tokenize_csv(tmp_path / "a.csv", "body", **HERE)
    assert tree(tmp_path) == before


def test_a_tokenizer_of_ones_own_is_taken_as_it_is(folder):
    out = tokenize_folder(folder, tok=Tokenizer(BaseTokenizer(), rules=[]), n_workers=0)
    assert tokens_in(out, ["pos/1.txt"]) == [["Good", "film"]]
