"""Turn short forms in docstrings, `Raises: E301 if ...` and `a, b: ...`, into what mkdocstrings reads."""

import re
from typing import Any

from griffe import Extension, Object

FORM = re.compile(r"^(Raises|Source|Sources|Note|Yields|Returns): (\S.*(?:\n[ ]+\S.*)*)", re.MULTILINE)
TOGETHER = re.compile(r"^( +)(\*{0,2}\w+), (\w[\w, *]*): (.+(?:\n\1 +\S.*)*)", re.MULTILINE)


def mended(text: str) -> str:
    """Return a docstring whose short forms are paragraphs, and whose arguments stand alone."""
    text = FORM.sub(lambda m: f"\n**{m[1]}:** {' '.join(m[2].split())}\n", text)
    return TOGETHER.sub(apart, text)


def apart(entry: re.Match) -> str:
    """Return the entries of arguments that share one."""
    margin, first, others, about = entry.groups()
    return "\n".join([f"{margin}{first}: {about}", *(f"{margin}{name}: See `{first}`." for name in others.split(", "))])


class ShortForms(Extension):
    """Mend each docstring before it is parsed."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Mend the docstring of an object that griffe has just read."""
        if obj.docstring:
            obj.docstring.value = mended(obj.docstring.value)
