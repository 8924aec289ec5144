"""A command is a table of options, an example and a function. Each file of `commands/` has one, `COMMAND`."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules

from ulmfit_easy.apps import commands

Options = dict[str, dict]  # a flag, or the name of a place -> the arguments of argparse's add_argument


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Attributes:
        name: what is typed after `ulmfit`.
        what: one line, which begins with a verb in lower case.
        run: does it. What it returns is the exit status, and None is 0.
        examples: lines to type, without `ulmfit` before them.
        options: of the command. `groups` has more of them under headings, and of `one_of` a user may choose one.
        more: sentences that its help adds.
        only_given: leave out of the namespace what a user did not give.
        also: names that other tools have for it: typing one shows this one.
        order: where it stands in the list of commands.
        torch: True if it needs torch.
    """

    name: str
    what: str
    run: Callable[[argparse.Namespace], int | None]
    examples: tuple[str, ...]
    options: Options = field(default_factory=dict)
    groups: dict[str, Options] = field(default_factory=dict)
    one_of: Options = field(default_factory=dict)
    more: str = ""
    only_given: bool = False
    also: tuple[str, ...] = ()
    order: int = 50
    torch: bool = True


def all_commands() -> list[Command]:
    """Return the command of each file in `commands/`, in the order of the list of commands."""
    found = [import_module(f"{commands.__name__}.{each.name}").COMMAND for each in iter_modules(commands.__path__)]
    return sorted(found, key=lambda command: (command.order, command.name))
