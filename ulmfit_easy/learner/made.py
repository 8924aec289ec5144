"""Make an object of the class or function that was passed in its place."""

import inspect
from functools import partial
from typing import Any

from ulmfit_easy.errors import ArgumentError


def made(thing: Any, of: type, name: str) -> Any:
    """Return what `thing` makes if it is a class of `of`, a function annotated with one, or a partial of either.

    Return anything else as it is. `of=object` takes classes only.

    Args:
        name: the parameter, for the error.

    Raises: ArgumentError E602 if it needs arguments.
    """
    maker = thing.func if isinstance(thing, partial) else thing
    gives = maker if isinstance(maker, type) else getattr(maker, "__annotations__", {}).get("return")
    if not (isinstance(gives, type) and issubclass(gives, of)) or (gives is not maker and of is object):
        return thing
    try:
        inspect.signature(thing).bind()
    except (TypeError, ValueError) as e:  # the second: a built-in without a signature
        own = maker.__name__
        raise ArgumentError("E602", received=f"{name} with {own}, which was not called ({e})",
                            expected=f"what {own} makes", fix=f"call it with its arguments: {own}(...)") from e
    return thing()
