"""Tell what replaces a name or an attribute of fastai that is not here, by the tables in `absent.md`."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ulmfit_easy.errors import AbsentError

_ROWS = re.findall(r"^\| (`.+?`) \| (.+) \|$", Path(__file__).with_suffix(".md").read_text(encoding="utf-8"), re.M)
INSTEAD = {name: instead for names, instead in _ROWS for name in re.findall("`(.+?)`", names)}
CLASSES = {"EpochOrder": "dls.train", "TextDataset": "dls.train_ds"}  # other names of classes there

# the names that a star import brings too, because a bare name never asks the module; none is a name that other packages
# have, or an import before ours would be hidden
STAND_INS = ("TextLMDataBunch", "TextClasDataBunch", "TextDataBunch", "TextList", "DatasetType", "Datasets",
             "TfmdLists", "Categorize", "MultiCategorize", "OneHotEncode", "SortedDL", "pad_input", "TensorText",
             "decode_spec_tokens")


def gone(cls: str, name: str) -> property:
    """Return a property that raises E510 if it is read or set, because training would not look at it."""
    def fail(*args: object) -> NoReturn:
        raise _absent(f"{cls}.{name}", INSTEAD[f"{cls}.{name}"])

    return property(fail, fail)


def no_attribute(thing: object, name: str) -> AttributeError:
    """Return the AttributeError for a missing attribute: E510 with the replacement if fastai's class has it."""
    for cls in type(thing).__mro__:
        if instead := INSTEAD.get(f"{CLASSES.get(cls.__name__, cls.__name__)}.{name}"):
            return _absent(f"{type(thing).__name__}.{name}", instead)
    return AttributeError(f"{type(thing).__name__!r} object has no attribute {name!r}", name=name, obj=thing)


class TellsAbsent:
    """Names the replacement of an attribute that fastai's class has and this one has not."""

    __slots__ = ()

    if not TYPE_CHECKING:  # a type checker tells of missing names itself
        def __getattr__(self, name: str) -> NoReturn:
            raise no_attribute(self, name)


class StandIn:
    """Stands for a name of fastai that is not here, and raises E510 as soon as it is used."""

    def __init__(self, name: str, instead: str | None = None):
        self.__dict__["_error"] = _absent(name, instead or INSTEAD[name])

    def _raise(self, *args: object, **kwargs: object) -> NoReturn:
        raise self.__dict__["_error"].with_traceback(None)

    __call__ = __iter__ = __len__ = __getitem__ = __setattr__ = __or__ = __mro_entries__ = _raise

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # inspect, copy and the like ask for these
            raise AttributeError(name)
        self._raise()

    def __repr__(self) -> str:
        return str(self.__dict__["_error"])


def _absent(name: str, instead: str) -> AbsentError:
    return AbsentError("E510", received=f"{name}, a name of fastai", expected="a name of this library", fix=instead)
