"""The flags of a command: a table to declare them, and the names of Python's arguments in messages as flags."""

import argparse
import shlex

from ulmfit_easy.errors import ARGUMENT, UlmfitError, fix_for

SAME = {"text_col": "text", "texts": "text", "label_col": "label", "labels": "label", "y_block": "task",
        "X_val": "valid", "y_val": "label"}  # of functions, and of commands


def at_command_line(error: Exception | str, command: argparse.ArgumentParser) -> str:
    """Return the message of an error or a warning, with the flags of a command for the arguments that it names."""
    flags: dict[str, list[argparse.Action]] = {}
    for action in command._actions:
        if action.option_strings and action.dest != "help":
            flags.setdefault(action.dest, []).append(action)
    flags.update({name: flags[own] for name, own in SAME.items() if own in flags})

    def in_flags(text: str) -> str:
        return ARGUMENT.sub(lambda m: _flag(flags[m[1]], m[2]) if m[1] in flags else m[0], text)

    if not isinstance(error, UlmfitError):
        return in_flags(str(error))
    parts = {name: in_flags(getattr(error, name)) for name in ("received", "expected")}
    return str(UlmfitError(error.code, **parts, fix=in_flags(fix_for(error.fix, {*flags}))))


def _flag(actions: list[argparse.Action], value: str) -> str:
    """Return one of the flags that set an argument, with its value if it takes one."""
    of_value = {str(action.const): action.option_strings[0] for action in actions if action.nargs == 0}
    if value in of_value:
        return of_value[value]
    flag = actions[0].option_strings[0]
    if actions[0].nargs == 0:
        return f"no {flag}" if value == "False" else flag
    return f"{flag} {shlex.quote(value.strip(chr(34) + chr(39))) if value else actions[0].metavar or ''}".rstrip()


def same_flags(args: argparse.Namespace, *names: str) -> list[str]:
    """Return the flags that say how to read a command's file, unless they are the default, for the next command."""
    found = []
    for name in names:
        action = next(a for a in args.parser._actions if a.dest == name)
        if (value := getattr(args, name)) != action.default:
            for each in value if isinstance(value, list) else [value]:
                found += [action.option_strings[0], *([] if action.nargs == 0 else ["tab" if each == "\t" else each])]
    return found


def next_line(*words: object) -> str:
    """Return a command to type next, of words that a shell takes for one each."""
    return "ulmfit " + " ".join(word if word == "FILE" else shlex.quote(str(word)) for word in words)
