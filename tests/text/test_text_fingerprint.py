"""fingerprint.py: all that a rule uses counts, and what cannot be described completely is not."""

import functools
import html
import logging
import re
import time
import unicodedata
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from ulmfit_easy.text import fingerprint as module
from ulmfit_easy.text.fingerprint import Undescribed, fingerprint
from ulmfit_easy.text.rules import fix_html, lowercase
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer
from ulmfit_easy.text.words import SpacyTokenizer


def defined(source, **names):
    """The object `made` of some source, in a module of its own."""
    names = {"__name__": "own", "re": re, "functools": functools, "html": html} | names
    exec(source, names)
    return names["made"]


RULE = "def made(t): return "
CLASS = "class A:\n {}\n def __call__(self, t): return t\nmade = A()"
PAIRS = {  # two sources that differ in what only a complete description sees
    "code": (RULE + "t + 'a'", RULE + "t + 'b'"),
    "a default": ("def made(t, n=1): return t * n", "def made(t, n=2): return t * n"),
    "a keyword's default": ("def made(t, *, n=1): return t * n", "def made(t, *, n=2): return t * n"),
    "types": ("def made(t, n=1): return t * n", "def made(t, n=True): return t * n"),
    "keys": ("d = {1: 'a'}\n" + RULE + "d.get(t)", "d = {'1': 'a'}\n" + RULE + "d.get(t)"),
    "the order of keys": ("d = dict(a=1, b=2)\n" + RULE + "list(d)", "d = dict(b=2, a=1)\n" + RULE + "list(d)"),
    "a list in a list": ("x = [[], []]\n" + RULE + "x", "x = [[[]]]\n" + RULE + "x"),
    "a name": (RULE + "t.strip()", RULE + "t.lstrip()"),
    "a pattern": ("p = re.compile('a')\n" + RULE + "p.sub('', t)", "p = re.compile('b')\n" + RULE + "p.sub('', t)"),
    "flags": ("p = re.compile('a')\n" + RULE + "p.sub('', t)", "p = re.compile('a', re.I)\n" + RULE + "p.sub('', t)"),
    "a method of a pattern": ("made = functools.partial(re.compile('a').sub, '')",
                              "made = functools.partial(re.compile('b').sub, '')"),
    "a method of a dictionary": ("made = {'a': 'b'}.get", "made = {'a': 'c'}.get"),
    "a function that is called": ("def f(t): return t\n" + RULE + "f(t)", "def f(t): return t[1:]\n" + RULE + "f(t)"),
    "a function in a function": (RULE + "(lambda: t + 'a')()", RULE + "(lambda: t + 'b')()"),
    "a closure": ("def f(n): return lambda t: t * n\nmade = f(1)", "def f(n): return lambda t: t * n\nmade = f(2)"),
    "an attribute of a function": (RULE + "made.n\nmade.n = 1", RULE + "made.n\nmade.n = 2"),
    "a class attribute": (CLASS.format("n = 1"), CLASS.format("n = 2")),
    "a static method": (CLASS.format("f = staticmethod(lambda: 1)"), CLASS.format("f = staticmethod(lambda: 2)")),
    "a class method": (CLASS.format("f = classmethod(lambda c: 1)"), CLASS.format("f = classmethod(lambda c: 2)")),
    "a property": (CLASS.format("f = property(lambda s: 1)"), CLASS.format("f = property(lambda s: 2)")),
    "a base class": ("class B: n = 1\nclass A(B): f = lambda s, t: t\nmade = A().f",
                     "class B: n = 2\nclass A(B): f = lambda s, t: t\nmade = A().f"),
    "the state of an object": ("class A: f = lambda s, t: t\na = A(); a.n = 1; made = a.f",
                               "class A: f = lambda s, t: t\na = A(); a.n = 2; made = a.f"),
    "another of two equal objects": ("x = []; y = [x, [], x]\n" + RULE + "y", "x = []; y = [x, x, x]\n" + RULE + "y"),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_whatever_a_rule_uses_is_in_its_fingerprint(pair):
    first, again, second = (fingerprint(defined(source)) for source in (pair[0], *pair))
    assert first == again != second


TABLE, LOG = pd.DataFrame({"a": ["b"]}), logging.getLogger("own")
UNDESCRIBED = {
    "a table": lambda t: TABLE.a[0] + t, "a logger": lambda t: LOG.debug(t) or t,
    "an array": lambda t, a=np.arange(2000): t, "a cache": functools.lru_cache(fix_html),
    "a module of your own": lambda t, own=ModuleType("own"): own.f(t), "the clock": lambda t: t + time.ctime(),
    "a file": lambda t: t + open("a").read(), "any code": lambda t: eval(t), "a seed of Python's": lambda t: hash(t),
    "__slots__": defined("class A:\n __slots__ = ('n',)\n def __call__(self, t): return t\nmade = A()"),
    "a dictionary's child": defined("class A(dict): pass\na = A()\n" + RULE + "a[t]"),
    "a list's child": lambda t, a=type("A", (list,), {})(): t,
    "a metaclass": defined("class M(type): pass\nclass A(metaclass=M): f = lambda s, t: t\nmade = A().f"),
    "an iterator": lambda t, i=iter("abc"): t + next(i),
    "a random module": defined("def made(t):\n import random\n return t[:random.randint(0, 9)]"),
    "a relative import": defined("def made(t):\n from .re import sub\n return t"),
    "an empty cell": defined("def f():\n def g(t): return x\n return g\n x = 1\nmade = f()"),
    "half a gigabyte": lambda t, big=("a" * 2**20,) * 500: t,
}


@pytest.mark.parametrize("rule", UNDESCRIBED.values(), ids=UNDESCRIBED)
def test_what_is_not_described_completely_has_no_fingerprint(rule):
    with pytest.raises(Undescribed):
        fingerprint(rule)
    tokenizer = Tokenizer(rules=[rule])
    assert tokenizer.fingerprint is None and Tokenizer(rule, rules=[]).fingerprint is None
    with pytest.raises(Undescribed, match="' uses "):
        tokenizer.describe()


@pytest.mark.parametrize("rule", [
    str.upper, html.unescape, fix_html, functools.partial(lowercase, add_eos=True), len, SpacyTokenizer("de"),
    lambda t: unicodedata.normalize("NFKC", html.unescape(t)), lambda t: list(BaseTokenizer()([t])),
    defined("def made(t):\n import unicodedata\n from html import unescape\n return unescape(t)"),
    defined("def made(t): return made(t[1:]) if t else ''"),
    defined("a = []; a.append(a)\ndef made(t): return a"),
    defined("class A:\n def f(self, t): return super().f(t)\nmade = A().f"),
    lambda t, words=frozenset({"a", "b", 1}): t in words])
def test_plain_functions_over_plain_values_are_described(rule):
    assert fingerprint(rule) == fingerprint(rule) and len(Tokenizer(rules=[rule]).fingerprint) == 64


def test_describing_has_an_end(monkeypatch):
    monkeypatch.setattr(module, "LIMIT", 1 << 16)
    shared = ()
    for _ in range(60):
        shared = (shared, shared)  # 2 ** 60 paths
    for values in (shared, list(range(10_000)), "a" * 100_000, functools.reduce(lambda a, _: [a], range(5000), 0)):
        with pytest.raises(Undescribed):
            fingerprint(lambda t, values=values: t)


def test_a_tokenizer_of_your_own_class_counts_with_its_steps_and_attributes():
    def made(suffix, **state):
        class Mine(Tokenizer):
            def _prepare(self, row, i):
                return super()._prepare(row, i) + suffix
        tokenizer = Mine(BaseTokenizer())
        vars(tokenizer).update(state)
        return tokenizer.fingerprint
    prints = [made("a"), made("b"), made("a", n=1), made("a", n=2), Tokenizer(BaseTokenizer()).fingerprint]
    assert len(set(prints)) == 5 and made("a") == prints[0] and made("a", log=LOG) is None
