"""The token cache and its workers: never stale, never mixed up, never waited for in vain."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import pytest
from faults import tally

from ulmfit_easy.errors import FileError, TrainingError
from ulmfit_easy.text import store as store_module
from ulmfit_easy.text import tokenizers, workers
from ulmfit_easy.text.rules import DEFAULT_RULES
from ulmfit_easy.text.special import SPECIAL_TOKENS
from ulmfit_easy.text.store import MEMBERS, TokenStore
from ulmfit_easy.text.tokenizers import Tokenizer
from ulmfit_easy.text.vocab import Numericalize, Vocab
from ulmfit_easy.text.words import BaseTokenizer
from ulmfit_easy.text.workers import encode

SLOW = pytest.mark.slow
SPLIT = Tokenizer(BaseTokenizer())
TEXTS = [f"Text {i} of MANY words, aaaaaa" for i in range(60)]


class Counting(Tokenizer):
    """A tokenizer that knows how many texts it has read."""

    read = 0

    def pipe(self, texts, errors="raise"):
        for tokens in super().pipe(texts, errors):
            Counting.read += 1
            yield tokens


def reads(texts, cache, **parts) -> int:
    """How many texts a build had to tokenize."""
    Counting.read = 0
    TokenStore.build(texts, Counting(**{"tok": BaseTokenizer(), **parts}), cache)
    return Counting.read


def loud(text):
    return text + "!"


def test_whatever_changes_is_a_miss_and_only_that(tmp_path, monkeypatch):
    *head, last = TEXTS
    changes = [(head, {}), ([last, *head], {}), ([*head, last + " "], {}), ([*head, last.upper()], {}),
               ([*head, (last,) * 2], {}), ([*head, (last, "")], {}), ([*head[:-1], head[-1] + last[0], last[1:]], {}),
               (TEXTS, {"rules": [*DEFAULT_RULES, loud]}), (TEXTS, {"rules": []}),
               (TEXTS, {"post_rules": []}), (TEXTS, {"tok": BaseTokenizer("e")}), (TEXTS, {"mark_fields": True})]
    missed = found = 0
    assert reads(TEXTS, tmp_path) == len(TEXTS)
    for texts, parts in changes:
        missed += reads(texts, tmp_path, **parts) == len(texts)
        found += reads(list(texts), tmp_path, **parts) == 0
    for module in (tokenizers, store_module):
        monkeypatch.setattr(module, "SCHEMA", 99)
    missed += reads(TEXTS, tmp_path) == len(TEXTS)
    tally("C1", "changes of text, rules, tokenizer, schema", len(changes) + 1, len(changes) + 1 - missed, "changes",
          "stale")
    tally("C1", "second builds of the same", len(changes), len(changes) - found, "builds", "tokenized again")


VALUES = ["'a'", "'b'", "7", "True", "1.0", "None", "b'a'", "('a', 'b')", "['a', 'b']", "{'a': 1}", "{1, 2}",
          "re.compile('a')", "re.compile('b')", "{'a': 'b'}.get", "functools.partial(str.upper, 'a')",
          "(lambda *t: t[-1][1:])", "logging.getLogger('a')", "logging.getLogger('b')",
          "pandas.DataFrame({'a': ['b']})", "numpy.arange(3000)", "numpy.arange(3000) * 2", "object()", "iter('ab')",
          "functools.lru_cache(lambda *t: t[-1])", "Slots('a')", "Slots('b')", "own('a')", "own('b')"]
SHAPES = {  # how a rule comes to use a value x, of which it adds what `repr` makes of it
    "global": "def rule(t): return t + repr(x)",
    "default": "def rule(t, x=x): return t + repr(x)",
    "keyword": "def rule(t, *, x=x): return t + repr(x)",
    "closure": "def make(x): return lambda t: t + repr(x)\nrule = make(x)",
    "nested": "def rule(t): return (lambda: t + repr(x))()",
    "called": "def f(t): return t + repr(x)\ndef rule(t): return f(t)",
    "partial": "def f(x, t): return t + repr(x)\nrule = functools.partial(f, x)",
    "method": "class A:\n def __init__(self, x): self.x = x\n def f(self, t): return t + repr(self.x)\nrule = A(x).f",
    "object": "class A:\n def __call__(self, t): return t + repr(self.x)\nrule = A(); rule.x = x",
    "class": "class A:\n x = x\n def __call__(self, t): return t + repr(self.x)\nrule = A()",
    "base": "class B: x = x\nclass A(B):\n def __call__(self, t): return t + repr(self.x)\nrule = A()",
    "static": "class A:\n f = staticmethod(lambda: x)\n def __call__(self, t): return t + repr(self.f())\nrule = A()",
    "property": "class A:\n f = property(lambda s: x)\n def __call__(self, t): return t + repr(self.f)\nrule = A()",
    "slots": "class A:\n __slots__ = 'x'\n def __call__(self, t): return t + repr(self.x)\nrule = A(); rule.x = x",
    "cached": "@functools.lru_cache\ndef rule(t): return t + repr(x)",
    "wrapped": "def f(t): return t + repr(x)\n@functools.wraps(f)\ndef rule(t): return f(t)",
    "attribute": "def rule(t): return t + repr(rule.x)\nrule.x = x",
    "held": "table = {'a': [x]}\ndef rule(t): return t + repr(table['a'][0])",
    "module": "m = types.ModuleType('m'); m.x = x\ndef rule(t): return t + repr(m.x)",
    "recursive": "def rule(t, n=1): return rule(t, 0) if n else t + repr(x)",
}
HEAD = """
import functools, logging, re, types, numpy, pandas
class Slots:
    __slots__ = "x"
    def __init__(self, x): self.x = x
def own(word):
    made = types.ModuleType("own"); made.clean = lambda t: t + word
    return made
"""


def edited(shape, value):
    """A rule of this shape, as it is after an edit that made this its value."""
    names = {"__name__": "edited"}
    exec(f"{HEAD}\nx = {value}\n{SHAPES[shape]}", names)
    return names["rule"]


@pytest.mark.parametrize("shapes", [["closure"], pytest.param(list(SHAPES), marks=SLOW)])
def test_an_edited_rule_never_gives_stale_tokens_and_every_rule_is_described_in_time(place, shapes):
    stale, rules, slowest = 0, 0, 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of rules that cannot be described
        for shape in shapes:
            for value in VALUES:
                tokenizer = Tokenizer(BaseTokenizer("\0"), rules=[edited(shape, value)], post_rules=[])
                began = time.monotonic()
                store = TokenStore.build(["text"], tokenizer, place)
                slowest, rules = max(slowest, time.monotonic() - began), rules + 1
                stale += store.tokens(0) != list(tokenizer("text"))
    kept = len([path for path in place.iterdir() if path.is_dir()])
    print(f"{kept} of {rules} kept, slowest {slowest:.2f} s")
    assert kept > len(shapes)
    tally("C1", "fingerprints: rules edited in one value, however they use it", rules, stale, "rules", "stale")
    tally("C1", "fingerprints: the same rules, each described in 5 s", rules, int(slowest > 5), "rules", "hung")


BUILD = """
    import hashlib, sys, time
    from ulmfit_easy.text.store import TokenStore
    from ulmfit_easy.text.tokenizers import Tokenizer
    from ulmfit_easy.text.words import BaseTokenizer
    for line in sys.stdin:
        folder, at = line.split()
        time.sleep(max(0, float(at) - time.time()))
        texts = [f"text {i} of {folder[-6:]} and many" for i in range(300)]
        store = TokenStore.build(texts, Tokenizer(BaseTokenizer()), folder)
        found = [[store.tokens(i) for i in (0, 299)], store.n_tokens, len(store)]
        print(hashlib.sha256(repr(found).encode()).hexdigest(), flush=True)
"""


def test_processes_that_share_a_cache_all_read_the_same(tmp_path):
    n_rounds, n_processes, corrupt = 20, 4, 0
    children = [subprocess.Popen([sys.executable, "-c", textwrap.dedent(BUILD)], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True) for _ in range(n_processes)]
    try:
        for n in range(n_rounds):
            folder, at = tmp_path / f"{n:06d}", time.time() + (5 if n == 0 else 0.05)
            for child in children:
                child.stdin.write(f"{folder} {at}\n")
                child.stdin.flush()
            answers = [child.stdout.readline().strip() for child in children]
            texts = [f"text {i} of {n:06d} and many" for i in range(300)]
            alone = TokenStore.build(texts, SPLIT, tmp_path / "alone")
            whole = [[alone.tokens(i) for i in (0, 299)], alone.n_tokens, len(alone)]
            corrupt += sum(a != hashlib.sha256(repr(whole).encode()).hexdigest() for a in answers)
            corrupt += len([p for p in folder.iterdir() if p.is_dir()]) != 1
    finally:
        for child in children:
            child.stdin.close()
            child.wait(30)
            child.stdout.close()
    tally("C3", f"{n_rounds} rounds x {n_processes} processes on one cache", n_rounds * n_processes, corrupt, "builds",
          "corrupt")


HOLD = """
    import sys, time
    from filelock import FileLock
    with FileLock(sys.argv[1]):
        print("held", flush=True)
        time.sleep(600)
"""


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path):
    lock = TokenStore.build(TEXTS, SPLIT, tmp_path).path.with_suffix(".lock")
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(HOLD), str(lock)], stdout=subprocess.PIPE,
                          text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        opened = []
        waiting = threading.Thread(target=lambda: opened.append(TokenStore.build(TEXTS, SPLIT, tmp_path)))
        waiting.start()
        time.sleep(0.3)
        assert not opened  # it waits
        holder.kill()
        began = time.monotonic()
        waiting.join(30)
        seconds = time.monotonic() - began
    tally("C3", "lock of a killed process, acquired within 5 s", 1, not opened or seconds > 5, "locks", "stuck")


# --- workers ------------------------------------------------------------------------------------------------------

def killed(text):
    os.kill(os.getpid(), signal.SIGKILL)


def crashes(text):
    os.kill(os.getpid(), signal.SIGSEGV)


def leaves(text):
    os._exit(3)


def out_of_memory(text):
    raise MemoryError


DEATHS = {killed: "signal SIGKILL", crashes: "signal SIGSEGV", leaves: "code 3", out_of_memory: "for want of memory"}


class Late:
    """A rule that does its harm at one text only."""

    def __init__(self, harm, at):
        self.harm, self.at = harm, at

    def __call__(self, text):
        return self.harm(text) if f"Text {self.at} " in text else text


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("n", [4, pytest.param(20, marks=SLOW)])
def test_a_worker_that_dies_is_an_error_with_its_end_and_its_rows_and_no_wait(tmp_path, monkeypatch, n):
    monkeypatch.setattr(workers, "PIECE", 300)
    rng, lost, slowest = random.Random(0), 0, 0.0
    for k in range(n):
        harm, how = list(DEATHS.items())[k % len(DEATHS)]
        at = rng.randrange(len(TEXTS))
        began = time.monotonic()
        with pytest.raises(TrainingError) as caught:
            TokenStore.build(TEXTS, Tokenizer(BaseTokenizer(), rules=[Late(harm, at)]), tmp_path, n_workers=1 + k % 2)
        slowest = max(slowest, time.monotonic() - began)
        told = str(caught.value)
        first, last = (int(s) for s in told.partition("rows ")[2].partition(".")[0].split(" to "))
        lost += not ("[E508]" in told and how in told and first <= at <= last < first + 20)
        lost += any(p.suffix != ".lock" for p in tmp_path.iterdir())
    print(f"slowest {slowest:.1f} s")
    tally("C4", "workers killed, crashed, ended, out of memory", n, lost, "deaths", "silent, or without rows")
    assert slowest < 60  # the start of a process takes most of it, on a busy machine


FORK = """
    import os, sys, warnings, signal
    warnings.simplefilter("error", DeprecationWarning)  # what Python says of a fork beside threads
    from ulmfit_easy.all import *
    before = dict(os.environ)
    df = toy_reviews(40)
    dls = TextDataLoaders.from_df(df, text_col="text", label_col="label", bs=4, min_freq=1, seed=0,
                                  tok_tfm=BaseTokenizer(), cache_dir=False)
    learn = text_classifier_learner(dls, AWD_LSTM, config=dict(emb_sz=4, n_hid=4, n_layers=1), pretrained=False,
                                    verbose=False)
    expected = learn.predict("good film").probs
    done = 0
    for _ in range(int(sys.argv[1])):
        learn.predict("good film")
        pid = os.fork()
        if pid == 0:
            signal.alarm(30)
            os._exit(0 if torch.equal(learn.predict("good film").probs, expected) else 1)
        done += os.waitpid(pid, 0)[1] == 0
    print(done, dict(os.environ) == before)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("n", [10, pytest.param(50, marks=SLOW)])
def test_a_process_may_fork_after_a_prediction(n, tmp_path):
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(FORK), str(n)], capture_output=True, text=True,
                          timeout=280, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"})
    answered, untouched = (done.stdout.split() or ["0", "False"])[-2:]
    assert "fork" not in done.stderr and untouched == "True", done.stderr[-2000:]
    tally("C5", "forks after a prediction, each predicting too", n, n - int(answered), "forks", "hung or wrong")


@SLOW
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_worker_processes_of_a_data_loader_read_the_same_ids(how):
    from torch.utils.data import DataLoader

    store = TokenStore.build(TEXTS, SPLIT, False)
    ids = store.numericalize(Vocab([*SPECIAL_TOKENS, "text", "many"]))
    loaded = list(DataLoader(ids, batch_size=None, num_workers=2, multiprocessing_context=how))
    wrong = sum(got.tolist() != ids[i].tolist() for i, got in enumerate(loaded)) + abs(len(loaded) - len(TEXTS))
    tally("C5", f"forks: ids read by two workers of a DataLoader ({how})", len(TEXTS), wrong, "texts", "wrong")
    assert store.path.exists()  # the workers have ended


def test_a_store_of_another_version_or_of_nobody_is_built_again_and_never_misread(tmp_path):
    store = TokenStore.build(TEXTS, SPLIT, tmp_path)
    expected, place = [store.tokens(i) for i in range(len(store))], store.path
    good = {name: (place / name).read_bytes() for name in (*MEMBERS, "meta.json")}
    meta = json.loads(good["meta.json"])

    def changed(**new):
        return json.dumps(meta | new).encode()
    damages = {"older": ("meta.json", changed(schema=0)), "newer": ("meta.json", changed(schema=99)),
               "no schema": ("meta.json", json.dumps({"members": meta["members"]}).encode()),
               "no members": ("meta.json", changed(members={})), "a list": ("meta.json", b"[]"),
               "empty meta": ("meta.json", b""), "foreign meta": ("meta.json", b'{"name": "other"}'),
               "half the tokens": ("tokens.bin", good["tokens.bin"][:-40]),
               "other tokens": ("tokens.bin", good["tokens.bin"][::-1]), "no lexicon": ("lexicon.json", b""),
               "foreign lexicon": ("lexicon.json", b'["a"]'),
               "pickled offsets": ("offsets.npy", b"\x80\x04]\x94.")}
    lost = 0
    for name, data in damages.values():
        (place / name).write_bytes(data)
        if name == "meta.json" or len(data) != len(good[name]):  # sizes are looked at even without a build
            with pytest.raises(FileError):
                TokenStore(place)
        with pytest.warns(UserWarning, match="built again"):
            again = TokenStore.build(TEXTS, SPLIT, tmp_path)
        lost += [again.tokens(i) for i in range(len(again))] != expected
        lost += any((place / n).read_bytes() != b for n, b in good.items())
    tally("C6", "stores of other versions, foreign and damaged ones", len(damages), lost, "stores", "misread")


def test_unknown_words_never_grow_a_vocabulary():
    import psutil

    vocab = Vocab([*SPECIAL_TOKENS, "a", "b"])
    there, n = Numericalize(vocab), 100_000
    there(["a", "warm"])
    size, memory = (len(vocab), len(vocab.stoi)), psutil.Process().memory_info().rss
    for i in range(0, n, 100):
        assert not there([f"unknown{j}" for j in range(i, i + 100)]).any()
    grown = psutil.Process().memory_info().rss - memory
    print(f"{grown / 2**20:.2f} MiB")
    tally("C7", "unknown words, with at most 1 MiB more memory", n,
          n * ((len(vocab), len(vocab.stoi)) != size or grown > 2**20), "words", "learned")


@pytest.mark.parametrize("n", [1, pytest.param(5, marks=SLOW)])
def test_ids_of_all_numbers_of_workers_are_the_same_bytes(n, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "PIECE", 200)
    differ = 0
    for seed in range(n):
        texts = random.Random(seed).choices(TEXTS, k=50)
        made = [[(lexicon, ids.tobytes(), lengths) for lexicon, ids, lengths, _ in encode(SPLIT, texts, n_workers)]
                for n_workers in (0, 1, 2)]
        differ += sum(other != made[0] for other in made)
    tally("N6", f"token ids of {n} corpora with 0, 1 and 2 workers", 3 * n, differ, "builds", "different")
