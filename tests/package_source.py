"""The source of the package, read and parsed once for all tests that look at it."""

import ast
from functools import cache
from pathlib import Path

import ulmfit_easy

PACKAGE = Path(ulmfit_easy.__file__).parent


@cache
def modules() -> dict[Path, ast.Module]:
    """The syntax tree of each file of the package."""
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}
