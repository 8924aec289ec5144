"""Names and versions in a model card: one line each, which cannot become anything else."""

import platform
import re
from importlib.metadata import PackageNotFoundError, version

from ulmfit_easy import __version__


def as_line(value: object) -> str:
    """Return a value that cannot break out of its line, its table or its code span, nor become HTML."""
    return re.sub(r"[`|<>\s\x00-\x1f]+", " ", str(value)).strip()


def as_plain(value: object) -> str:
    """Return the same for a place outside of code: no link, no image, no formula, no character by its number."""
    return re.sub(r"([\\\[\]&$])", r"\\\1", as_line(value))


def versions() -> str:
    """Return the library's version and those of the packages that decide a model's numbers."""
    found = [f"ulmfit_easy {__version__}", f"Python {platform.python_version()}"]
    for package in ("torch", "spacy", "sentencepiece"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
