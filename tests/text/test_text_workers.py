"""workers.py: other processes give the same ids in the same order, and nothing of them is left over."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ulmfit_easy.errors import ArgumentError, TextError
from ulmfit_easy.text import workers
from ulmfit_easy.text.store import MEMBERS, TokenStore
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer
from ulmfit_easy.text.workers import encode

SPLIT = Tokenizer(BaseTokenizer())
TEXTS = [f"Text {i % 70} of MANY words, aaaaaa {chr(200 + i % 300)}" for i in range(900)]
TEXTS += ["", "\ud800 é 的", "x" * 9000]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(workers, "PIECE", 2000)


PROC = Path("/proc")
HAS_PROC = (PROC / f"self/task/{os.getpid()}/children").is_file()  # only Linux tells which processes are left


def children() -> set[int]:
    """The processes that this one has started and that are still there."""
    return {int(pid) for task in (PROC / "self/task").iterdir() for pid in (task / "children").read_text().split()}


@pytest.fixture(autouse=True)
def leaves_no_process():
    before = children() if HAS_PROC else None
    yield
    assert not HAS_PROC or children() <= before


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_store_is_the_same_byte_for_byte_whatever_the_number_of_workers(n_workers, tmp_path):
    alone, others = (TokenStore.build(TEXTS, SPLIT, tmp_path / str(n), n_workers=n) for n in (0, n_workers))
    for name in (*MEMBERS, "meta.json"):
        assert (alone.path / name).read_bytes() == (others.path / name).read_bytes()
    assert alone.path.name == others.path.name and [alone.tokens(i) for i in (0, 900, -1)] == [
        SPLIT(TEXTS[i]) for i in (0, 900, -1)]


def test_more_workers_than_pieces_and_fields_and_an_iterator_are_no_matter():
    texts = [("a title", "and a body")] * 3
    assert list_of(encode(SPLIT, iter(texts), 2)) == list_of(encode(SPLIT, texts, 0))
    assert list_of(encode(SPLIT, [], 1)) == []


def list_of(encoded):
    return [(lexicon, ids.tolist(), lengths) for lexicon, ids, lengths, _ in encoded]


def test_by_default_only_much_text_is_worth_workers_and_a_part_of_ones_own_is_not(monkeypatch):
    started = []
    monkeypatch.setattr(workers, "_Worker", lambda data: started.append(1) or Fake())
    monkeypatch.setattr(workers, "processors", lambda: 3)
    monkeypatch.setattr(workers, "SERIAL", 4)
    wanted = list_of(encode(SPLIT, TEXTS, 0))
    assert list_of(encode(SPLIT, TEXTS[:100])) == list_of(encode(SPLIT, TEXTS[:100], 0)) and not started
    assert list_of(encode(SPLIT, TEXTS)) == wanted and len(started) == 3
    list_of(encode(Tokenizer(BaseTokenizer(), rules=[str.upper]), TEXTS))
    assert len(started) == 3


class Fake:
    """A worker in this process."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def send(self, first, texts):
        self.texts = texts

    def receive(self):
        return workers.encoded(SPLIT, self.texts)


def test_at_most_one_piece_for_each_worker_is_read_ahead():
    read = []
    texts = (read.append(i) or "word " * 400 for i in range(200))
    found = encode(SPLIT, texts, 2)
    for n in range(1, 20):
        next(found)
        assert len(read) <= n + 3
    found.close()


def raises(text):
    raise KeyError(text[:3])


def shouts(text):
    print(text)
    return text


def test_what_a_rule_raises_or_prints_in_a_worker_comes_through(capfd):
    with pytest.raises(KeyError, match="Tex"):
        list(encode(Tokenizer(BaseTokenizer(), rules=[raises]), TEXTS, 1))
    a, b = (list_of(encode(Tokenizer(BaseTokenizer(), rules=[shouts]), TEXTS[:50], n)) for n in (0, 1))
    assert a == b
    out, err = capfd.readouterr()
    assert out.count("MANY") == err.count("MANY") == 50


def test_fewer_workers_than_none_are_refused():
    with pytest.raises(ArgumentError, match="E602.*n_workers=-1"):
        list(encode(SPLIT, TEXTS, -1))


def test_parts_that_other_processes_cannot_import_are_refused(monkeypatch):
    with pytest.raises(ArgumentError, match=r"\[E603\].*n_workers=0"):
        list(encode(Tokenizer(BaseTokenizer(), rules=[lambda text: text]), TEXTS, 1))
    monkeypatch.setattr(shouts, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "shouts", shouts, raising=False)
    with pytest.raises(ArgumentError, match=r"\[E603\].*shouts"):
        list(encode(Tokenizer(BaseTokenizer(), rules=[shouts]), TEXTS, 1))


@pytest.mark.parametrize("n_workers", [0, 1])
def test_a_text_that_is_none_is_named_by_its_row(n_workers):
    with pytest.raises(TextError, match="E101.*row 903"):
        list(encode(SPLIT, [*TEXTS, None], n_workers))


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
from ulmfit_easy.text import workers
from ulmfit_easy.text.store import TokenStore
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer
workers.PIECE = 500
def texts():
    for i in range(10**7):
        if i == 3000: print("go", flush=True)
        yield "some words " * 5
TokenStore.build(texts(), Tokenizer(BaseTokenizer()), n_workers=2)  # no guard: workers do not run this script
"""


@pytest.mark.skipif(not HAS_PROC, reason="needs /proc")
@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])  # by name: Windows lacks one
def test_workers_end_with_their_parent_however_it_ends(how, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env={**os.environ, "TMPDIR": str(tmp_path)}, start_new_session=True)
    with parent:
        assert parent.stdout.readline() == "go\n"
        its = [int(pid) for pid in (PROC / f"{parent.pid}/task/{parent.pid}/children").read_text().split()]
        assert len(its) == 2
        os.killpg(parent.pid, signal.Signals[how])  # as Ctrl-C in a terminal does
        try:
            err = parent.communicate(timeout=20)[1]
        finally:
            parent.kill()
    deadline = time.monotonic() + 10
    while any((PROC / f"{pid}").exists() and "Z" not in (PROC / f"{pid}/stat").read_text() for pid in its):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if how == "SIGINT":
        assert err.count("KeyboardInterrupt") == 1 and [p.name for p in tmp_path.iterdir()] == ["script.py"]
