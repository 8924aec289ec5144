"""A stable description of functions, so that a cache misses when a rule has changed."""

import functools
import hashlib
import json
import re
from types import CodeType, FunctionType


def fingerprint(obj) -> str:
    """SHA-256 (hex) of a JSON-like object in which functions stand for their code and all it refers to.

    The same in every process of one Python version. Where something cannot be described (an object of a class
    without a `repr` of its own) only its class counts.
    """
    return hashlib.sha256(json.dumps(_describe(obj, ()), sort_keys=True).encode()).hexdigest()


def _describe(obj, seen):
    if isinstance(obj, str | int | float | None):
        return obj
    if id(obj) in seen:  # a function that calls itself, a list that holds itself
        return "recursive"
    seen += (id(obj),)
    match obj:
        case dict():
            return {str(k): _describe(v, seen) for k, v in obj.items()}
        case list() | tuple():
            return [_describe(v, seen) for v in obj]
        case set() | frozenset():
            return sorted(json.dumps(_describe(v, seen)) for v in obj)
        case re.Pattern():
            return ["pattern", str(obj.pattern), obj.flags]
        case functools.partial():
            return ["partial", *(_describe(part, seen) for part in (obj.func, obj.args, obj.keywords))]
        case CodeType():
            return ["code", obj.co_code.hex(), list(obj.co_names), _describe(obj.co_consts, seen)]
        case FunctionType():
            cells = [cell.cell_contents for cell in obj.__closure__ or ()]
            parts = obj.__code__, obj.__defaults__, obj.__kwdefaults__, cells, _globals_of(obj)
            return ["function", *(_describe(part, seen) for part in parts)]
        case type():
            methods = {k: v for k, v in vars(obj).items() if isinstance(v, FunctionType)}
            return [obj.__module__, obj.__qualname__, _describe(methods, seen)]
    if hasattr(obj, "__qualname__"):  # a builtin, a method of a builtin type
        return [getattr(obj, "__module__", None), obj.__qualname__]
    if hasattr(obj, "__dict__") and not hasattr(obj, "__path__") and not hasattr(obj, "__spec__"):
        return [_describe(type(obj), seen), _describe(vars(obj), seen)]
    text = repr(obj)
    return type(obj).__qualname__ if " at 0x" in text else text


def _globals_of(function):
    """The module-level values that a function reads, also from functions nested in it."""
    names, codes = set(), [function.__code__]
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [c for c in code.co_consts if isinstance(c, CodeType)]
    return {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}
