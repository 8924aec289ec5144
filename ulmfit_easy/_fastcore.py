"""The few names taken from fastcore: everything else in the package imports them from here."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from fastcore import basics, meta
from fastcore.basics import camel2snake, ifnone

__all__ = ["camel2snake", "delegates", "ifnone", "listify"]

F = TypeVar("F")


def listify(o: object = None) -> list:
    """One value or several as a list. An array, an Index and a Series give plain values, and a set sorted ones."""
    if isinstance(o, set | frozenset):
        return sorted(o, key=str)
    return basics.listify(o.tolist() if hasattr(o, "tolist") else o)


def delegates(to: Callable, but: Sequence[str] = ()) -> Callable[[F], F]:
    """Return a decorator that shows the arguments of `to`, without `but`, in the place of `**kwargs`."""
    return meta.delegates(to, but=list(but))
