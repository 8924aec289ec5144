"""What is written to a terminal: no character steers it, and nobody has to read it."""

import ast
import io
import sys
from pathlib import Path

import ulmfit_easy
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


def test_one_function_writes_to_the_terminal():
    files = [f for f in Path(ulmfit_easy.__file__).parent.rglob("*.py") if f.name != "terminal.py"]
    prints = [f"{file.name}:{node.lineno}" for file in files for node in ast.walk(ast.parse(file.read_text("utf-8")))
              if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"]
    assert prints == []
