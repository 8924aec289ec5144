"""Packages that only some users need: `pip install 'ulmfit_easy[extra]'` brings them."""

from importlib import import_module

from ulmfit_easy.errors import TrainingError


def optional_package(name: str, extra: str):
    """The package of that name, imported; E507 with the way to install it where it is missing."""
    try:
        return import_module(name)
    except ImportError as e:
        raise TrainingError("E507", received=f"no package {name}", expected="it, for what was asked",
                            fix=f"pip install 'ulmfit_easy[{extra}]'") from e
