"""README.md and README.ko.md: their commands and their Python can be typed as they stand, and do what they say."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd
import pytest

from ulmfit_easy.apps.cli import parser
from ulmfit_easy.data.toy import toy_reviews

ROOT = Path(__file__).parent.parent
READMES = [ROOT / "README.md", ROOT / "README.ko.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(path, language=""):
    return [body for kind, body in BLOCK.findall(path.read_text(encoding="utf-8")) if kind == language]


def run(code, folder):
    """Run a block of Python in a folder. Return what it prints, with the values that a notebook would show."""
    code = re.sub(r"(?m)^[\w\"., ()[\]-]*\b(?:predict|score|doctor)\(.*\)(?=\s*#)", r"print(\g<0>)", code)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commands(path):
    """The lines of shell blocks that begin with `ulmfit`, and those after a colon in a comment."""
    lines = [line for body in blocks(path) for line in body.splitlines()]
    found = [line.split(" #")[0] for line in lines if line.startswith("ulmfit ")]
    return found + [m[1] for line in lines if (m := re.search(r"#.*?: (ulmfit .+)", line))]


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_each_command_has_arguments_that_it_takes(path):
    assert len(commands(path)) >= 8
    for command in commands(path):
        parser().parse_args(shlex.split(command)[1:])


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_each_target_of_make_and_each_link_exists(path):
    text, makefile = path.read_text(encoding="utf-8"), (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make (\w[\w-]*)|`make (\w[\w-]*)`", text, re.MULTILINE)
    assert targets and all(re.search(rf"^{a or b}:", makefile, re.MULTILINE) for a, b in targets)
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_both_languages_have_the_same_commands_figures_and_code():
    english, korean = READMES
    assert set(commands(english)) <= set(commands(korean))
    of_both = [[line.split("#")[0].rstrip() for body in blocks(path, "python") for line in body.splitlines()]
               for path in READMES]
    assert of_both[0] == of_both[1]
    tables = [re.findall(r"(?:\.\d\d \.\d\d \.\d\d)", path.read_text(encoding="utf-8")) for path in READMES]
    assert tables[0] == tables[1] and len(tables[0]) >= 12


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_each_python_block_can_be_typed_alone_with_a_table_that_a_command_writes(path):
    written = [str(parser().parse_args(shlex.split(command)[1:]).out) for command in commands(path)
               if " --out " in command]
    for body in blocks(path, "python"):
        assert body.startswith("from ulmfit_easy.all import *\n")
        names = set(re.findall(r'read_csv\("(.+?)"\)|ULMFiT\.load\("(.+?)"\)', body.split("#")[0]))
        assert {a or b for a, b in names} <= {*written, "ulmfit-model"}


def test_git_ignores_what_the_commands_write_and_each_command_writes_something_else():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    for path in READMES:
        found = [parser().parse_args(shlex.split(command)[1:]) for command in commands(path) if " FILE" not in command]
        places = [str(args.out) for args in found if getattr(args, "out", None)]
        places += re.findall(r'\.save\("(.+?)"\)', path.read_text(encoding="utf-8"))
        assert [place for place in places if not any(fnmatch(f"/{place}", line.rstrip("/")) for line in ignored)] == []
        models = [place for place in places if place.endswith("-model")]
        assert len(models) == len(set(models)) >= 3


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_setup_ends_with_the_next_step_the_second_time_too(tmp_path):
    (tmp_path / ".installed").touch()  # as if all had been installed
    done = subprocess.run(["make", "--no-print-directory", "setup", f"VENV={tmp_path}"], cwd=ROOT, check=True,
                          capture_output=True, text=True)
    assert done.stdout == f"Ready. Next: make demo, make lab, or . {tmp_path}/bin/activate\n"


def test_the_changelog_has_one_section_for_each_version():
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    current = re.search(r"^version = (.+)", (ROOT / "settings.ini").read_text(), re.MULTILINE)[1]
    assert versions[0] == current and len(versions) == len(set(versions))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_first_commands_train_a_model_with_a_card_and_predict(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    toy, *others = commands(READMES[0])[:4] + [each for each in commands(READMES[0]) if re.match(
        r"ulmfit (doctor|evaluate|explain) ", each)]
    told = ""
    for command in (f"{toy} --rows 100", *others):
        words = [sys.executable, "-m", "ulmfit_easy", *shlex.split(command)[1:]]
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        told += done.stdout
    for part in ("100 rows, 2 classes", "Training takes ", " kept aside: ", "95% interval",
                 "in cross-validation on all 100", "different words in your texts",
                 "Next: ulmfit predict ulmfit-model"):
        assert part in told, part
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 100
    model, baseline = map(float, re.findall(r"\baccuracy ([\d.]+), macro-F1", told))
    assert 0.7 <= model <= 1 and 0.7 <= baseline <= 1  # of 100 rows, with any seed
    assert "nothing found" in told and "superb" in told
    for folder in (tmp_path / "ulmfit-model", tmp_path / "ulmfit-model" / "forwards"):
        assert {"README.md", "training.json"} <= {file.name for file in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_python_blocks_give_what_their_comments_say_for_any_seed(tmp_path):
    stages, estimator = blocks(READMES[0], "python")
    toy_reviews(300).to_csv(tmp_path / "reviews.csv", index=False)
    told = run(stages, tmp_path) + run(estimator, tmp_path)
    assert "Prediction(label='pos'" in told and told.endswith("\n['neg']\n")
    assert (tmp_path / "models" / "tuned.safetensors").exists() and (tmp_path / "my-model" / "README.md").exists()
