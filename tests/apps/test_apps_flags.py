"""Messages speak the language of the door that was used: flags for a command, and no argument that is not there."""

import argparse
import ast
import builtins
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import ulmfit_easy
from ulmfit_easy.apps import cli
from ulmfit_easy.apps.flags import at_command_line
from ulmfit_easy.errors import ARGUMENT, ArgumentError, UlmfitError, door, fix_for
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.text.words import SpacyTokenizer

PACKAGE = Path(ulmfit_easy.__file__).parent
COMMANDS = next(a for a in cli.parser()._actions if a.choices).choices
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


def fixes(part: Path = PACKAGE) -> list:
    """The fix of each error in the source, with its place."""
    found = []
    for file in sorted(part.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
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
    ("pretrain", "when pretraining, --subword 8000."), ("train", 'suit most languages.')])
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
