"""Check single values, and turn numbers of numpy, pandas and torch into plain ones that JSON can hold.

A check takes a value and returns it as a plain one, or raises a ValueError that says what was expected. One table of
checks serves twice: `checked` when something is made from arguments, `misfits` when a file is read.
"""

import math
import re
import reprlib
from collections.abc import Callable, Mapping

from ulmfit_easy.errors import TrainingError

MOST = 1000  # columns of a table, layers of a head, special tokens
MOST_ROWS = 1 << 16  # of a batch

Check = Callable[[object], object]
Checks = Mapping[str, Check]


def plain(value):
    """Return a value as Python has it: a number of another library as `int` or `float`, an array as a list."""
    return value.tolist() if hasattr(value, "tolist") else value


def checked(checks: Checks, **given) -> dict:
    """Return the given arguments as plain values; E502 for the first that does not pass its check."""
    found = {}
    for name, value in given.items():
        try:
            found[name] = checks[name](value)
        except ValueError as e:
            raise TrainingError("E502", received=f"{name}={value!r:.80}", expected=str(e),
                                fix=f"change {name}, or leave it out for its default") from e
    return found


def misfits(values: Mapping, checks: Checks) -> list[str]:
    """Return `name=value` for each value of a file that differs from what its check gives; other names pass."""
    return [f"{name}={reprlib.repr(values[name])}" for name, check in checks.items()
            if name in values and not _passes(check, values[name])]


def _passes(check: Check, value) -> bool:
    try:
        return _same(check(value), value)
    except ValueError:
        return False


def _same(a, b) -> bool:
    """Return True for equal values of equal types: 1, 1.0 and True differ."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and a == b


def text(value) -> str:
    if not (isinstance(value, str) and value):
        raise ValueError("a string that is not empty")
    return str(value)


def flag(value) -> bool:
    value = plain(value)
    if value not in (True, False):
        raise ValueError("True or False")
    return bool(value)


def number(value) -> int | float:
    value = plain(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("a finite number")
    return value


def count(value) -> int:
    try:
        whole = number(value)
        if whole != int(whole) or not 0 < whole < 1 << 31:
            raise ValueError
    except ValueError as e:
        raise ValueError("a whole number, 1 or more") from e
    return int(whole)


def rows(value) -> int:
    """Return the rows of a batch: all are padded to the longest."""
    if count(value) > MOST_ROWS:
        raise ValueError(f"a whole number from 1 to {MOST_ROWS:,}")
    return count(value)


def share(value) -> int | float:
    try:
        if not 0 <= number(value) <= 1:
            raise ValueError
    except ValueError as e:
        raise ValueError("a number from 0 to 1") from e
    return number(value)


def ascending(value) -> list:
    """Two numbers, the lower one first."""
    value = each(number)(value)
    if len(value) != 2 or not value[0] < value[1]:
        raise ValueError("two numbers, the lower one first")
    return value


def name(value) -> str | int | float:
    """Return a class's or column's name. Files hold no halves of characters, and numpy drops a final NUL."""
    value = plain(value)
    if isinstance(value, str):
        if "\0" in value or re.search("[\ud800-\udfff]", value):
            raise ValueError("a name without NUL and without halves of characters")
        return str(value)
    if isinstance(value, bool):
        return value
    try:
        return number(value)
    except ValueError as e:
        raise ValueError("a string or a number") from e


def names(value) -> list:
    """Different names."""
    value = each(name)(value)
    if len(set(value)) < len(value):
        raise ValueError("names that differ")
    return value


def language(value) -> str:
    """Return the code of a language. spaCy imports a module of this name."""
    if not (isinstance(value, str) and re.fullmatch("[a-z]{2,3}", value)):
        raise ValueError("the code of a language, such as 'en'")
    return value


def or_none(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def each(check: Check, most: int | None = None) -> Check:
    def check_all(value) -> list:
        value = plain(value)
        if not isinstance(value, list | tuple):
            raise ValueError("a list")
        if most is not None and len(value) > most:
            raise ValueError(f"at most {most:,} values")
        return [check(v) for v in value]
    return check_all


def one_of(*known: str) -> Check:
    def check(value) -> str:
        if not (isinstance(value, str) and value in known):
            raise ValueError(f"one of {', '.join(known)}")
        return value
    return check


def any_of(*checks: Check) -> Check:
    def check(value):
        for one in checks:
            try:
                return one(value)
            except ValueError:
                continue
        raise ValueError("a value of another kind")
    return check


def only(checks: Checks) -> Check:
    """Return an object with these names and no others."""
    def check(value) -> dict:
        if not isinstance(value, dict) or value.keys() != checks.keys() or misfits(value, checks):
            raise ValueError(f"an object with {', '.join(checks)}")
        return value
    return check
