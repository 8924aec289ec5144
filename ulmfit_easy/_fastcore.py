"""The few names taken from fastcore: everything else in the package imports them from here."""

from fastcore import basics
from fastcore.basics import camel2snake, ifnone
from fastcore.meta import delegates

__all__ = ["camel2snake", "delegates", "ifnone", "listify"]


def listify(o: object = None) -> list:
    """One value or several as a list; an array, an Index and a Series give plain values, and a set sorted ones."""
    if isinstance(o, set | frozenset):
        return sorted(o, key=str)
    return basics.listify(o.tolist() if hasattr(o, "tolist") else o)
