"""The public names, and the example of each in docs/examples: for the reference of the site, and for its tests."""

import inspect
import re
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
AREAS = {  # the folders of the package, and what the reference calls them
    "text": "Text", "data": "Data", "models": "Models", "bundle": "Files of models", "learner": "Learners",
    "metrics": "Metrics and losses", "callbacks": "Callbacks", "optim": "Optimizers and schedules",
    "recipes": "Recipes", "apps": "Tools", "fastai": "Names of fastai", "other": "Errors and charts",
    "values": "Constants and instances"}
NOT_OURS = {"pathlib", "functools"}  # names of other packages that the star import passes on


def public_names() -> dict[str, tuple[str, object]]:
    """Return the area and the value of each name of `ulmfit_easy.all` that is the library's own."""
    from ulmfit_easy import all as door

    found = {}
    for name in dir(door):
        value = getattr(door, name)
        module = value.__module__ if is_described(value) else ""
        if not inspect.ismodule(value) and module not in NOT_OURS:
            areas = [part for part in module.split(".")[1:-1] if part in AREAS]
            found[name] = (areas[-1] if areas else "other" if module else "values", value)
    return found


def addresses(names: dict[str, tuple[str, object]]) -> dict[str, str]:
    """Return where the page of each name is. `Drift` and `drift` would be one file on some systems."""
    found: dict[str, str] = {}
    for name, (area, _) in sorted(names.items(), key=lambda row: row[0].islower(), reverse=True):
        taken = {address.lower() for address in found.values()}
        address = f"{area}/{name}"
        found[name] = f"{address}-class" if address.lower() in taken else address
    return found


def is_described(value: object) -> bool:
    """Return whether mkdocstrings describes it: a class or a function. It knows nothing of other values."""
    return inspect.isclass(value) or inspect.isfunction(value)


def examples() -> dict[str, str]:
    """Return the text and the code for each name that a heading in docs/examples has."""
    found = {}
    for path in sorted(EXAMPLES.glob("*.md")):
        for names, body in re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", path.read_text(encoding="utf-8"), re.MULTILINE):
            found.update(dict.fromkeys(names.split(", "), body.strip()))
    return found


def fenced(example: str) -> str:
    """Return an example as Markdown. Its code has no prompts, so that it can be copied: `#>` marks what it prints."""
    parts = example.strip().split("\n\n")
    return "\n\n".join("```python\n" + "\n".join(map(typed, part.splitlines())) + "\n```" if part.startswith(">>>")
                       else part for part in parts)


def typed(line: str) -> str:
    return line[4:] if line.startswith((">>> ", "... ")) else f"#> {line}"
