"""The lessons in Korean have a text for each text of the lesson, with the same code, links and numbered points."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [pytest.param(path, id=path.stem) for path in sorted((ROOT / "docs" / "ko").glob("*.md"))]


@pytest.mark.parametrize("path", PAGES)
def test_a_translation_keeps_the_code_links_and_points_of_each_text(path):
    cells = json.loads((ROOT / "nbs" / f"{path.stem}.ipynb").read_text(encoding="utf-8"))["cells"]
    lesson = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    korean = path.read_text(encoding="utf-8").split("<!-- cell -->")
    assert len(lesson) == len(korean)
    for ours, theirs in zip(lesson, korean, strict=True):
        for kept in (r"`[^`]+`", r"\]\([^)]+\)"):
            assert sorted(re.findall(kept, ours)) == sorted(re.findall(kept, theirs)), ours[:80]
        for points in (r"^#+ ", r"^\d\. ", r"^\* "):
            assert len(re.findall(points, ours, re.M)) == len(re.findall(points, theirs, re.M)), ours[:80]
