"""Tables of parts by name: encoders, heads, targets and tasks. A part enters its table when it is defined.

A saved model names its parts. They are looked up here and nowhere else, so that loading runs no code of a file's
choosing.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Self, TypeVar

from ulmfit_easy.errors import ArgumentError, some

T = TypeVar("T")


class UnknownPartError(ArgumentError):
    """E604: no part of this name has been defined, or its file was not imported."""


class Known(dict[str, T]):
    """The parts of one kind by name, which may be asked for in any case.

    A part that is defined again, as in a notebook cell that is run twice, replaces the one of before. Another part of
    the same name is refused.

    Args:
        noun: what the parts are, for errors.
        package: the folder of the library whose files define such parts. They are imported once a name is unknown.
    """

    def __init__(self, noun: str, package: str = ""):
        super().__init__()
        self.noun, self.unread = noun, package

    def filled(self) -> Self:
        """Return the table with every part of the library's own folder."""
        if package := self.unread:
            for module in iter_modules(import_module(package).__path__):
                import_module(f"{package}.{module.name}")
            self.unread = ""  # not before: another thread would miss what is still to come
        return self

    def __setitem__(self, name: str, part: T) -> None:
        old = self.get(self._spelt(name), part)
        if _origin(old) != _origin(part):
            raise ArgumentError("E602", received=f"{_origin(part)}, which is the {self.noun} {name!r}",
                                expected=f"another name than that of {_origin(old)}",
                                fix="give one of them another name")
        super().__setitem__(name, part)

    def __missing__(self, name: str) -> T:
        self.filled()
        if (spelt := self._spelt(name)) in self:
            return self[spelt]
        raise UnknownPartError("E604", received=f"the {self.noun} {name!r}", expected=f"one of {some(self, 20)}",
                               fix="pass one of these; if it is yours, first import the file that defines it")

    def _spelt(self, name: str) -> str:
        return next((known for known in list(self) if known.lower() == str(name).lower()), name)


def _origin(part: Any) -> str:
    """Return where a class was defined, or the target of a task."""
    part = getattr(part, "target", part)
    return f"{part.__module__}.{part.__qualname__}"
