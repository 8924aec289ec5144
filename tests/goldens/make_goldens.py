"""Write the golden files: what fastai 2.8.12 gives for small inputs of our own. README.md says how to run it.

Each `golden_*.py` beside this file holds functions without arguments; `name()` becomes `name.json`.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import golden_data
import golden_measures
import golden_models
import golden_signatures
import golden_text
import golden_training
import torch

HERE = Path(__file__).parent
FAMILIES = [
    golden_text.rules, golden_text.tokens, golden_text.vocab,
    golden_data.splits, golden_data.lm_stream, golden_data.sorteddl,
    golden_models.pooling, golden_models.head, golden_models.lm_loss, golden_models.regularizers,
    golden_models.classifier, golden_models.embeds,
    golden_training.schedules, golden_training.steps, golden_training.slices, golden_training.adam,
    golden_training.optimizers, golden_training.lr_find,
    golden_measures.losses, golden_measures.metrics,
    golden_signatures.signatures,
]
MAX_BYTES, WIDTH = 60_000, 110


def plain(value):
    """The value as JSON has it: tensors as lists, each float32 by its shortest name (not 0.10000000149)."""
    if isinstance(value, torch.Tensor):
        if value.dim():
            return [plain(row) for row in value]
        value = float(str(value.numpy())) if value.dtype == torch.float32 else value.item()
    if hasattr(value, "item"):
        value = value.item()    # a numpy number
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def render(value, indent: str = "") -> str:
    """JSON for people: keys sorted, what fits on a line stays on it, long rows of words and numbers wrap."""
    line = json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(indent) + len(line) <= WIDTH or not isinstance(value, dict | list):
        return line
    deeper = indent + " "
    if isinstance(value, dict):
        rows = [f"{json.dumps(k)}: {render(v, deeper)}" for k, v in sorted(value.items())]
        return "{\n" + ",\n".join(deeper + row for row in rows) + f"\n{indent}}}"
    rows = [render(v, deeper) for v in value]
    lines = wrap(rows) if max(map(len, rows)) <= 20 else rows
    return "[\n" + ",\n".join(deeper + line for line in lines) + f"\n{indent}]"


def wrap(items: list[str], width: int = WIDTH - 10) -> list[str]:
    """The items joined by commas into lines of at most `width` characters."""
    lines = [items[0]]
    for item in items[1:]:
        if len(lines[-1]) + len(item) + 3 <= width:
            lines[-1] += f", {item}"
        else:
            lines.append(item)
    return lines


def main(names: list[str]) -> None:
    made_with = {name: version(name) for name in ("fastai", "fastcore", "spacy", "torch", "numpy")}
    for family in FAMILIES:
        if names and family.__name__ not in names:
            continue
        path = HERE / f"{family.__name__}.json"
        text = render(plain({"made_with": made_with, **family()})) + "\n"
        if len(text.encode()) > MAX_BYTES:
            raise SystemExit(f"{path.name} has {len(text.encode())} bytes")
        path.write_text(text, encoding="utf-8")
        print(f"{path.name:20}{len(text.encode()):8,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
