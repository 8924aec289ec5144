"""Turn the short forms of our docstrings into what mkdocstrings reads: `Raises: E301 if ...`, and `a, b: ...` in Args."""

import re
from typing import Any

from griffe import Extension, Object

FORM = re.compile(r"^(Raises|Source|Sources|Note|Yields|Returns): (\S.*(?:\n[ ]+\S.*)*)", re.MULTILINE)
TOGETHER = re.compile(r"^( +)(\w[\w, *]*), (\*{0,2}\w+): ", re.MULTILINE)


def mended(text: str) -> str:
    """Return a docstring whose short forms are paragraphs, and whose arguments stand alone."""
    text = FORM.sub(lambda m: f"\n**{m[1]}:** {' '.join(m[2].split())}\n", text)
    return TOGETHER.sub(lambda m: "".join(f"{m[1]}{name}: As `{m[3]}`.\n" for name in m[2].split(", ")) + f"{m[1]}{m[3]}: ",
                        text)


class ShortForms(Extension):
    """Mend each docstring before it is parsed."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Mend the docstring of an object that griffe has just read."""
        if obj.docstring:
            obj.docstring.value = mended(obj.docstring.value)
