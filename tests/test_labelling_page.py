"""The page of labels can be typed as it stands, on small data and small models."""

import json
import re
from pathlib import Path

import pytest
from test_howto import files  # noqa: F401  # a fixture
from test_readme import blocks

from ulmfit_easy import all as names
from ulmfit_easy.data.toy import toy_reviews

PAGE = Path(__file__).parent.parent / "docs" / "LABELLING.md"
NEEDS = {"label_issues": "cleanlab", "tune": "optuna"}


def test_each_call_is_of_a_public_name():
    calls = set(re.findall(r"(?<![.\w])([a-z_]+)\(", "\n".join(blocks(PAGE, "python")))) - {"make_pipeline", "print"}
    assert len(calls) > 6 and not [call for call in calls if not hasattr(names, call)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_page_runs(files, capsys):  # noqa: F811
    df = toy_reviews(80)
    rows = [{"text": text, "label": label, "answer": ("accept", "reject")[i % 9 == 0], "_task_hash": i}
            for i, (text, label) in enumerate(zip(df["text"], df["label"], strict=True))]
    Path("prodigy.jsonl").write_text("\n".join(map(json.dumps, rows)))
    known, left_out = {}, []
    for code in blocks(PAGE, "python"):
        absent = [package for call, package in NEEDS.items() if f"{call}(" in code and not installed(package)]
        if absent:
            left_out += absent
            continue
        exec(compile(code, PAGE.name, "exec"), known)
    dls = known["dls"]
    assert dls.train.n_rows + dls.valid.n_rows == sum(row["answer"] == "accept" for row in rows)
    said = capsys.readouterr().out
    assert "seeds, mean ± standard deviation" in said and "Unknown tokens" in said and "unlabelled texts have" in said
    if left_out:
        pytest.skip(f"all but the blocks that need {' and '.join(left_out)}, which are not installed")


def installed(package):
    from importlib.util import find_spec

    return find_spec(package) is not None
