"""Declare what each argument may be, in one table, and check by it what Python gives and what a file says.

A table has a check for each name. It stands next to the function or class that takes these arguments:

    SETTINGS = {"bs": whole(1), "alpha": number(0, 1), "ps": optional(list_of(share))}

    @takes(SETTINGS)                     # raises an ArgumentError that names the argument and what is allowed
    def __init__(self, bs=64, ...): ...  # gets plain values: a number of numpy as int or float, a tuple as a list

* `takes(table)` checks the arguments that a call gives, by position or by name. Defaults are not checked.
* `checked(table, **given)` is the same as a function, for values that come in another way: a dict of plain values.
* `misfits(values, table)` lists what is wrong in a dict read from JSON. A file must hold the plain values themselves.
* `only(table)` is a check too: a dict of JSON with these names and no others.

A check is a function. It returns the plain value, or raises TypeError (E601) or ValueError (E602) with what is allowed.
Write one of your own in the same way, or with `such`. True and False are no numbers, NaN is none, and infinity is one
only if it is named as `most`.
"""

import inspect
import json
import os
import re
import reprlib
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial, wraps
from typing import Any, TypeVar, cast

from ulmfit_easy.errors import ArgumentError, ArgumentTypeError, some

MOST = 1000  # columns of a table, layers of a head, special tokens
MOST_ROWS = 1 << 16  # of a batch
LARGEST = (1 << 31) - 1  # size or count
FINITE = sys.float_info.max

Check = Callable[[Any], Any]
Checks = Mapping[str, Check]
F = TypeVar("F", bound=Callable)


def takes(table: Checks) -> Callable[[F], F]:
    """Return a decorator that checks the arguments in `table` before a call, and passes them on as plain values."""
    def decorate(function: F) -> F:
        parameters = inspect.signature(function).parameters.values()
        names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        required = {p.name for p in parameters if p.default is p.empty}
        if unread := table.keys() - {p.name for p in parameters}:
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                raise KeyError(f"{function.__qualname__} has no arguments {some(unread)}")

        @wraps(function)
        def check_first(*args: Any, **kwargs: Any) -> Any:
            plain = [_passed(table, name, value, required) for name, value in zip(names, args, strict=False)]
            named = {name: _passed(table, name, value, required) for name, value in kwargs.items()}
            return function(*plain, *args[len(names):], **named)
        return cast(F, check_first)
    return decorate


def checked(table: Checks, **given: object) -> dict:
    """Return the given arguments as plain values.

    Raises: ArgumentError E601 or E602 for the first that does not pass its check.
    """
    return {name: _passed(table, name, value) for name, value in given.items()}


def _passed(table: Checks, name: str, value: object, required: Collection[str] = ()) -> Any:
    if name not in table:
        return value
    try:
        return table[name](value)
    except (TypeError, ValueError) as e:
        parts = {"received": f"{name}={reprlib.repr(value)}", "expected": str(e),
                 "fix": f"pass another {name}" if name in required else f"leave out {name}= for its default"}
        if isinstance(e, TypeError):
            raise ArgumentTypeError("E601", **parts) from None
        raise ArgumentError("E602", **parts) from None


def misfits(values: Mapping, table: Checks) -> list[str]:
    """Return `name=value` for each value of a file that differs from what its check gives. Other names pass."""
    return [f"{name}={reprlib.repr(values[name])}" for name, check in table.items()
            if name in values and not _passes(check, values[name])]


def _passes(check: Check, value: object) -> bool:
    try:
        return _same(check(value), value)
    except (TypeError, ValueError):
        return False


def _same(a: object, b: object) -> bool:
    """Return True for equal values of equal types: 1, 1.0 and True differ."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


def plain(value: Any) -> Any:
    """Return a value as Python has it: a number of another library as `int` or `float`, an array as a list."""
    return value.tolist() if hasattr(value, "tolist") else value


def number(least: float = -FINITE, most: float = FINITE, *, without: Collection[float] = (),
           kind: type[int] | type[float] = float) -> Check:
    """Return a check for numbers from `least` to `most`. Infinity is one of them only if it is named.

    Args:
        without: ends that do not belong to it.
        kind: int for whole numbers only, of which 2.0 is one.
    """
    noun = "a whole number" if kind is int else "a finite number" if most == FINITE else "a number"
    allowed = noun + _span(least, most, without)

    def check(value: object) -> int | float:
        value = plain(value)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise TypeError(allowed)
        if not least <= value <= most or value in without or (kind is int and value != int(value)):
            raise ValueError(allowed)
        return int(value) if isinstance(value, int) else kind(value)  # no subclass, such as an IntEnum
    return check


def whole(least: int = 1, most: int = LARGEST) -> Check:
    return number(least, most, kind=int)


def _span(least: float, most: float, without: Collection[float]) -> str:
    if least == -FINITE:
        return ""
    over = f" above {least:,}" if least in without else f" from {least:,}"
    if most < LARGEST:
        return f"{over} to {'below ' if most in without else ''}{most:,}"
    return over if least in without else f", {least:,} or more"


def instance(kind: Any, allowed: str, give: Callable = plain) -> Check:
    """Return a check for values of a kind, which `give` makes plain."""
    def check(value: object) -> Any:
        if not isinstance(value, kind):
            raise TypeError(allowed)
        return give(value)
    return check


def such(check: Check, test: Callable[[Any], object], allowed: str) -> Check:
    """Return a check for what passes another one and then a test."""
    def check_both(value: object) -> Any:
        found = check(value)
        if not test(found):
            raise ValueError(allowed)
        return found
    return check_both


def any_of(*checks: Check) -> Check:
    """Return a check for what passes one of these, the first that it passes."""
    def check(value: object) -> Any:
        problems = []
        for one in checks:
            try:
                return one(value)
            except (TypeError, ValueError) as e:
                problems.append((type(e), str(e)))  # an error in a list would keep all that calls this from being freed
        kind = TypeError if all(issubclass(cls, TypeError) for cls, _ in problems) else ValueError
        raise kind(" or ".join(said for _, said in problems))
    return check


def optional(check: Check) -> Check:
    return any_of(check, none)


def list_of(check: Check, most: int | None = None) -> Check:
    """Return a check for lists. A tuple or an array becomes one."""
    def check_all(value: object) -> list:
        value = plain(value)
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise TypeError("a list")
        if most is not None and len(value) > most:
            raise ValueError(f"at most {most:,} values")
        return [check(v) for v in value]
    return check_all


def tuple_of(check: Check) -> Check:
    return lambda value: tuple(list_of(check)(value))


def one_of(known: Collection[str]) -> Check:
    """Return a check for the strings in `known`, as they are when it checks: a table of parts may grow."""
    def check(value: object) -> str:
        allowed = f"one of {', '.join(known)}"
        if not isinstance(value, str):
            raise TypeError(allowed)
        if value not in known:
            raise ValueError(allowed)
        return str(value)
    return check


def only(checks: Checks) -> Check:
    """Return a check for a dict of JSON with these names and no others."""
    def check(value: object) -> dict:
        if not isinstance(value, dict) or value.keys() != checks.keys() or misfits(value, checks):
            raise ValueError(f"an object with {', '.join(checks)}")
        return value
    return check


def flag(value: object) -> bool:
    value = plain(value)
    if not isinstance(value, int) or value not in (0, 1):
        raise TypeError("True or False")
    return bool(value)


def name(value: object) -> str | int | float:
    """Return a class's or column's name. Files hold no halves of characters, and numpy drops a final NUL."""
    value = plain(value)
    return value if isinstance(value, bool) or value == "" else any_of(text, number())(value)


def several(value: object) -> Iterable:
    """Return the values as they are: a list, an array, a set, ..., but no string and no table of names."""
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping) or getattr(value, "ndim", 1) == 0:
        raise TypeError("a list")
    return value


def as_json(kind: Any, allowed: str) -> Check:
    """Return a check for values of a kind, which gives them as JSON does: strings for keys, plain values, lists."""
    def check(value: object) -> Any:
        if not isinstance(value, kind):
            raise TypeError(allowed)
        try:
            return json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as e:
            raise ValueError(f"{allowed} that JSON can hold") from e
    return check


json_object, json_list = as_json(dict, "a dict"), as_json(list | tuple, "a list")
share = number(0, 1)
positive = number(0, without=[0])
fraction = number(0, 1, without=[0, 1])
none = instance(type(None), "None")
random_seed = optional(whole(0, (1 << 63) - 1))
text = such(instance(str, "a string", str), lambda value: value and not re.search("[\0\ud800-\udfff]", value),
            "a string that is not empty, without NUL and without halves of characters")
language = such(text, partial(re.fullmatch, "[a-z]{2,3}"), "the code of a language, such as 'en'")  # spaCy imports it
path = instance(str | os.PathLike, "the path of a file or folder", str)
mapping = instance(Mapping, "a dict", dict)
function = instance(Callable, "a function")
names = such(list_of(name), lambda value: len(set(value)) == len(value), "names that differ")
ascending = such(list_of(number()), lambda value: len(value) == 2 and value[0] < value[1],
                 "two finite numbers, the lower one first")
