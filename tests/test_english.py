"""Docstrings and pages keep the rules of plain English that a machine can check: short sentences, plain words.

Offenders of old are counted. A count may only fall: mend some, and lower it. `python tests/test_english.py` lists them.
"""

import ast
import re
from pathlib import Path

import pytest
from package_source import modules

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("README.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/howto/*.md")])
NOT_PROSE = re.compile(r"```[\s\S]*?```|`[^`\n]*`|\$\$[\s\S]*?\$\$|\$[^$\n]+\$|\]\([^)\n]*\)|"
                       r"https?://\S+|^[|#].*$|>>> .*$", re.MULTILINE)
PARTS = re.compile(r"\n\s*\n|\n\s*(?=[-*] |\d\. )|\n\s*(?=[*\w, ]+: )")  # paragraphs, points of lists, arguments
SENTENCES = re.compile(r"(?<=[.!?])[\")]*\s+(?=[A-Z\"x(])")
UNPLAIN = re.compile(  # what to write instead is in the list of words of the style guide
    r"\b(anew|goes on(?! best)|go on|sisters|friends? of|to the bit|of one's own|is told|are told|is asked(?! for)|"
    r"are asked(?! for)|so many|doors?\b|beside\b|[Ww]here there (is|are)|[Ii]n the box|what is wanted|"
    r"some (hundred|thousand|dozen)\b(?! of))")
ALLOWED = {"long docstrings": 1, "semicolons in docstrings": 0, "words of docstrings": 0, "vague beginnings": 0,
           "long sentences of pages": 4, "words of pages": 0}


def docstrings() -> list[tuple[str, str]]:
    """Return each docstring of the package, and where it is."""
    found = []
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node)
                if text:
                    found.append((f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", text))
    return found


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, with one X for code, formulas and addresses."""
    parts = PARTS.split(NOT_PROSE.sub("X", text))
    return [" ".join(sentence.split()) for part in parts for sentence in SENTENCES.split(part)]


def offences() -> dict[str, list[str]]:
    """Return what breaks each rule, and where."""
    found: dict[str, list[str]] = {rule: [] for rule in ALLOWED}
    for where, text in docstrings():
        if re.match(r"(What|How|Whether|Where)\b", text):
            found["vague beginnings"].append(f"{where} {text[:60]}")
        for sentence in sentences(text):
            if len(sentence.split()) > 25:
                found["long docstrings"].append(f"{where} {sentence}")
            if ";" in sentence.replace("Ignored; kept for fastai compatibility", ""):
                found["semicolons in docstrings"].append(f"{where} {sentence}")
            found["words of docstrings"] += [f"{where} {match[0]}: {sentence}" for match in UNPLAIN.finditer(sentence)]
    for page in (page for page in PAGES if page.name not in {"LOG.md", "RELIABILITY.md"}):  # records of what was run
        for sentence in sentences(page.read_text(encoding="utf-8")):
            if len(sentence.split()) > 35:
                found["long sentences of pages"].append(f"{page.name} {sentence}")
            found["words of pages"] += [f"{page.name} {match[0]}: {sentence}" for match in UNPLAIN.finditer(sentence)]
    return found


@pytest.fixture(scope="module")
def found():
    return offences()


@pytest.mark.parametrize("rule", ALLOWED)
def test_no_more_offences_than_before(rule, found):
    assert len(found[rule]) <= ALLOWED[rule], "\n".join(found[rule])


if __name__ == "__main__":
    for rule, those in offences().items():
        print(f"\n== {rule}: {len(those)}", *those, sep="\n")
