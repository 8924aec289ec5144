"""Packages that only some users need. In a clone, `pip install -e '.[NAME]'` brings those of an extra."""

from importlib import import_module
from types import ModuleType

from ulmfit_easy.cleanup import no_warnings
from ulmfit_easy.errors import TrainingError


def optional_package(name: str) -> ModuleType:
    """Return the package of that name, imported. E507 with the way to install it if it is missing."""
    try:
        with no_warnings():  # transformers warns in Jupyter if it cannot draw bars
            return import_module(name)
    except ImportError as e:
        package = name.split(".")[0].replace("torch", "tensorboard")  # torch.utils.tensorboard needs it
        raise TrainingError("E507", received=f"no package {package}", expected="it, for what was asked",
                            fix=f"pip install {package}") from e
