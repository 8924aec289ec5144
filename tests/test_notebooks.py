"""The lessons in nbs/ run from top to bottom, use public names only, and are stored without outputs."""

import ast
import os
from pathlib import Path

import pytest

NBS = Path(__file__).parent.parent / "nbs"
QUICK = {"01_quickstart.ipynb"}  # small enough for every run; the others are slow


def lessons():
    return [pytest.param(p, marks=[] if p.name in QUICK else pytest.mark.slow, id=p.stem)
            for p in sorted(NBS.glob("*.ipynb"))]


def read(path):
    import nbformat

    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", lessons())
def test_a_lesson_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("ULMFIT_EASY_SMALL", "1")
    nb = read(path)
    NotebookClient(nb, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    if folder := os.environ.get("KEEP_NOTEBOOK_OUTPUT"):  # to look at the pictures
        import nbformat

        nbformat.write(nb, Path(folder) / path.name)
    ran = [c for c in nb.cells if c.cell_type == "code"]
    assert all(c.execution_count for c in ran)


@pytest.mark.parametrize("path", lessons())
def test_a_lesson_is_stored_without_outputs(path):
    cells = [c for c in read(path).cells if c.cell_type == "code"]
    assert not any(c.outputs or c.execution_count for c in cells)


@pytest.mark.parametrize("path", lessons())
def test_a_lesson_imports_public_names_only_and_ends_with_what_it_taught(path):
    cells = [c.source for c in read(path).cells if c.cell_type == "code"]
    source = "\n".join(line for line in "\n".join(cells).splitlines() if not line.startswith("%"))
    names = [n.module for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)]
    assert [n for n in names if n.startswith("ulmfit_easy")] == ["ulmfit_easy.all"]
    assert "assert " in cells[-1]
