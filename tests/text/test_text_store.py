"""store.py: one pass, bounded memory, found again by content and never misread."""

import copy
import gc
import json
import os
import pickle
import shutil
import subprocess
import sys
import tracemalloc
import warnings
from collections import Counter

import numpy as np
import pytest

from ulmfit_easy.errors import FileError, TextError
from ulmfit_easy.text import store as store_module
from ulmfit_easy.text import workers
from ulmfit_easy.text.look import EMPTY
from ulmfit_easy.text.special import SPECIAL_TOKENS
from ulmfit_easy.text.store import MEMBERS, TokenStore
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer
from ulmfit_easy.text.vocab import Vocab

SPLIT = Tokenizer(BaseTokenizer())
TEXTS = ["b a b", "", "c a", ("a", "d"), "\ud800 é 的"]


class Counting(Tokenizer):
    """A tokenizer that knows how many texts it has read."""

    done = 0

    def pipe(self, texts):
        for tokens in super().pipe(texts):
            self.done += 1
            yield tokens


def build(texts=TEXTS, cache_dir=None, **kwargs):
    tokenizer = Counting(BaseTokenizer(), **kwargs)
    store = TokenStore.build(texts, tokenizer, cache_dir=cache_dir)
    return store, tokenizer.done


def test_the_store_gives_back_the_tokens_of_every_document(tmp_path):
    store, _ = build(cache_dir=tmp_path)
    expected = [found.tokens for found in SPLIT.pipe(TEXTS)]
    assert [store.tokens(i) for i in range(len(store))] == expected and store.tokens(-1) == expected[-1]
    assert store.lengths.tolist() == [len(tokens) for tokens in expected] and store.lengths.dtype == np.int64
    assert store.n_tokens == sum(map(len, expected)) and store.ids.dtype == np.uint32
    with pytest.raises(IndexError):
        store.tokens(5)


@pytest.mark.parametrize("given", [list, iter], ids=["texts", "iterator"])
def test_the_store_keeps_a_hash_of_each_text(tmp_path, given):
    texts = ["a b", "", "a b", "ab", ("a", "b"), ("ab", ""), "a  b"]
    hashes = TokenStore.build(given(texts), SPLIT, tmp_path).hashes.tolist()
    assert hashes[0] == hashes[2] == -5998592601911901439  # in every process
    assert hashes[1] == EMPTY
    assert len(set(hashes)) == 6


@pytest.mark.parametrize("block", [1, 2, 1 << 20])
@pytest.mark.parametrize("rows", [None, [2, 0], [3, 3, 1], []])
def test_counts_are_in_first_seen_order_of_the_rows(monkeypatch, tmp_path, block, rows):
    monkeypatch.setattr(store_module, "BLOCK", block)
    expected = Counter(t for i in (range(5) if rows is None else rows) for t in SPLIT(TEXTS[i]))
    got = build(cache_dir=tmp_path)[0].count(rows)
    assert list(got.items()) == list(expected.items())


def test_ids_follow_the_vocabulary_and_read_any_stretch(tmp_path):
    store, _ = build(cache_dir=tmp_path)
    vocab = Vocab([*SPECIAL_TOKENS, "a", "b"])
    ids = store.numericalize(vocab)
    assert ids[0].tolist() == [2, 10, 9, 10] and ids[0].dtype == np.int32 and ids[2].tolist() == [2, 0, 9]
    assert [ids.read(0, a, b).tolist() for a, b in [(1, 3), (0, 99)]] == [[10, 9], [2, 10, 9, 10]]
    assert ids.read(0, 3, 1).size == ids.read(0, 4, 9).size == 0
    assert np.concatenate(list(ids)).size == ids.n_tokens == ids.lengths.sum() == ids.offsets[-1]
    assert len(ids) == 5
    assert ids.unk_rate([0]) == 0 and ids.unk_rate([2]) == 1 / 3 and ids.unk_rate([]) == 0
    again = pickle.loads(pickle.dumps(ids))
    assert again[0].tolist() == ids[0].tolist() and again.vocab == vocab


def test_tokens_of_a_rule_that_cannot_be_described_are_not_kept_and_it_is_told_why(tmp_path):
    def rule(text):
        return text + str(next(numbers))
    numbers = iter(range(100))
    with pytest.warns(UserWarning, match="not kept for the next run: 'rule' uses a builtins.range_iterator"):
        stores = [build(TEXTS[:1], tmp_path, rules=[rule])[0] for _ in "ab"]
    assert [store.tokens(0)[-1] for store in stores] == ["b0", "b1"] and not list(tmp_path.iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(TEXTS[:1], False, rules=[rule])


class Replaced:
    """Texts whose source is another one from the second reading on."""

    def __init__(self):
        self.readings = iter([["old a", "old b"], ["new a", "new b"]])

    def __iter__(self):
        yield from next(self.readings)


def test_a_source_that_is_replaced_while_it_is_read_leaves_nothing_under_its_name(tmp_path):
    with pytest.raises(FileError, match="E406.*changed while they were read"):
        build(Replaced(), tmp_path)
    assert not [p for p in tmp_path.iterdir() if p.suffix != ".lock"]
    assert build(["old a", "old b"], tmp_path)[0].tokens(0)[-2:] == ["old", "a"]


def test_a_copy_and_a_pickle_need_no_cache(tmp_path):
    ids = build(cache_dir=tmp_path)[0].numericalize(Vocab([*SPECIAL_TOKENS, "a", "b"]))
    expected, data = [ids[i].tolist() for i in range(5)], pickle.dumps(ids)
    assert str(tmp_path).encode() not in data
    copied = copy.deepcopy(ids)
    shutil.rmtree(tmp_path)
    for again in (copied, pickle.loads(data), copy.deepcopy(pickle.loads(data))):
        assert [again[i].tolist() for i in range(5)] == expected and again.store.tokens(0) == SPLIT(TEXTS[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_reads_a_temporary_store_and_leaves_it_where_it_is():
    store = TokenStore.build(TEXTS, SPLIT, False)
    pid = os.fork()
    if pid == 0:
        right, _ = store.tokens(0) == SPLIT(TEXTS[0]), store.__dict__.clear()
        del store
        gc.collect()
        os._exit(0 if right else 1)
    assert os.waitpid(pid, 0)[1] == 0 and store.path.exists() and store.tokens(4) == SPLIT(TEXTS[4])


def test_the_default_cache_is_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("ULMFIT_EASY_CACHE", str(tmp_path))
    assert build()[0].path.parent == tmp_path / "tokens"


def test_a_cache_that_cannot_be_written_to_is_told_and_a_temporary_one_does(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ULMFIT_EASY_CACHE", str(tmp_path / "file" / "cache"))
    expected = build(cache_dir=tmp_path / "cache")[0]
    with pytest.warns(UserWarning, match="^[^\n]*cannot be written to[^\n]*ULMFIT_EASY_CACHE$") as told:
        store = build()[0]
    assert told[0].filename == __file__
    assert store.path.name == expected.path.name and store.count() == expected.count()
    path = store.path
    del store
    gc.collect()
    assert not path.exists()
    with pytest.raises(FileError, match="E411"):
        build(cache_dir=tmp_path / "file" / "cache")


def test_a_temporary_store_goes_with_the_object():
    for texts, kwargs in [(TEXTS, {"cache_dir": False}), (iter(TEXTS), {})]:
        store = TokenStore.build(texts, SPLIT, **kwargs)
        path = store.path
        assert path.exists() and store.tokens(0)[1] == "b"
        del store
        gc.collect()
        assert not path.parent.exists()


@pytest.mark.parametrize("member", [*MEMBERS, "meta.json"])
def test_a_store_without_one_of_its_files_is_built_again_with_a_warning(tmp_path, member):
    store, _ = build(cache_dir=tmp_path)
    (store.path / member).unlink()
    with pytest.warns(UserWarning, match="damaged"):
        again, done = build(cache_dir=tmp_path)
    assert done == 5 and again.tokens(0) == SPLIT(TEXTS[0])


def test_a_store_that_is_opened_by_its_path_is_checked_too(tmp_path):
    store, _ = build(cache_dir=tmp_path)
    assert TokenStore(store.path).tokens(2) == store.tokens(2)
    (store.path / "tokens.bin").write_bytes(b"")
    with pytest.raises(FileError, match="E406"):
        TokenStore(store.path)
    with pytest.raises(FileError, match="E404"):
        TokenStore(tmp_path / "nothing")


def test_a_build_that_fails_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        def rule(text):
            raise KeyboardInterrupt
        build(cache_dir=tmp_path, rules=[rule])
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".lock"] == []


SCRIPT = """
import sys, time
from ulmfit_easy.text.store import TokenStore
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer
class Slow(list):
    walks = 0
    def __iter__(self):
        self.walks += 1
        for n, text in enumerate(super().__iter__()):
            if n == 50 and self.walks == 2: print("go", flush=True); time.sleep(float(sys.argv[2]))
            yield text
texts = Slow(f"text {i} of many" for i in range(100))  # hashed, then tokenized
store = TokenStore.build(texts, Tokenizer(BaseTokenizer(), rules=[]), cache_dir=sys.argv[1])
print(len(store), store.n_tokens, len(store.lexicon), flush=True)
"""


def start(folder, seconds):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), str(seconds)],
                            stdout=subprocess.PIPE, text=True)


def test_a_killed_build_is_not_taken_for_whole_and_is_cleared_away(tmp_path):
    with start(tmp_path, 60) as victim:
        assert victim.stdout.readline() == "go\n"
        victim.kill()
    assert not [p for p in tmp_path.iterdir() if len(p.name) == 64]
    with start(tmp_path, 0) as heir:
        assert heir.communicate(timeout=60)[0] == "go\n100 400 103\n"
    assert len([p for p in tmp_path.iterdir() if p.is_dir()]) == 1


def test_two_processes_build_once_and_both_read(tmp_path):
    with start(tmp_path, 0.5) as one, start(tmp_path, 0.5) as two:
        out = sorted(p.communicate(timeout=60)[0] for p in (one, two))
    assert out == ["100 400 103\n", "go\n100 400 103\n"]


def test_memory_does_not_grow_with_the_corpus(monkeypatch):
    monkeypatch.setattr(store_module, "BLOCK", 1 << 14)
    monkeypatch.setattr(workers, "PIECE", 1 << 14)

    def peak(n):
        tracemalloc.start()
        try:
            store = TokenStore.build((f"{i % 97} word " * 50 for i in range(n)), SPLIT)
            store.count()
            return tracemalloc.get_traced_memory()[1], store.n_tokens
        finally:
            tracemalloc.stop()

    peak(10)
    (small, _), (large, n_tokens) = peak(300), peak(2000)
    assert large - small < 100_000 < n_tokens  # 8 bytes a document, nothing a token


@pytest.mark.parametrize("texts, code", [
    ([], "E104"), (iter([]), "E104"), ("text", "E101"), (["a", None], "E101.*row 1"),
    (iter(["a", 3.0]), "E101.*row 1"), (["a", ("b", float("nan"))], "E101.*row 1")])
def test_no_texts_or_what_is_not_text_is_an_error(tmp_path, texts, code):
    with pytest.raises(TextError, match=code):
        TokenStore.build(texts, SPLIT, cache_dir=tmp_path)


def test_progress_shows_in_a_terminal_and_changes_nothing(tmp_path, capsys, monkeypatch):
    store = TokenStore.build(TEXTS, SPLIT, cache_dir=tmp_path / "log", progress=True)
    assert len(store) == 5 and capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    store = TokenStore.build(TEXTS, SPLIT, cache_dir=tmp_path, progress=True)
    assert len(store) == 5 and "tokenizing:   0%" in (err := capsys.readouterr().err) and "/5 " in err


def test_the_lexicon_is_json_in_first_seen_order(tmp_path):
    store, _ = build(cache_dir=tmp_path)
    assert json.loads((store.path / "lexicon.json").read_text())[:4] == ["xxbos", "b", "a", ""]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(cache_dir=tmp_path)


def test_true_is_the_users_cache_too(tmp_path, monkeypatch):
    monkeypatch.setenv("ULMFIT_EASY_CACHE", str(tmp_path))
    assert build(cache_dir=True)[0].path == build()[0].path
