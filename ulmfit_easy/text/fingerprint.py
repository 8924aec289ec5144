"""A complete description of functions and what they use, so that a cache misses when a rule has changed.

These can be described: plain values, and Python functions that use only describable things. Also plain classes and
their objects, `partial` and bound methods of these. Also named functions of Python's pure modules and of installed
packages. Anything else, such as a table, a logger, a cache or a module of your own, is `Undescribed`.
"""

import dis
import functools
import hashlib
import platform
import re
import sys
import sysconfig
import types
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

LIMIT = 1 << 25  # bytes of a description, each value counted as 32 and its own: about a second
VALUES = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
PURE = set("builtins _bisect _codecs _collections _collections_abc _functools _heapq _json _operator _sre base64 "
           "binascii bisect collections difflib functools heapq html itertools json keyword math operator re string "
           "textwrap typing unicodedata".split())
OUTSIDE = set("__import__ breakpoint compile eval exec globals hash id input locals open vars".split())
PLACES = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
WRITTEN_IN_C = (types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType,
                types.MemberDescriptorType, types.GetSetDescriptorType)
OF_A_CLASS = {"__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__",
              "__annotate_func__", "__annotations_cache__", "__firstlineno__", "__static_attributes__"}
PARTS: dict[type, Callable[[Any], Sequence]] = {  # what an object is made of, by its type
    list: list, tuple: list, dict: lambda obj: [part for item in obj.items() for part in item],
    re.Pattern: lambda obj: [obj.pattern, obj.flags],
    functools.partial: lambda obj: [obj.func, obj.args, obj.keywords, vars(obj)],
    types.MethodType: lambda obj: [obj.__func__, obj.__self__],
    staticmethod: lambda obj: [obj.__func__], classmethod: lambda obj: [obj.__func__],
    property: lambda obj: [obj.fget, obj.fset, obj.fdel],
    types.CellType: lambda obj: [obj.cell_contents],  # an error while it is empty
    types.CodeType: lambda obj: [
        obj.co_code, obj.co_consts, obj.co_names, obj.co_varnames, obj.co_freevars, obj.co_cellvars, obj.co_argcount,
        obj.co_posonlyargcount, obj.co_kwonlyargcount, obj.co_flags, obj.co_exceptiontable],
    **dict.fromkeys(WRITTEN_IN_C, lambda obj: [obj.__objclass__, obj.__name__])}


class Undescribed(ValueError):
    """An object is not described completely, so that nothing may be kept under its fingerprint."""


def fingerprint(obj: object) -> str:
    """Return the SHA-256 (hex) of a complete description, the same in every process of one Python version.

    No code of the object is run. The time is bounded, whatever it refers to.

    Raises: Undescribed for an object that is not described completely, or is too large.
    """
    describer = _Describer()
    try:
        describer.add(obj)
    except Undescribed:
        raise
    except Exception as e:  # values nested too deeply, or an object that is not what its type says
        raise Undescribed(f"something that cannot be looked into ({type(e).__name__})") from e
    return describer.sha.hexdigest()


class _Describer:
    """Feeds the description of objects to a hash. An object that comes again is only named by its number."""

    def __init__(self):
        self.sha, self.room, self.seen = hashlib.sha256(), LIMIT, {}

    def put(self, kind: str, text: str = "") -> None:
        data = f"{kind} {len(text)} {text};".encode()
        self.sha.update(data)
        self.room -= 32 + len(data)
        if self.room < 0:
            raise Undescribed("more values than are compared")

    def add(self, obj: object) -> None:
        kind = type(obj)
        if kind in VALUES:
            self.value(obj)
        elif id(obj) in self.seen:
            self.put("seen", str(self.seen[id(obj)][0]))
        else:
            if kind is not tuple:  # the object is kept, or another one could get its number
                self.seen[id(obj)] = len(self.seen), obj
            self.new(kind, obj)

    def value(self, obj: object) -> None:
        if isinstance(obj, int) and abs(obj) >> 10_000:
            raise Undescribed("a very large number")
        if isinstance(obj, str | bytes) and len(obj) > self.room:
            raise Undescribed("more text than is compared")
        self.put(type(obj).__name__, ascii(obj))

    def all(self, kind: str, parts: Sequence) -> None:
        self.put(kind, str(len(parts)))
        for part in parts:
            self.add(part)

    def new(self, kind: Any, obj: Any) -> None:
        if kind in PARTS:
            self.all(kind.__name__, PARTS[kind](obj))
        elif kind in (set, frozenset):
            if any(type(value) not in VALUES for value in obj):
                raise Undescribed("a set of other things than plain values")
            self.all(kind.__name__, sorted(obj, key=lambda value: (type(value).__name__, ascii(value))))
        elif kind is types.ModuleType and sys.modules.get(name := obj.__name__) is obj:
            self.named(name, "")
        elif kind is types.FunctionType:
            self.function(obj)
        elif isinstance(obj, types.BuiltinFunctionType):
            self.builtin(obj)
        elif isinstance(obj, type):
            self.type(obj)
        else:
            self.instance(kind, obj)

    def function(self, function: types.FunctionType) -> None:
        if _is_named(function):
            self.named(function.__module__, function.__qualname__)
            return
        self.all("function", [function.__code__, function.__defaults__, function.__kwdefaults__,
                              function.__closure__, vars(function)])
        codes = [function.__code__]
        for code in codes:
            codes += [const for const in code.co_consts if type(const) is types.CodeType]
            steps = list(dis.get_instructions(code))
            for i, step in enumerate(steps):
                if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                    self.name(function, step.argval)
                elif step.opname == "IMPORT_NAME":  # the dots of a relative import were loaded before
                    self.named("." * steps[i - 2].argval + step.argval, "")

    def name(self, function: Any, name: str) -> None:
        """Add a name in the code of a function: of its module, or one of Python's own."""
        self.put("name", name)
        builtins = function.__builtins__
        if name in function.__globals__:
            self.add(function.__globals__[name])
        elif name in builtins:
            self.add(builtins[name])

    def builtin(self, function: Any) -> None:
        owner = function.__self__
        if owner is not None and type(owner) is not types.ModuleType:  # a method of a value, such as a dict's get
            self.all("builtin method", [owner, function.__name__])
        elif function.__name__ in OUTSIDE:
            raise Undescribed(f"{function.__name__}(), whose result may change")
        else:
            self.named(function.__module__ or "builtins", function.__qualname__)

    def type(self, cls: Any) -> None:
        if _is_named(cls):
            self.named(cls.__module__, cls.__qualname__)
        elif type(cls) is not type or _is_installed(cls.__module__):
            raise Undescribed(f"the class {cls.__module__}.{cls.__qualname__}")
        else:
            own = {name: value for name, value in vars(cls).items() if name not in OF_A_CLASS}
            if any(type(value) in WRITTEN_IN_C and value.__objclass__ is cls for value in own.values()):
                raise Undescribed(f"{cls.__qualname__}, which has __slots__ or is not written in Python")
            self.all("class", [cls.__bases__, own])

    def instance(self, kind: Any, obj: object) -> None:
        """Add an object of a class of your own, or of one of ours, which has nothing but its attributes."""
        if any(_is_installed(base.__module__) and not _is_ours(base.__module__) for base in kind.__mro__[:-1]):
            raise Undescribed(f"a {kind.__module__}.{kind.__qualname__}")
        self.add(kind)
        self.add(object.__getattribute__(obj, "__dict__"))

    def named(self, module: str, name: str) -> None:
        """Add what an installed module has under this name: it differs only in another version."""
        self.put("named", f"{module} {name} {_version(module)}")


def _is_ours(module: str) -> bool:
    return module.startswith(__name__.removesuffix("fingerprint"))


def _is_installed(module: str) -> bool:
    """Return True if a module is Python's, or in its place for packages, where nobody edits files."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return module.partition(".")[0] in sys.stdlib_module_names
    return any(Path(file).is_relative_to(place) for place in PLACES)


def _is_named(obj: Any) -> bool:
    """Return True if a function or class is found by its name in a module that its version describes."""
    found = sys.modules.get(obj.__module__)
    for part in obj.__qualname__.split("."):
        found = getattr(found, part, None) if isinstance(found, type | types.ModuleType) else None
    if found is not obj:
        return False
    try:
        return _version(obj.__module__) is not None
    except Undescribed:
        return False


def _version(module: str) -> str:
    """Return the version of a module whose functions can only change with it. Undescribed for any other module."""
    top = module.partition(".")[0]
    if _is_ours(module):
        return "ours"  # SCHEMA counts
    if _is_installed(module) and top in PURE:
        return platform.python_version()
    if _is_installed(module) and top not in sys.stdlib_module_names:
        version = getattr(sys.modules.get(top), "__version__", None)
        try:
            return version if type(version) is str else metadata.version(top)
        except metadata.PackageNotFoundError:
            pass
    raise Undescribed(f"the module {module}")
