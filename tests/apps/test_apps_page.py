"""docs/COMMANDS.md: each command is there, takes its arguments, and does what the page says."""

import io
import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from ulmfit_easy.apps.cli import main
from ulmfit_easy.apps.command import all_commands
from ulmfit_easy.apps.parser import parser

PAGE = (Path(__file__).parents[2] / "docs" / "COMMANDS.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
         if line.startswith("ulmfit ")]
NEEDS = ["pretrain", "evaluate-lm", "convert", "demo", "experiment",  # files that the page lacks
         "tune", "serve", "push", "pull"]  # Optuna; no end; a network
NEEDS += [] if find_spec("onnxruntime") else ["export"]


def test_each_command_is_on_the_page_with_arguments_that_it_takes():
    told = {parser().parse_args(shlex.split(re.split(" [<>] ", line)[0])[1:]).command for line in LINES}
    assert told == {command.name for command in all_commands()} - {"demo"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_each_line_of_the_page_runs_after_those_before_it(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for line in LINES:
        typed, *into = re.split(" > ", line)
        typed, *given = re.split(" < ", typed)
        if given:
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(Path(given[0]).read_bytes())))
        if shlex.split(typed)[1] not in NEEDS and "tuned.json" not in typed:
            assert main(shlex.split(typed)[1:]) == 0, line
        out = capsys.readouterr().out
        if into:
            assert len(out.splitlines()) == 31
    for name in ("reviews-model", "predictions.csv", "all.jsonl", "scores.json", "tuned-model"):
        assert (tmp_path / name).exists()
