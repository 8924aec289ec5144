"""The parser of the command line: from the tables of all commands to one, whose errors have a code and a fix."""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from ulmfit_easy.apps.command import Command, Options, all_commands
from ulmfit_easy.errors import ArgumentError, ArgumentTypeError, UlmfitError, nearest
from ulmfit_easy.terminal import say

QUIET: Options = {"--quiet": {"action": "store_true", "default": False, "help": "print results and errors only"}}
OTHER_NAMES = {  # of options in other libraries
    "--learning-rate": "--lr", "--lrs": "--lr", "--batch-size": "--bs", "--num-epochs": "--epochs",
    "--epoch": "--epochs", "--n-epochs": "--epochs", "--text-col": "--text", "--text-column": "--text",
    "--label-col": "--label",
    "--label-column": "--label", "--target": "--label", "--output": "--out", "-o": "--out", "--output-dir": "--out",
    "--sep": "--delimiter", "--language": "--lang", "--force": "--overwrite", "--validation": "--valid",
    "--dev": "--valid", "--model": "--encoder", "--arch": "--encoder", "--unlabeled": "--unlabelled", "-k": "--top-k",
    "-q": "--quiet", "-v": "--version"}


class Parser(argparse.ArgumentParser):
    """A parser that raises its errors, with a code, and with the option or command that was meant."""

    example = "ulmfit --help"
    command: Command

    def error(self, message: str) -> NoReturn:
        raise self.misuse(message)

    def misuse(self, message: str) -> UlmfitError:
        """Return the error for a message of argparse."""
        if m := re.match(r"argument COMMAND: invalid choice: '(.*)' \(choose", message):
            return self._no_command(m[1])
        if m := re.match(r"argument (\S+): invalid choice: '?(.*?)'? \(choose from (.*)\)", message):
            return ArgumentError("E604", received=f"{m[1]} {m[2]}", expected=f"one of {m[3]}",
                                 fix=self._meant(m[2], re.findall(r"[\w.-]+", m[3])))
        if m := re.match(r"unrecognized arguments: (.*)", message):
            return self._no_option(m[1].split()[0].partition("=")[0])
        if m := re.match(r"the following arguments are required: (.*)", message):
            return ArgumentError("E603", received=f"{self.prog} without {m[1]}",
                                 expected="this argument on the command line", fix=f"type it as in `{self.example}`")
        kind = ArgumentTypeError if " invalid " in message else ArgumentError
        code = "E601" if kind is ArgumentTypeError else "E603" if " not allowed with " in message else "E602"
        return kind(code, received=message.removeprefix("argument "), expected="an option as the help describes it",
                    fix=f"see `{self.prog} --help`; an example is `{self.example}`".replace("; ", ", "))

    def _no_command(self, name: str) -> UlmfitError:
        known = {other: command.name for command in all_commands() for other in (command.name, *command.also)}
        near = known.get(nearest(name, known, 0.6) or "")
        fix = f"did you mean `ulmfit {near}`?" if near else "see `ulmfit --help`"
        if not near and Path(name).exists():
            fix = f"say what to do with it, such as `ulmfit train {name}` or `ulmfit doctor {name}`"
        return ArgumentError("E604", received=f"{name!r} as a command",
                             expected="one of " + ", ".join(command.name for command in all_commands()), fix=fix)

    def _no_option(self, name: str) -> UlmfitError:
        if not name.startswith("-"):
            return ArgumentError("E604", received=f"{name!r} more than {self.prog} takes",
                                 expected="the arguments of the example only",
                                 fix=f"put a text or a name with blanks between quotes, and compare `{self.example}`")
        return ArgumentError("E604", received=f"{name} for {self.prog}", expected="an option that it has",
                             fix=self._meant(name, self._option_string_actions))

    def _meant(self, name: str, known: Mapping | Sequence[str]) -> str:
        other = OTHER_NAMES.get(name)
        near = other if other in known else nearest(name, [each for each in known if each != "--help"], 0.6)
        return f"did you mean {near}?" if near else f"compare `{self.example}`, and see `{self.prog} --help`"


class Version(argparse.Action):
    """Show the version of the package, which is looked up only for this."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import ulmfit_easy

        say(f"ulmfit {ulmfit_easy.__version__}")
        parser.exit()


def parser() -> Parser:
    """Return the parser of all commands."""
    main = Parser(prog="ulmfit", description="Classify texts with few labels: ULMFiT.",
                  epilog="`ulmfit COMMAND --help` has each option and an example.")
    main.add_argument("--version", action=Version, nargs=0, default=argparse.SUPPRESS, help="show the version and end")
    commands = main.add_subparsers(dest="command", metavar="COMMAND")
    for command in all_commands():
        _add(commands, command)
    return main


def _add(commands: "argparse._SubParsersAction", command: Command) -> None:
    """Add a command with its options, each told with its default."""
    what = f"{command.what[0].upper()}{command.what[1:]}."
    lines = "\n".join(f"  ulmfit {line}" for line in command.examples)
    own = commands.add_parser(
        command.name, help=command.what, description=f"{what} {command.more}".rstrip(), epilog=f"examples:\n{lines}",
        formatter_class=Formatter, argument_default=argparse.SUPPRESS if command.only_given else None)
    own.example, own.command = f"ulmfit {command.examples[0]}", command
    own.set_defaults(parser=own)
    tables = [(own, command.options), *((own.add_argument_group(title), table)
                                        for title, table in command.groups.items())]
    if command.one_of:
        tables.append((own.add_mutually_exclusive_group(), command.one_of))
    for where, table in [*tables, (own, QUIET)]:
        for option, settings in table.items():
            if isinstance(default := settings.get("default"), str | Path) or option == "--seed" and default == 0:
                settings = {**settings, "help": f"{settings['help']} (default: {default})"}
            where.add_argument(option, **settings)


class Formatter(argparse.HelpFormatter):
    """Fill paragraphs, but leave the lines of the examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("examples:") else super()._fill_text(text, width, indent)
