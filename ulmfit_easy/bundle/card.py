"""The model card of a bundle: a README.md that says what a language model is, and what it is not for."""

import platform
import re
import shlex
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version

from ulmfit_easy import __version__

TEMPLATE = """---
language: "{lang}"
library_name: ulmfit_easy
tags:
- ulmfit
- language-model
---

# {name}

A language model that reads {direction}, trained from {start} with ulmfit_easy: the first of the three stages
of ULMFiT (Howard & Ruder 2018). It is there to be fine-tuned, first on your texts, then on your labels:

```
ulmfit train reviews.csv --pretrained {quoted}{flags}
```

## Figures

On {held_out}:

{results}

Perplexities of models with different vocabularies do not compare; bits per character do. Both are defined by
`ulmfit evaluate-lm`.

## Model

{model}

## Corpus

{corpus}

## Training

{training}

## Use and limits

* Meant for transfer: as the start of a classifier, or of a language model, for texts of its language. What it writes
  is neither true nor checked.
* It knows the register and the years of its corpus, and repeats its biases; it may recite rare passages of it.
* Measure on your own data, beside a simple baseline, before you rely on it.

## Licence

To be filled in by whoever publishes the weights; the terms of the corpus may bind them too.
"""


def model_card(*, name: str, lang: str, start: str | None = None, backwards: bool, held_out: str, results: Mapping,
               model: Mapping, files: Iterable[tuple[str, int, int]], training: Mapping) -> str:
    """The text of a README.md, in Markdown with a head that model hubs read.

    Args:
        name, lang: of the bundle's folder, of its texts.
        start: the model that it went on from, None for random weights.
        backwards: whether it reads texts from their end.
        held_out: what `results` were measured on, in words.
        results, model, training: facts by their names, one line each.
        files: name, documents and tokens of each file of the corpus.
    """
    table = ["| file | documents | tokens |", "|---|---:|---:|"]
    table += [f"| `{as_line(file)}` | {documents:,} | {tokens:,} |" for file, documents, tokens in files]
    return TEMPLATE.format(
        name=as_plain(name), quoted=shlex.quote(as_line(name)), lang=re.sub(r"[^\w-]", "", lang),
        start=f"`{as_line(start)}`" if start else "random weights",
        direction="backwards" if backwards else "forwards", flags=" --backwards" if backwards else "",
        held_out=as_plain(held_out), results=_list(results), model=_list(model), corpus="\n".join(table),
        training=_list({**training, "versions": versions()}))


def _list(facts: Mapping) -> str:
    return "\n".join(f"* {name}: {as_plain(value)}" for name, value in facts.items())


def as_line(value) -> str:
    """A value that cannot break out of its line, its table or its code span, nor become HTML."""
    return re.sub(r"[`|<>\s\x00-\x1f]+", " ", str(value)).strip()


def as_plain(value) -> str:
    """The same for a place outside of code: no link, no image, no formula, no character by its number."""
    return re.sub(r"([\\\[\]&$])", r"\\\1", as_line(value))


def versions() -> str:
    """What made a model: the library's version and those of the packages that decide its numbers."""
    found = [f"ulmfit_easy {__version__}", f"Python {platform.python_version()}"]
    for package in ("torch", "spacy", "sentencepiece"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
