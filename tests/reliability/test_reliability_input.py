"""Input data: whatever tables, files and labels bring, it is used as meant, or an error or a warning names it."""

import json
import math
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from containers import ONE, SEVERAL, WRONG, answers
from faults import tally
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit_easy.data.lm import LMDataLoader
from ulmfit_easy.data.sources import clean_texts
from ulmfit_easy.data.tables import read_table
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import TextError, UlmfitError
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.words import BaseTokenizer, SpacyTokenizer

SLOW = pytest.mark.slow
TOKENIZER = Tokenizer()
GOLDEN = Path(__file__).parent / "golden_strings.json"

pytestmark = pytest.mark.usefixtures("own_cache")


def loaders(df, **options):
    defaults = {"text_col": "text", "label_col": "label", "tok_tfm": BaseTokenizer(), "seed": 0, "min_freq": 1, "bs": 8}
    return TextDataLoaders.from_df(df, **(defaults | options))


def warned(call) -> list[str]:
    """What a call warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(w.message) for w in caught]


def code_of(call) -> str:
    """The code and the message of the error of a call; of another kind of error its type, of none the word none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call()
        except UlmfitError as e:
            return str(e)
        except Exception as e:
            return f"{type(e).__name__}: {e}"
    return "none"


def table(n=40, **columns) -> pd.DataFrame:
    df = toy_reviews(n, seed=3).drop_duplicates("text").reset_index(drop=True)
    return df.assign(**{name: make(len(df)) for name, make in columns.items()})


# --- any string ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [200, pytest.param(2000, marks=SLOW)])
def test_any_string_gives_at_least_the_mark_of_its_beginning(n):
    tried = []

    @settings(max_examples=n, deadline=None, database=None)
    @given(st.text(st.characters(codec=None, categories=None)))
    def check(text):
        assert TOKENIZER(text)[0] == "xxbos"
        tried.append(1)
    check()
    tally("Input", "any string through rules and tokenizer", len(tried), 0, "strings", "raised")


def test_strange_strings_give_the_tokens_they_always_gave():
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    differ = [row["text"] for row in golden if TOKENIZER(row["text"]) != row["tokens"]]
    tally("Input", "strange strings beside their golden tokens", len(golden), len(differ), "strings", "different")


def test_a_million_combining_marks_are_a_text():
    assert TOKENIZER("e" + "\u0301" * 1_000_000)[0] == "xxbos"


# --- what is no text ----------------------------------------------------------------------------------------------

NO_TEXTS = {"None": None, "NaN": math.nan, "NA": pd.NA, "NaT": pd.NaT, "an int": 3, "a float": 2.5, "bytes": b"abc",
            "a list": ["a"]}
DTYPES = ["object", "string", "str" if int(pd.__version__.split(".")[0]) >= 3 else "string[python]"]


def test_what_is_no_text_is_e101_with_its_rows_in_every_kind_of_column():
    tried = lost = 0
    arrow = ["string[pyarrow]"] if _has("pyarrow") else []
    for dtype in DTYPES + arrow:
        for name, value in NO_TEXTS.items():
            missing = name in ("None", "NaN", "NA", "NaT")
            if dtype != "object" and not missing:  # such a column cannot hold it: the same values as they come
                column = pd.Series(["good", value, "bad", value], dtype="object")
            else:
                column = pd.Series(["good", value, "bad", value], dtype=dtype)
            told = code_of(lambda column=column: clean_texts([column]))
            tried += 1
            lost += not ("[E101]" in told and "rows 1, 3" in told and "2 " in told)
            for policy in ("drop", "empty") if missing else ():
                texts, kept = clean_texts([column], policy)
                lost += texts != {"drop": ["good", "bad"], "empty": ["good", "", "bad", ""]}[policy]
    tally("Input", f"values that are no text, pandas {pd.__version__}", tried, lost, "columns", "let through")


def _has(package) -> bool:
    try:
        __import__(package)
        return True
    except ImportError:
        return False


# --- files --------------------------------------------------------------------------------------------------------

def test_files_of_other_encodings_are_named_and_never_replaced(tmp_path):
    cases = {"latin-1": "café à la carte", "cp1252": "caf\u00e9 \u2013 \u201cgut\u201d", "utf-16": "café",
             "gb18030": "好的电影非常好看我喜欢它", None: b"text,label\nok \xc3\x28,x\n"}
    lost = 0
    for encoding, text in cases.items():
        path = tmp_path / "t.csv"
        path.write_bytes(text if encoding is None else f"text,label\n{text},x\n".encode(encoding))
        told = code_of(lambda path=path: read_table(path))
        lost += not ("[E403]" in told and "t.csv" in told and "byte" in told and "encoding=" in told)
        if encoding:
            lost += read_table(path, encoding=encoding)["text"].tolist() != [text]
    tally("Input", "files that are not UTF-8", len(cases), lost, "files", "misread")


def test_tables_are_read_as_text_or_refused_by_name(tmp_path):
    path = tmp_path / "t.csv"

    def texts_of(content, **options):
        path.write_text(content, encoding="utf-8")
        return read_table(path, **options)["text"].tolist()

    def told(content, **options):
        path.write_text(content, encoding="utf-8")
        return code_of(lambda: TextDataLoaders.from_csv(path, **{"text_col": "text", "label_col": "label"} | options))
    numbers = "text,label\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(20))
    fractions = toy_reviews(20).assign(label=lambda d: np.linspace(0, 1, 20))
    checks = [
        *(texts_of(f'text,label\n"{word}",a\nb,c\n') == [word, "b"] for word in ("NA", "null", "None", "nan", "")),
        "[E407]" in (double := told("text,text,label\na,b,c\n")) and "'text'" in double,
        texts_of('text,label\n"two\nlines, ""quoted""",a\n') == ['two\nlines, "quoted"'],
        "[E407]" in told('text,label\n"never closed,a\nb,c\n'),
        "did you mean 'text'" in told("text,label\na,b\n", text_col="txt"),
        "did you mean 'label'" in told("text,label\na,b\n", label_col="labels"),
        told(numbers, min_freq=1) == "none" and read_table(path)["text"].tolist()[:2] == ["0", "1"],
        "[E101]" in code_of(lambda: loaders(table(text=lambda n: list(range(n))))),
        "[E207]" in code_of(lambda: loaders(fractions)),
        "[E407]" in told("")]
    tally("Input", "odd tables", len(checks), checks.count(False), "tables", "misread")


# --- labels -------------------------------------------------------------------------------------------------------

def test_odd_classes_are_errors_or_warnings_before_training():
    def split(n, last=4):
        return [i >= n - last for i in range(n)]
    alone = table(label=lambda n: ["a", "b"] * (n // 2 - 1) + ["c", "a"] + ["b"] * (n % 2))
    only_valid = table(label=lambda n: [*"ab" * (n // 2 - 1), *"ab"[:n % 2], "a", "new"], v=split)
    ends = loaders(table(label=lambda n: ["a", "b"] * (n // 2) + ["a"] * (n % 2)))
    with warnings.catch_warnings(record=True) as once:
        warnings.simplefilter("always")
        rare = loaders(alone)
    row = alone.index[alone.label == "c"][0]
    test = table(4, label=lambda n: ["a", "unheard", "b", "a"][:n])
    mixed = table(label=lambda n: [1, "1"] * (n // 2) + [1] * (n % 2))
    typed = table(label=lambda n: [1, 2] * (n // 2 - 2) + [1] * (n % 2) + ["1", 2, 1, 2], v=split)
    checks = [
        "[E201]" in code_of(lambda: loaders(table(label=lambda n: ["same"] * n))),
        row in rare.train.rows and any("1 classes have one example" in str(w.message) for w in once),
        "[E203]" in (told := code_of(lambda: loaders(only_valid, valid_col="v"))) and "'new'" in told,
        code_of(lambda: loaders(only_valid, valid_col="v", labels=["a", "b", "new"])) == "none",
        any("count as wrong" in w for w in warned(lambda: ends.test_dl(test, with_labels=True))),
        -100 in next(iter(quiet(lambda: ends.test_dl(test, with_labels=True))))[2].tolist(),
        "[E202]" in code_of(lambda: loaders(table(label=lambda n: ["a", "b", None, *"ab" * n][:n]))),
        any("look alike: 1, '1'" in w for w in warned(lambda: loaders(mixed))),
        "give labels one type" in code_of(lambda: loaders(typed, valid_col="v"))]
    tally("Input", "odd classes", len(checks), checks.count(False), "cases", "silent")


def quiet(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


def test_copies_and_torn_labels_are_warned_of_with_a_count_and_three_rows():
    df = table(v=lambda n: [i >= n - 6 for i in range(n)])
    leak = df.copy()
    leak.loc[leak.index[-5:], ["text", "label"]] = leak.loc[:4, ["text", "label"]].to_numpy()
    torn = df.copy()
    torn.loc[5:8, "text"] = torn.text[0]
    torn.loc[5:8, "label"] = "neg" if torn.label[0] == "pos" else "pos"
    both = leak.copy()
    both.loc[both.index[-5:], "label"] = ["neg" if y == "pos" else "pos" for y in both.label[:5]]

    def found(df, *words):
        told = warned(lambda: loaders(df, valid_col="v"))
        return all(any(word in w and "(and " in w and w.count(",") > 1 for w in told) for word in words)
    checks = [found(leak, "5 of 6 validation texts are training texts too"),
              found(torn, "4 texts have another label than an equal text before them"),
              found(both, "5 of 6 validation texts", "5 texts have another label")]
    tally("Input", "copies over the split, equal texts with two labels", len(checks), checks.count(False), "tables",
          "silent")


def test_an_answer_in_the_text_is_warned_of():
    df = table()
    told = [warned(lambda: loaders(df.assign(text=df.text + " verdict: " + df.label))),
            warned(lambda: loaders(df, text_col="label"))]
    checks = ["hold the name of their own label" in " ".join(told[0]), "both text and label" in " ".join(told[1])]
    tally("Input", "the answer is part of the text", len(checks), checks.count(False), "tables", "silent")


def test_ten_thousand_classes_and_classes_of_any_name_work(tmp_path):
    names = ["a/b", "two\nlines", "<b>bold</b>", "../../etc/passwd", "", "x" * 5000, "\u202e", "a,b", "=cmd()"]
    from ulmfit_easy.all import AWD_LSTM, load_learner, text_classifier_learner

    lost = 0
    for name in ("a/b", "two\nlines", "<b>bold</b>", "../../etc/passwd"):
        df = table(label=lambda n, name=name: [name if i % 2 else "plain" for i in range(n)])
        dls = quiet(lambda df=df: loaders(df, path=tmp_path))
        learn = text_classifier_learner(dls, AWD_LSTM, config=dict(emb_sz=4, n_hid=4, n_layers=1), pretrained=False,
                                        verbose=False)
        again = load_learner(learn.export("model"))
        lost += again.dls.classes != dls.classes or again.predict("good").label not in dls.classes
    assert {p.name for p in tmp_path.iterdir()} <= {"model", "cache"} and names
    many = pd.DataFrame({"text": [f"word{i % 500} word{i}" for i in range(20_000)],
                         "label": [f"class {i % 10_000}" for i in range(20_000)]})
    dls = quiet(lambda: loaders(many, valid_pct=0.1))
    learn = text_classifier_learner(dls, AWD_LSTM, config=dict(emb_sz=4, n_hid=4, n_layers=1), pretrained=False,
                                    verbose=False)
    lost += dls.c != 10_000 or learn.predict("word1").probs.shape != (10_000,)
    tally("Input", "10,000 classes, and names with /, line feed, HTML, ..", 5, lost, "data sets", "broken")


# --- too little ---------------------------------------------------------------------------------------------------

class Ids:
    """One document of n tokens."""

    def __init__(self, n):
        self.lengths = np.array([n])

    def read(self, doc, start, stop):
        return np.arange(9 + start, 9 + stop, dtype=np.int32)


def test_a_corpus_of_any_size_trains_every_token_or_says_why_not():
    silent = 0
    for n in range(201):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                dl = LMDataLoader(Ids(n), [0], bs=4, seq_len=10, shuffle=True, seed=0)
            except TextError as e:
                silent += not (n < 2 and "[E103]" in str(e))
                continue
        rows = [np.concatenate(row) for row in zip(*(y.tolist() for _, y in dl), strict=True)]
        seen = sorted(t for row in rows for t in row)
        silent += not (len(dl) >= 1 and len(seen) == len(set(seen)) > 0 and n - 1 - len(seen) < dl.bs
                       and (dl.bs == 4 or any("smaller batches" in str(w.message) for w in told)))
    tally("Input", "corpora of 0 to 200 tokens, bs 4 x 10", 201, silent, "sizes", "silent")


def test_a_vocabulary_of_nothing_is_an_error_and_of_another_language_a_warning():
    df = table()
    foreign = loaders(pd.DataFrame({"text": ["bonjour tout le monde"] * 9}), is_lm=True, label_col=None).vocab
    checks = []
    for call in (lambda: loaders(df, min_freq=100_000), lambda: loaders(df, max_vocab=9)):
        told = code_of(call)
        checks.append("[E301]" in told and "min_freq=" in told and "the most common" in told)
    told = warned(lambda: loaders(df, text_vocab=foreign))
    checks.append(any("of the training tokens are not in the vocabulary" in w for w in told))
    dls = quiet(lambda: loaders(df, text_vocab=foreign))
    checks.append(dls.train.ids.unk_rate() > 0.5 and len(dls.text_vocab) == len(foreign))
    tally("Input", "vocabularies that fit nothing", len(checks), checks.count(False), "cases", "silent")


# --- one long document --------------------------------------------------------------------------------------------

def test_a_text_read_in_blocks_has_the_tokens_of_the_whole(monkeypatch):
    from ulmfit_easy.text import words

    texts = [" ".join(toy_reviews(3, seed=i).text) + "\n\nDr. Who isn't U.S.  born... (a.m. / p.m.) don't\t" * 3
             for i in range(100)]
    whole = list(SpacyTokenizer()(texts))
    monkeypatch.setattr(words, "BLOCK", 40)
    differ = sum(a != b for a, b in zip(whole, SpacyTokenizer()(texts), strict=True))
    tally("Input", "texts in blocks beside the same texts whole", len(texts), differ, "texts", "different")


BIG = """
    import re, sys, warnings
    warnings.simplefilter("ignore")
    from ulmfit_easy.all import *
    from ulmfit_easy.data.toy import toy_texts
    import torch, random
    n = int(sys.argv[1])
    config = dict(emb_sz=16, n_hid=32, n_layers=1)
    def peak():
        return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
    def learner(texts, is_lm):
        df = pd.DataFrame({"text": texts, "label": ["a", "b"] * (len(texts) // 2)})
        dls = TextDataLoaders.from_df(df, text_col="text", label_col="label", is_lm=is_lm, bs=2, min_freq=1, seed=0,
                                      valid_pct=0.5, cache_dir=False, splitter=lambda items: ([0, 1], [2, 3]))
        make = language_model_learner if is_lm else text_classifier_learner
        return make(dls, AWD_LSTM, config=config, pretrained=False, verbose=False)
    small = ["a good film", "a bad film", "good", "bad"]
    learner(small, True).fit(1), learner(small, False).fit(1)
    learner(small, False).predict("a good film")
    base = peak()
    words = " ".join(toy_texts(50)).split(" ")
    text = " ".join(words[i % len(words)] for i in range(n))
    lm = learner([text, *small[1:]], True)
    lm.fit(1, cbs=ShortEpochCallback(1e-9))
    print("lm step", round(peak() - base), flush=True)
    clas = learner([text, *small[1:]], False)
    clas.fit(1, cbs=ShortEpochCallback(1e-9))
    print("classifier step", round(peak() - base), flush=True)
    clas.predict(text)
    print("predict", round(peak() - base), int(clas.dls.train.lengths.max()), flush=True)
"""


@SLOW
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc; ru_maxrss counts the parent")
def test_a_document_of_five_million_tokens_trains_and_predicts_in_bounded_memory(tmp_path):
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(BIG), "4100000"], capture_output=True, text=True,
                          cwd=tmp_path)
    print(done.stdout)
    *_, mib, tokens = done.stdout.split() or ["0", "0"]
    assert done.returncode == 0 and int(tokens) > 5_000_000, done.stderr[-2000:]
    tally("Input", f"a document of {int(tokens):,} tokens: {mib} MiB above base", 1, int(not 0 < int(mib) < 300),
          "documents", "over 300 MiB, or not measured")


def test_every_door_reads_every_container_alike():
    def said(ask, make):
        try:
            return repr(ask(make()))
        except UlmfitError as e:
            return e.code

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        right = [said(ask, make) == expected for ask, of_list, of_one in answers().values() for make, expected in [
            *((make, of_list) for make in SEVERAL.values()), *((make, of_one or "E101") for make in ONE.values()),
            *WRONG.values()]]
    tally("Input", "containers of texts at each door that takes texts", len(right), right.count(False), "pairs",
          "read otherwise")
