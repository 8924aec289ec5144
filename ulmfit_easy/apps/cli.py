# PYTHON_ARGCOMPLETE_OK
"""The command line, `ulmfit`: it runs one command of `commands/`, and tells an error in one line."""

import os
import re
import shlex
import signal
import sys
import time
import warnings
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import nullcontext

from ulmfit_easy.apps.flags import at_command_line
from ulmfit_easy.apps.launch import in_processes
from ulmfit_easy.apps.parser import parser
from ulmfit_easy.errors import UlmfitError
from ulmfit_easy.processes import ignore_interrupts, is_main, world
from ulmfit_easy.terminal import hushed, say

OWN = 3  # seconds in which another process would have told the error, or the cause of it, and this one been ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. An error in what the user gave is one line on standard error and exit status 2.

    Ctrl-C gives 130, and a reader of the output that stopped reading 1. A stream that is closed is none to write to.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this; no other file may get its number
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
    if hasattr(sys.stdout, "reconfigure"):  # a notebook's cannot
        sys.stdout.reconfigure(errors="backslashreplace")  # the name of a file can be anything
    command = None
    try:
        every = parser()
        if "_ARGCOMPLETE" in os.environ:  # a shell asks what could come next
            import argcomplete

            argcomplete.autocomplete(every)
        args, unknown = every.parse_known_args(argv)
        if args.command is None:
            every.print_help(sys.stderr)
            return 2
        command, args.typed = args.parser, shlex.join(["ulmfit", *(sys.argv[1:] if argv is None else argv)])
        if unknown:
            raise command.misuse(f"unrecognized arguments: {' '.join(unknown)}")
        with warnings.catch_warnings(), hushed() if args.quiet else nullcontext():
            told = set[str]()  # Python forgets what it has shown whenever someone changes the filters

            def show(message: Warning | str, *_: object, **__: object) -> None:
                if not args.quiet and str(message) not in told:
                    told.add(str(message))
                    complain(message, command)

            warnings.showwarning = show
            if command.command.torch:
                _import_torch()
            if world() == 1 and getattr(args, "processes", 1) != 1:
                status = in_processes(args.processes, sys.argv[1:] if argv is None else argv)
            else:
                status = command.command.run(args)
            sys.stdout.flush()
    except BrokenPipeError:  # of `| head`, which has seen enough; the rest of the output must go nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (UlmfitError, OSError) as e:  # the second: a full disk, a forbidden folder
        if elsewhere := getattr(e, "told", False):
            return 2
        if elsewhere is None or not is_main():
            time.sleep(OWN)
        complain(e, command)
        return 2
    except KeyboardInterrupt:
        if world() > 1:
            ignore_interrupts()
        if is_main():
            complain("stopped")
        return 130
    return status or 0


def _import_torch() -> None:
    """Import torch, and let Ctrl-C wait so long: within that second torch would abort the whole process."""
    wait = getattr(signal, "pthread_sigmask", None)  # not on Windows
    before = wait(signal.SIG_BLOCK, {signal.SIGINT}) if wait else None
    try:
        import torch  # noqa: F401
    finally:
        if wait:
            wait(signal.SIG_SETMASK, before)


def complain(message: Exception | str, command: ArgumentParser | None = None) -> None:
    """One line on standard error, in the words of the command line."""
    text = str(message) if command is None else at_command_line(message, command)
    kind = ["warning:"] if isinstance(message, Warning) else []
    rows = ["(rows count from 0)"] if re.search(r"\brows? \d", text) else []
    say(" ".join(["ulmfit:", *kind, *text.split(), *rows]), sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
