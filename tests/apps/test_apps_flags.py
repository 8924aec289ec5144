"""Messages speak the language of the door that was used: flags for a command, and no argument that is not there."""

import argparse
import ast
import builtins
import importlib
import inspect
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from package_source import modules

import ulmfit_easy
from ulmfit_easy.apps.cli import main
from ulmfit_easy.apps.command import all_commands
from ulmfit_easy.apps.flags import at_command_line
from ulmfit_easy.apps.parser import parser
from ulmfit_easy.errors import ARGUMENT, ArgumentError, UlmfitError, door, fix_for
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.text.words import SpacyTokenizer

PACKAGE = Path(ulmfit_easy.__file__).parent
COMMANDS = next(a for a in parser()._actions if a.choices).choices
FLAGS = {flag for command in COMMANDS.values() for action in command._actions for flag in action.option_strings}
ESTIMATOR = {*inspect.signature(ULMFiT).parameters, "texts", "labels", "unlabelled"}


def written(node) -> str:
    """A string of the source, with `0` for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(written(part) for part in node.values)
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.BinOp):
        return written(node.left) + written(node.right)
    return "0"


@cache
def fixes() -> list:
    """The fix of each error in the source, with its place."""
    found = []
    for file, tree in modules().items():
        for node in ast.walk(tree):
            for keyword in getattr(node, "keywords", []):
                if keyword.arg == "fix":
                    found.append((f"{file.relative_to(PACKAGE)}:{node.lineno}", written(keyword.value)))
    return found


def parameters() -> dict[str, set]:
    """The parameters of each function, method and class of the package, by its name."""
    known = {}
    for module in pkgutil.walk_packages(ulmfit_easy.__path__, "ulmfit_easy."):
        if module.name.endswith("__main__"):
            continue
        for name, thing in vars(importlib.import_module(module.name)).items():
            if not getattr(thing, "__module__", "").startswith("ulmfit_easy"):
                continue
            members = vars(thing).items() if inspect.isclass(thing) else ()
            for own, function in ((name, thing), *members):
                function = getattr(function, "__func__", function)
                try:
                    known.setdefault(own, set()).update(inspect.signature(function).parameters)
                except (TypeError, ValueError):
                    continue
    return known


def test_every_argument_of_a_fix_is_one_of_some_function_and_each_call_can_be_made():
    known, wrong = parameters(), []
    anywhere = set().union(*known.values())
    assert len(fixes()) > 200
    for place, fix in fixes():
        for m in ARGUMENT.finditer(fix):
            if m[1]:
                wrong += [f"{place}: {m[1]}="] if m[1] not in anywhere else []
                continue
            name, inside = re.split(r"\(", m[0], maxsplit=1)
            name = name.split(".")[-1]
            named = re.findall(r"(?:^|[ ,])([a-z]\w*)=", re.sub(r"\([^()]*\)", "", inside[:-1]))
            if named and name in known and "kwargs" not in known[name]:
                wrong += [f"{place}: {name}({one}=)" for one in named if one not in known[name]]
    assert wrong == []


def test_no_message_below_the_commands_names_a_flag_and_each_flag_in_theirs_exists():
    for place, fix in fixes():
        flags = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", re.sub("pip install .*", "", fix)))
        assert flags <= FLAGS, place
        assert not flags or place.startswith("apps/") or "ulmfit " in fix, place


def test_each_command_that_a_fix_names_exists():
    for place, fix in fixes():
        assert set(re.findall(r"`ulmfit ([a-z-]+)", fix)) <= COMMANDS.keys(), place


def test_no_fix_installs_what_is_on_no_index():
    assert not [place for place, fix in fixes() if "ulmfit_easy[" in fix or "install ulmfit" in fix]


@pytest.mark.parametrize("name", COMMANDS)
def test_at_a_command_each_fix_names_its_flags_or_says_that_it_is_for_python(name):
    own = {flag for action in COMMANDS[name]._actions for flag in action.option_strings}
    for place, fix in fixes():
        if place.startswith("apps/"):
            continue
        told = at_command_line(ArgumentError("E602", received="x", expected="y", fix=fix), COMMANDS[name])
        told = told.split("Fix: ")[1]
        if not told.startswith("in Python, "):
            assert not {m[1] for m in ARGUMENT.finditer(told)} - {None}, (place, told)
            told = re.sub("pip install .*", "", told)  # its flags are those of pip
            assert set(re.findall(r"(?<![\w`-])--[a-z][\w-]*", told)) <= own | FLAGS & set(fix.split()), (place, told)


def test_at_the_estimator_each_fix_names_its_parameters_or_says_that_it_is_for_python():
    for place, fix in fixes():
        told = fix_for(fix, ESTIMATOR)
        if not told.startswith("in Python, "):
            assert {m[1] for m in ARGUMENT.finditer(told)} - {None} <= ESTIMATOR, (place, told)


def test_alternatives_that_need_another_function_are_left_out():
    with pytest.raises(UlmfitError) as e, door({"seed"}):
        raise ArgumentError("E602", received="1", expected="2", fix="drop the rows; pass on_missing=; pass seed=0")
    assert str(e.value).endswith("Fix: drop the rows; pass seed=0.")


@pytest.mark.parametrize(("command", "told"), [
    ("train", "pieces of words: --subword 8000."), ("convert", "suit most languages.")])
def test_a_language_without_rules_names_what_else_the_command_has(command, told):
    with pytest.raises(ArgumentError, match="E602.*SentencePieceTokenizer.*subword=8000") as e:
        list(SpacyTokenizer("zz")(["x"]))
    said = at_command_line(e.value, COMMANDS[command])
    assert "pass --lang xx for rules that suit most languages" in said and said.endswith(told)


@pytest.mark.parametrize(("command", "said", "told"), [
    ("train", "seed=-1", "--seed -1"),
    ("train", 'encoding="cp1252"', "--encoding cp1252"),
    ("train", "quoting=csv.QUOTE_NONE", "--no-quotes"),
    ("train", "backwards=True", "--backwards"),
    ("train", "pretrained=False", "--from-scratch"),
    ("train", "name them with labels=, please", "name them with --label COL, please"),
    ("convert", "backwards=False", "--forwards"),
    ("pretrain", "min_freq=2 and max_vocab=", "--min-freq 2 and --max-vocab N"),
    ("train", "f(seed=1) and other=3", "f(seed=1) and other=3"),
])
def test_arguments_become_flags(command, said, told):
    assert at_command_line(said, COMMANDS[command]) == told


def test_each_argument_is_described_with_its_default():
    for name, command in COMMANDS.items():
        for action in command._actions:
            assert action.help, (name, action.dest)
            default = action.default
            if isinstance(default, str | Path) and default != argparse.SUPPRESS:
                assert f"default: {default}" in action.help, (name, action.dest)
    assert builtins.all(kind in COMMANDS["train"].format_help() for kind in (".jsonl", ".parquet"))


def test_each_command_has_its_examples_in_its_help_and_they_can_be_typed():
    for command in all_commands():
        told = COMMANDS[command.name].format_help()
        for example in command.examples:
            assert f"\n  ulmfit {example}\n" in told
            assert parser().parse_args(shlex.split(example)).command == command.name
        assert parser().parse_args(shlex.split(f"{command.examples[0]} --quiet")).quiet is True


@pytest.mark.parametrize(("typed", "told"), [
    ("trian", "did you mean `ulmfit train`"), ("fit x.csv", "did you mean `ulmfit train`"),
    ("classify m x.csv", "did you mean `ulmfit predict`"), ("zzz", "see `ulmfit --help`"),
    ("train x.csv --lable y", "did you mean --label?"), ("train x.csv --sep ;", "did you mean --delimiter?"),
    ("predict --model m x.csv", "compare `ulmfit predict my-model new.csv"),
    ("predict m", "type it as in `ulmfit predict my-model new.csv"),
    ("train x.csv --class-weight balance", "did you mean balanced?"),
    ("train x.csv --seed one", "an example is `ulmfit train "), ("train x.csv --delimiter ab", "not one character"),
    ("toy a b", "put a text or a name with blanks between quotes"), ("toy --out", "expected one argument"),
])
def test_a_command_or_an_option_that_is_not_there_is_answered_with_the_one_that_is_meant(typed, told, capsys):
    assert main(shlex.split(typed)) == 2
    said = capsys.readouterr().err
    assert re.match(r"ulmfit: \[E60\d\] ", said) and told in said and said.count("\n") == 1


def test_ulmfit_alone_lists_the_commands(capsys):
    assert main([]) == 2
    said = capsys.readouterr().err
    assert builtins.all(command.what.split()[0] in said for command in all_commands())


def test_a_file_that_is_named_in_place_of_a_command_is_what_to_work_on(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("reviews.csv").touch()
    assert main(["reviews.csv"]) == 2 and "`ulmfit train reviews.csv`" in capsys.readouterr().err


def test_a_shell_completes_commands_and_options():
    pytest.importorskip("argcomplete", reason="needs the package argcomplete")
    line = "ulmfit train x.csv --lab"
    done = subprocess.run(
        [sys.executable, "-m", "ulmfit_easy"], capture_output=True, text=True,
        env={**os.environ, "_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": "/dev/stdout", "COMP_LINE": line,
             "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"})
    assert "--label" in done.stdout.split()
