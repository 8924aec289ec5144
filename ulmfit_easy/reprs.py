"""Short descriptions of objects, for their `__repr__`: one line, without control characters. A notebook wraps it."""

import inspect
from collections.abc import Sequence

from ulmfit_easy.errors import short
from ulmfit_easy.terminal import printable, wrapped


def described(thing: object, *facts: object) -> str:
    """Return `Name(fact, fact)`, without the empty facts."""
    return wrapped(f"{type(thing).__name__}({', '.join(printable(str(fact)) for fact in facts if fact)})")


def with_settings(thing: object) -> str:
    """Return `Name(a=1)` with those arguments of its class that are not the defaults, read from its attributes."""
    parameters = inspect.signature(type(thing)).parameters.values()
    given = {p.name: repr(vars(thing)[p.name]) for p in parameters if p.name in vars(thing)}
    return described(thing, *(f"{p.name}={short(given[p.name])}" for p in parameters
                              if p.name in given and given[p.name] != repr(p.default)))


def slashed(names: Sequence) -> str:
    """Return the first five names and the number of the others, such as `neg/pos` or `1/2/3/4/5 and 15 more`."""
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return "/".join(map(short, names[:5])) + more


def compact(n: int) -> str:
    """Return a number in thousands or millions, such as `6.1 M`."""
    return f"{n / 1e6:,.1f} M" if n >= 1e6 else f"{n / 1e3:.1f} k" if n >= 1e4 else f"{n:,}"
