"""What is written to a terminal: no character steers it, and nobody has to read it."""

import ast
import io
import sys
import types

from package_source import modules

from ulmfit_easy.errors import TextError
from ulmfit_easy.reprs import described
from ulmfit_easy.terminal import printable, say

EVIL = "x\x1b[2J\x1b]0;owned\x07\x9b2J\u202ey"


def test_no_control_code_is_left_and_lines_stay_lines():
    out = io.StringIO()
    say(f"{EVIL}\nnext", out)
    first, second = out.getvalue().splitlines()
    assert second == "next" and first.isprintable() and first.startswith("x") and first.endswith("y")
    assert printable("a\tb\nc") == "a b c"


def test_a_stream_that_is_closed_or_has_few_characters_is_no_error(monkeypatch):
    closed = io.StringIO()
    closed.close()
    say("text", closed)
    monkeypatch.setattr(sys, "stdout", None)
    say("text")
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    say("\uae0d\uc815", ascii_only)
    assert ascii_only.buffer.getvalue() == b"\\uae0d\\uc815\n"


LONG = "a long line of words " * 9


def test_long_lines_break_between_words_in_a_notebook_and_nowhere_else(monkeypatch, capsys):
    thing = type("Thing", (), {"__repr__": lambda self: described(self, *LONG.split(), described(self, LONG))})()
    say(LONG + "x" * 200 + "\n  kept   as it is")
    assert capsys.readouterr().out.count("\n") == 2 and repr(thing).count("\n") == 0
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    say(LONG + "x" * 200 + "\n  kept   as it is")
    *filled, long, last = capsys.readouterr().out.splitlines()
    assert max(map(len, filled)) <= 90 and long == "x" * 200 and last == "  kept   as it is"
    assert " ".join(filled) == LONG.strip()
    assert max(map(len, repr(thing).splitlines())) <= 90 < len(repr(thing)) and repr(thing).count("words") == 18
    say(LONG, file := io.StringIO())
    assert file.getvalue() == LONG + "\n", "files keep their lines"
    error = TextError("E101", received=LONG, expected=LONG, fix=LONG)
    lines = "\n".join(error._render_traceback_()).splitlines()
    assert max(map(len, lines)) <= 90 and len(lines) > 6 and "\n" not in str(error)


def test_one_function_writes_to_the_terminal():
    prints = [f"{file.name}:{node.lineno}" for file, tree in modules().items() if file.name != "terminal.py"
              for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"]
    assert prints == []
