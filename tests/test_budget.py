"""The tests have a budget, so that they stay readable: of lines, and of characters for a name.

Before you raise a number, parametrise a copy, delete a fact that two tests hold, or shorten a name.
"""

import re
from pathlib import Path

TESTS = [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.rglob("*.py"))]
LINES = 39_921
LONG_NAMES = 600  # of more than 60 characters: of old, and fewer from now on


def test_the_tests_keep_to_their_budget_of_lines():
    assert sum(text.count("\n") for text in TESTS) <= LINES


def test_no_more_names_are_long_than_before():
    names = [name for text in TESTS for name in re.findall(r"^ *def (test_\w+)", text, re.M)]
    assert sum(len(name) > 60 for name in names) <= LONG_NAMES
