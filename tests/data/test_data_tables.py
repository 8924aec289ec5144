import gzip
import json
import sys
from collections import Counter

import pandas as pd
import pytest

from ulmfit_easy.data import sources, tables
from ulmfit_easy.data.splits import IndexSplitter
from ulmfit_easy.data.tables import TableOnDisk, read_pieces, read_table
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import ArgumentError, FileError, TextError, TrainingError
from ulmfit_easy.learner import text_data
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.text.tokenizers import BaseTokenizer

pytestmark = [pytest.mark.usefixtures("own_cache"), pytest.mark.filterwarnings("ignore")]


class Learns(BaseTokenizer):
    """Learns of texts, once, which ones they were."""

    seen = ()

    def setup(self, texts, rules):
        self.seen = self.seen or list(texts)


ROWS = [{"text": "a\u2028b\nc", "label": 1}, {"text": "007", "label": 2, "more": [1, 2]},
        {"text": "\u00e9", "label": None}]


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson", "t.json", "t.JSONL.gz"])
@pytest.mark.parametrize("as_list", [False, True])
def test_json_keeps_text_and_types(tmp_path, name, as_list):
    lines = json.dumps(ROWS, ensure_ascii=False) if as_list else "\n\n".join(
        json.dumps(row, ensure_ascii=False) for row in ROWS) + "\n"
    data = ("\ufeff" + lines).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    df = read_table(tmp_path / name)
    assert df.text.tolist() == ["a\u2028b\nc", "007", "\u00e9"] and df.label.tolist()[:2] == [1, 2]
    assert df.label[2] is None and type(df.label[0]) is int and df.more[1] == [1, 2] and pd.isna(df.more[0])


@pytest.mark.parametrize("content, where", [("{}\n{oops}", "line 2"), ('{"a": 1}\n[2]', "line 2"), ("[1]", "entry 1"),
                                            ("[{}", "all"), ('"text"', "line 1")])
def test_json_that_is_no_table_is_e407_with_the_line(tmp_path, content, where):
    (tmp_path / "t.jsonl").write_text(content)
    with pytest.raises(FileError, match=rf"\[E407\].*{where}"):
        read_table(tmp_path / "t.jsonl")


def test_a_name_tells_the_kind_of_table_by_its_end(tmp_path):
    (tmp_path / "a.json.csv").write_text("text,label\na,b\n")
    assert read_table(tmp_path / "a.json.csv").to_dict("list") == {"text": ["a"], "label": ["b"]}


def test_from_csv_reads_json_lines_with_labels_of_their_type(tmp_path):
    df = toy_reviews(40)
    (tmp_path / "r.jsonl").write_text("\n".join(json.dumps({"text": t, "label": int(y == "pos")})
                                                for t, y in zip(df.text, df.label, strict=True)))
    for door in (TextDataLoaders.from_csv, TextDataLoaders.from_jsonl):
        dls = door(tmp_path, "r.jsonl", min_freq=1, seed=0)
        assert dls.classes == [0, 1] and dls.path == tmp_path and dls.train.n_rows == 32


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TrainingError, match=r"\[E507\].*pip install pyarrow"):
        read_table(tmp_path / "t.parquet")


def test_parquet_is_read_whole_or_in_pieces(tmp_path):
    pytest.importorskip("pyarrow")
    df = toy_reviews(50)
    df.to_parquet(tmp_path / "r.parquet")
    assert read_table(tmp_path / "r.parquet").to_dict("list") == df.to_dict("list")
    assert [len(piece) for piece in read_pieces(tmp_path / "r.parquet", 20)] == [20, 20, 10]
    dls = TextDataLoaders.from_parquet(tmp_path / "r.parquet", chunksize=20, min_freq=1, seed=0)
    assert dls.classes == ["neg", "pos"] and dls.train.n_rows == 40
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(FileError, match="E407.*pyarrow"):
        read_table(tmp_path / "bad.parquet")


ODD = pd.DataFrame({"text": ["NA", "", 'a "b", c', "two\nlines", "007", "\u00e9\u2028", " x "],
                    "label": list("abababa")})


@pytest.mark.parametrize("name, options", [("t.csv", {}), ("t.tsv", {}), ("t.csv.gz", {}), ("t.csv", {"header": None}),
                                           ("t.csv", {"encoding": "utf-16"}), ("t.csv", {"delimiter": ";"})])
@pytest.mark.parametrize("chunksize", [1, 2, 3, 100])
def test_pieces_are_the_rows_of_the_whole_table(tmp_path, name, options, chunksize):
    sep = options.get("delimiter", "\t" if "tsv" in name else ",")
    ODD.to_csv(tmp_path / name, sep=sep, index=False, encoding=options.get("encoding", "utf-8"),
               header="header" not in options)
    whole = read_table(tmp_path / name, **options)
    pieces = list(read_pieces(tmp_path / name, chunksize, **options))
    assert pd.concat(pieces, ignore_index=True).equals(whole) and max(map(len, pieces)) <= chunksize
    assert whole.iloc[:, 0].tolist() == ODD.text.tolist()


def test_pieces_have_no_byte_order_mark(tmp_path):
    (tmp_path / "t.csv").write_bytes("\ufefftext,label\na,b\n".encode())
    assert list(next(read_pieces(tmp_path / "t.csv", 9))) == list(read_table(tmp_path / "t.csv")) == ["text", "label"]


def test_pieces_that_cannot_be_read_are_named(tmp_path):
    def fails(code, content, **options):
        (tmp_path / "t.csv").write_bytes(content)
        with pytest.raises((FileError, ArgumentError), match=code):
            list(read_pieces(tmp_path / "t.csv", 2, **options))
    fails("E403", b"text,label\n\xff,b\n")
    fails("E407", b"text,label\na,b\na,b,c,d\n")
    fails("E407", b"")
    fails("E407.*'a'", b"a,a\n1,2\n")
    fails("E602", b"a,b\n", encoding="nonsense")
    (tmp_path / "t.jsonl").write_text("[{}]")
    with pytest.raises(FileError, match="E407.*chunksize"):
        list(read_pieces(tmp_path / "t.jsonl", 2))
    with pytest.raises(FileError, match="E404"):
        list(read_pieces(tmp_path / "no.csv", 2))


@pytest.mark.parametrize("kwargs", [{}, {"is_lm": True, "seq_len": 8}, {"text_col": ["topic", "text"]},
                                    {"label_col": "topic", "balanced": True},
                                    {"n_workers": 1, "tok_tfm": BaseTokenizer()}])
def test_loaders_of_a_table_in_pieces_are_those_of_the_whole_table(tmp_path, kwargs):
    toy_reviews(60).to_csv(tmp_path / "labels.csv", index=False)
    kwargs = {"label_col": "label", "bs": 8, "seed": 0, "min_freq": 1} | kwargs
    whole, pieces = (TextDataLoaders.from_csv(tmp_path, chunksize=n, **kwargs) for n in (None, 7))
    for a, b in zip([*whole.train, *whole.valid], [*pieces.train, *pieces.valid], strict=True):
        assert all(t.equal(u) for t, u in zip(a, b, strict=True))
    assert whole.config() == pieces.config() and whole.vocab == pieces.vocab
    assert whole.train.ids.store.path == pieces.train.ids.store.path


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("kind", ["csv", "folder", "learned pieces"])
def test_each_text_is_read_at_most_twice_before_the_first_batch(tmp_path, monkeypatch, kind, cached):
    walked, pieces = Counter(), TableOnDisk.pieces
    texts = [f'he said: "good {i}",\nand left' for i in range(9)]  # quotes and line ends: more to look at
    pd.DataFrame({"text": texts, "label": list("abc") * 3}).to_csv(tmp_path / "t.csv", index=False)
    for i, text in enumerate(texts):
        for name in "ab":
            (tmp_path / "files" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "files" / name / f"{i}.txt").write_text(text)
    monkeypatch.setattr(TableOnDisk, "pieces", lambda self: walked.update(["csv"]) or pieces(self))
    monkeypatch.setattr(sources, "read_text", lambda file, encoding: walked.update([file]) or file.read_text())
    monkeypatch.setattr(tables, "is_misquoted", lambda *args: walked.update(["quotes"]))
    tables._is_misquoted.cache_clear()
    options = {"min_freq": 1, "seed": 0, "cache_dir": tmp_path / "cache" if cached else False,
               "tok_tfm": Learns() if kind == "learned pieces" else BaseTokenizer()}
    for again in range(2):
        walked.clear()
        dls = (TextDataLoaders.from_csv(tmp_path / "t.csv", chunksize=4, **options) if kind == "csv" else
               TextDataLoaders.from_folder(tmp_path / "files", valid_pct=0.3, **options))
        read = dict(walked)
        dls.one_batch()
        assert dict(walked) == read and read.pop("quotes", 1) == 1
        assert len(read) == (1 if kind == "csv" else 18) and set(read.values()) == {1 if again and cached else 2}


class Walked(list):
    """Counts how often it is walked, from the first text that is read."""

    walks = 0

    def __iter__(self):
        self.walks += 1
        yield from super().__iter__()


@pytest.mark.parametrize(("tok", "walks"), [(BaseTokenizer, 2), (Learns, 3)], ids=["words", "learned pieces"])
def test_the_texts_of_a_table_in_memory_are_walked_twice(monkeypatch, tok, walks):
    walked, read = Walked(), text_data.read_texts

    def counted(*args, **kwargs):
        texts, *rest = read(*args, **kwargs)
        walked.extend(texts)
        return walked, *rest
    monkeypatch.setattr(text_data, "read_texts", counted)
    dls = TextDataLoaders.from_df(toy_reviews(30), min_freq=1, seed=0, bs=4, tok_tfm=tok(), cache_dir=False)
    dls.one_batch()
    assert walked.walks == walks


def test_texts_are_not_held_in_memory_and_a_missing_one_is_named_by_its_row(tmp_path):
    texts = ["good", "bad"] * 10 + [None, "worse"]
    table = TableOnDisk(tmp_path / "t.csv", chunksize=3)
    table.pieces = lambda: (pd.DataFrame({"label": ["a", "b"], "text": texts[i:i + 2]}) for i in range(0, 22, 2))
    with pytest.raises(TextError, match="E101.*row 20"):
        TextDataLoaders.from_df(table, text_col="text", label_col="label")
    seen = []
    dls = TextDataLoaders.from_df(
        table, text_col="text", label_col="label", on_missing="drop", min_freq=1,
        splitter=lambda df: seen.append(df) or (range(5), range(5, 21)))
    assert set(seen[0].text) == {""} and seen[0].label.tolist()[-2:] == ["b", "b"] and len(seen[0]) == 21
    assert dls.valid.n_rows == 16


def test_a_table_that_is_replaced_while_it_is_read_is_an_error(tmp_path, monkeypatch):
    new, old = tmp_path / "new.csv", tmp_path / "t.csv"
    for file, word in ((new, "new"), (old, "old")):
        pd.DataFrame({"text": [f"{word} {i}" for i in range(9)], "label": list("abc") * 3}).to_csv(file, index=False)
    pieces, readings = TableOnDisk.pieces, iter(range(9))

    def replaced(self):
        if next(readings) == 1:
            new.rename(old)
        return pieces(self)
    monkeypatch.setattr(TableOnDisk, "pieces", replaced)
    with pytest.raises(FileError, match="E406.*texts that have changed while they were read"):
        TextDataLoaders.from_csv(old, chunksize=4, text_col="text", label_col="label", tok_tfm=BaseTokenizer(),
                                 cache_dir=tmp_path / "cache", min_freq=1, seed=0)


def test_a_file_in_pieces_teaches_the_tokenizer_in_the_order_of_the_whole_table(tmp_path):
    toy_reviews(60).to_csv(tmp_path / "labels.csv", index=False)
    learned = [Learns() for _ in range(2)]
    for n, tok in zip((None, 7), learned, strict=True):
        TextDataLoaders.from_csv(tmp_path, chunksize=n, seed=0, min_freq=1, tok_tfm=tok)
    assert len(learned[0].seen) == 48 and learned[0].seen == learned[1].seen


def test_a_table_of_no_pieces_as_a_parquet_file_without_rows_is_has_no_texts(tmp_path):
    table = TableOnDisk(tmp_path / "r.parquet")
    table.pieces = lambda: iter([])
    with pytest.raises(TextError, match="E104.*r.parquet without rows"):
        TextDataLoaders.from_df(table)


@pytest.mark.parametrize("header", [3, -1])
def test_a_header_that_is_no_row_of_the_file_is_e407(tmp_path, header):
    (tmp_path / "t.csv").write_text("text,label\na,b\nc,d\n")
    for read in (read_table, lambda path, **kwargs: list(read_pieces(path, 2, **kwargs))):
        with pytest.raises(FileError, match=f"E407.*header={header} .*t.csv"):
            read(tmp_path / "t.csv", header=header)


@pytest.mark.parametrize("chunksize", [1, 2, 3])
def test_a_header_far_down_is_found_in_pieces_too(tmp_path, chunksize):
    (tmp_path / "t.csv").write_text("about,this\nfile,it\ntext,label\na,b\nc,d\ne,f\ng,h\n")
    pieces = pd.concat(read_pieces(tmp_path / "t.csv", chunksize, header=2), ignore_index=True)
    assert pieces.equals(read_table(tmp_path / "t.csv", header=2)) and pieces.text.tolist() == ["a", "c", "e", "g"]


def test_pieces_are_learned_from_training_rows_only(tmp_path):
    from ulmfit_easy.text.subword import SentencePieceTokenizer

    df = toy_reviews(60)
    df.to_csv(tmp_path / "labels.csv", index=False)
    dls = TextDataLoaders.from_df(TableOnDisk(tmp_path / "labels.csv", 7), is_lm=True, bs=4, seq_len=9,
                                  tok_tfm=SentencePieceTokenizer(vocab_sz=120), splitter=IndexSplitter(range(50, 60)))
    other = TextDataLoaders.from_df(df[:51], is_lm=True, bs=4, seq_len=9, tok_tfm=SentencePieceTokenizer(vocab_sz=120),
                                    splitter=IndexSplitter([50]))
    assert dls.vocab == other.vocab
