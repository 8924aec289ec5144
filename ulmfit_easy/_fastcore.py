"""The few names taken from fastcore: everything else in the package imports them from here."""

from fastcore.basics import camel2snake, ifnone, listify
from fastcore.meta import delegates

__all__ = ["camel2snake", "delegates", "ifnone", "listify"]
