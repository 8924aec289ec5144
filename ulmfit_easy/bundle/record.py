"""The record of a trained model: a README.md for people and a training.json for programs, of the same facts."""

import platform
import re
import shlex
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ulmfit_easy import __version__
from ulmfit_easy.errors import FileError
from ulmfit_easy.files import read_json, sha256_bytes, write_bytes, write_json

CARD, JSON = "README.md", "training.json"
SIGNED = re.compile(rb"(.*)<!-- ulmfit_easy ([0-9a-f]{64}) -->\n", re.DOTALL)
LARGEST = 1 << 20  # bytes of a card or a record of ours
TEMPLATE = """---
language: "{lang}"
library_name: ulmfit_easy
tags:
- ulmfit
- {tag}
---

# {name}

{what}, made with ulmfit_easy by the method of ULMFiT (Howard and Ruder 2018, arXiv 1801.06146). The library wrote
this card. Nobody has checked it.

```
{use}
```

{sections}
"""


def write_record(folder: Path, name: str, record: Mapping, use: str | None = None) -> None:
    """Write both files into the folder of a model.

    Args:
        name: of the model.
        record: facts that JSON can hold: `kind`, `language`, and sections of facts by their names.
        use: a line of code that shows how to use the model. None for the one that its kind asks for.
    """
    use = use or _use(name, record)
    write_json(folder / JSON, {"written_by": "ulmfit_easy", **record})
    sections = [f"## {title.capitalize()}\n\n{_facts(facts)}" for title, facts in record.items()
                if isinstance(facts, Mapping)]
    kind = str(record["kind"]).replace("_", " ")
    card = TEMPLATE.format(lang=re.sub(r"[^\w-]", "", str(record.get("language") or "")), name=as_plain(name),
                           tag="text-classification" if kind == "classifier" else as_plain(kind.replace(" ", "-")),
                           what=f"A {as_plain(kind)}", use=as_line(use), sections="\n\n".join(sections))
    data = card.encode("utf-8", "replace")  # a name can be anything
    write_bytes(folder / CARD, data + f"<!-- ulmfit_easy {sha256_bytes(data)} -->\n".encode())


def is_record(file: Path) -> bool:
    """Tell if a file is a card or a record as `write_record` left it. One that a user has changed is the user's."""
    if not file.is_file() or file.stat().st_size > LARGEST:
        return False
    if file.name == CARD:
        found = SIGNED.fullmatch(file.read_bytes())
        return found is not None and sha256_bytes(found[1]).encode() == found[2]
    try:
        return file.name == JSON and read_json(file).get("written_by") == "ulmfit_easy"
    except (FileError, AttributeError):
        return False


def _use(name: str, record: Mapping) -> str:
    if record["kind"] != "language_model":
        return f"from ulmfit_easy.all import load_learner; load_learner({as_line(name)!r}).predict(texts)"
    backwards = ["--backwards"] if record["model"]["reads"] == "backwards" else []
    return shown("ulmfit train", "reviews.csv", "--pretrained", name, *backwards)


def shown(program: str, *words: object) -> str:
    """Return a command line for a card, of words that a shell takes for one each."""
    return " ".join([program, *(shlex.quote(as_line(word)) for word in words)])


def _facts(facts: Mapping) -> str:
    lines = []
    for name, value in facts.items():
        for i, one in enumerate(value if isinstance(value, list) else [value], 1):
            number = f" {i}" if isinstance(value, list) and len(value) > 1 else ""
            lines.append(f"* {as_plain(name)}{number}: {as_plain(_text(one))}")
    return "\n".join(lines)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def as_line(value: object) -> str:
    """Return a value that cannot break out of its line, its table or its code span, nor become HTML."""
    return re.sub(r"[`|<>\s\x00-\x1f]+", " ", str(value)).strip()


def as_plain(value: object) -> str:
    """Return the same for a place outside of code: no link, no image, no formula, no character by its number."""
    return re.sub(r"([\\\[\]&$])", r"\\\1", as_line(value))


def way(backwards: bool) -> str:
    """Return the direction in which a model reads, in a word."""
    return "backwards" if backwards else "forwards"


def versions() -> str:
    """Return the library's version and those of the packages that decide a model's numbers."""
    found = [f"ulmfit_easy {__version__}", f"Python {platform.python_version()}"]
    for package in ("torch", "spacy", "sentencepiece"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
