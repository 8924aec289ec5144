"""Coded errors in three parts: what was received, what was expected, how to fix it.

Codes: E1xx text, E2xx labels, E3xx vocabulary, E4xx files, E5xx training, E6xx arguments. See `docs/ERRORS.md`.
A fix names an argument as `name=`, and has semicolons between alternatives. `door` leaves out alternatives that need
another function. The command line (`apps/flags.py`) turns the others into flags, so no message below `apps` names a
flag.
"""

import difflib
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import PurePath

from ulmfit_easy.terminal import printable, wrapped
from ulmfit_easy.user_code import lines_of_the_user

# a call with its arguments, which are its own affair; or an argument, and its value if there is one
ARGUMENT = re.compile(r"""[\w.]+\((?:[^()]|\([^()]*\))*\)|(?<![\w.])([a-z]\w*)=(?!=)("[^"]*"|'[^']*'|[^\s,;:)]*)""")

CODES = {
    "E101": "a text is missing or is not a string",
    "E102": "a column is missing",
    "E103": "too little text for one batch",
    "E104": "there are no texts at all",
    "E110": "one text of many cannot be tokenized",
    "E201": "fewer than two classes to tell apart",
    "E202": "a label is missing",
    "E203": "a label of the validation set is not in the training set",
    "E204": "a regression target is not a finite number",
    "E205": "texts and labels differ in length",
    "E206": "a split leaves no rows to train on or to validate with",
    "E207": "the labels do not fit the kind of target",
    "E301": "the vocabulary is empty",
    "E302": "two vocabularies differ where they must be the same",
    "E303": "this is not a usable vocabulary",
    "E401": "this is not a file that the library loads",
    "E402": "the parts of a bundle do not fit together",
    "E403": "a file is not UTF-8 text",
    "E404": "a file or folder was not found",
    "E405": "an archive is unsafe to extract",
    "E406": "a checksum differs",
    "E407": "a table cannot be read as asked",
    "E408": "a checkpoint belongs to another run",
    "E409": "there is no room on the disk",
    "E410": "a file could not be fetched",
    "E411": "a place cannot be written to",
    "E412": "a place holds something that would be lost",
    "E501": "the loss or a gradient is NaN or infinite",
    "E503": "rates do not fit the layer groups",
    "E504": "the learning-rate finder had too few points",
    "E505": "this call would need more memory than any machine has",
    "E506": "the learner lacks something this call needs",
    "E507": "an optional package is not installed",
    "E508": "a worker process has died",
    "E509": "a batch does not fit into memory",
    "E510": "a name of fastai is not here",
    "E511": "a server has no room or no time for a request",
    "E512": "a server has failed on a request",
    "E513": "processes that train together differ",
    "E514": "a cluster is not there, or its workers cannot do the work",
    "E601": "an argument has the wrong type",
    "E602": "an argument has a value that is not allowed",
    "E603": "an argument does not go with another one, the data or the model",
    "E604": "there is no argument or choice of this name",
}


class UlmfitError(Exception):
    """An error with a code, e.g. `[E203] Received ... Expected ... Fix: ...`."""

    def __init__(self, code: str, *, received: str, expected: str, fix: str):
        if code not in CODES:
            raise KeyError(f"unknown error code {code}")
        self.code = code
        self.received, self.expected, self.fix = map(printable, (received, expected, fix))
        super().__init__(str(self))

    def __str__(self) -> str:
        mark = "" if self.fix.endswith("?") else "."
        return f"[{self.code}] Received {self.received}. Expected {self.expected}. Fix: {self.fix}{mark}"

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows for this error: your own lines that led to it, the message, the way to the rest."""
        return [*lines_of_the_user(self.__traceback__), wrapped(f"{type(self).__name__}: {self}"), "",
                "To see every frame: import traceback; traceback.print_last()"]

    def __reduce__(self) -> tuple:
        parts = {"received": self.received, "expected": self.expected, "fix": self.fix}
        return _rebuild, (type(self), self.code, parts)


def _rebuild(cls: type[UlmfitError], code: str, parts: dict[str, str]) -> UlmfitError:
    return cls(code, **parts)


class TextError(UlmfitError, ValueError):
    """E1xx: something is wrong with the texts."""


class LabelError(UlmfitError, ValueError):
    """E2xx: something is wrong with the labels."""


class VocabError(UlmfitError, ValueError):
    """E3xx: something is wrong with a vocabulary."""


class FileError(UlmfitError, OSError):
    """E4xx: something is wrong with a file, a folder or an archive."""


class TrainingError(UlmfitError, RuntimeError):
    """E5xx: training or inference cannot continue as asked."""


class ArgumentError(UlmfitError, ValueError):
    """E6xx: an argument cannot be used as it was given."""


class ArgumentTypeError(ArgumentError, TypeError):
    """E601 and E604 for what Python has a `TypeError`: a value of another type, an argument that no function has."""


@contextmanager
def door(names: Iterable[str]) -> Iterator[None]:
    """Leave out of each error's fix what needs an argument that is not one of these `names`."""
    try:
        yield
    except UlmfitError as e:
        e.fix = fix_for(e.fix, set(names))
        raise


def fix_for(fix: str, names: set[str]) -> str:
    """Return the alternatives of a fix that need no arguments but these. All of them, if none is left."""
    kept = [one for one in fix.split("; ") if {m[1] for m in ARGUMENT.finditer(one)} - {None} <= names]
    return "; ".join(kept) or f"in Python, {fix}".replace("in Python, in Python,", "in Python,")


class AbsentError(TrainingError, AttributeError):
    """E510 for a name of fastai that this library does not have. An `AttributeError` too, so that `hasattr` works."""


def refuse_unknown(kwargs: dict, function: Callable, *others: Callable, but: Iterable[str] = ()) -> None:
    """Raise E604 for the first keyword argument that neither `function` nor `others` have.

    Args:
        but: names of theirs that the function gives them itself.
    """
    parameters = [p for f in (function, *others) for p in inspect.signature(f).parameters.values()]
    known = dict.fromkeys(p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name not in but)
    for name in kwargs:
        if name not in known:
            raise ArgumentTypeError("E604", received=f"{name}= for {function.__qualname__}",
                                    expected="an argument that it has",
                                    fix=did_you_mean(name, known, f"leave it out; it has {', '.join(known)}", 0.6))


def refuse_stranger(what: str, value: object, known: Iterable) -> None:
    """Raise E604 for a value that is none of the `known` ones. `what` it is begins the message, such as "preset="."""
    if value not in (known := list(known)):
        raise ArgumentError("E604", received=f"{what}{value!r}", expected=f"one of {some(known, 20)}",
                            fix=did_you_mean(value, known, "choose one of these"))


def check_new(names: Iterable, columns: Iterable, table: object) -> None:
    """Raise E603 if a table has a column of one of the names that an answer adds to it."""
    if taken := {*names} & {*columns}:
        raise ArgumentError("E603", received=f"{table} with a column {min(taken)!r}", expected="no such column yet",
                            fix="rename it, so that it is not overwritten")


def did_you_mean(name: object, known: Iterable, otherwise: str, cutoff: float = 0.5) -> str:
    """Return a fix for an unknown name: the known name that is most like it, or `otherwise` if none is."""
    near = nearest(name, map(short, known), cutoff)
    return f"did you mean {near!r}?" if near else otherwise


def nearest(name: object, known: Iterable, cutoff: float = 0.5) -> str | None:
    """Return the known name that is most like an unknown one. None if none is."""
    return next(iter(difflib.get_close_matches(str(name), [str(k) for k in known], n=1, cutoff=cutoff)), None)


def some(values: Iterable, limit: int = 5) -> str:
    """Return the first few values for a message: `3, 8, 9 (and 12 more)`."""
    values = list(values)
    shown = ", ".join(str(v) if isinstance(v, PurePath) else short(v) for v in values[:limit])
    return shown if len(values) <= limit else f"{shown} (and {len(values) - limit} more)"


def counted(n: int, noun: str) -> str:
    """Return a number with its noun: `1 text`, `2,000 texts`."""
    return f"{n:,} {noun}{'s' if n != 1 else ''}"


def in_rows(rows: Collection, limit: int = 5) -> str:
    """Return the first few row numbers for a message: `row 18`, or `rows 3, 8, 9 (and 12 more)`."""
    return f"{'row' if len(rows) == 1 else 'rows'} {some(rows, limit)}"


def short(value: object, most: int = 60) -> str:
    """Return a value as text, cut to `most` characters: a name may turn out to be a whole text."""
    text = str(value)
    return text if len(text) <= most else text[:most - 1] + "\u2026"
