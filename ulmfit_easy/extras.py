"""Packages that only some users need. In a clone, `pip install -e '.[NAME]'` brings those of an extra."""

from importlib import import_module
from types import ModuleType

from ulmfit_easy.cleanup import no_warnings
from ulmfit_easy.errors import TrainingError


def optional_package(name: str, *others: str) -> ModuleType:
    """Return the package of that name, imported, as `others` that are needed with it.

    Raises: E507 with the way to install all of them if one is missing.
    """
    try:
        with no_warnings():  # transformers warns in Jupyter if it cannot draw bars
            return [import_module(each) for each in (name, *others)][0]
    except ImportError as e:
        packages = [each.split(".")[0].replace("torch", "tensorboard")  # torch.utils.tensorboard needs it
                    for each in (name, *others)]
        missing = (e.name or "").split(".")[0]
        raise TrainingError("E507", received=f"no package {missing if missing in packages else packages[0]}",
                            expected="this package, which the call needs",
                            fix=f"pip install {' '.join(packages)}") from e
