"""`ulmfit push`: send a model to the Hugging Face hub."""

import argparse
from pathlib import Path

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.flags import next_line
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.bundle.hub import push_folder

    commit = push_folder(args.model, args.repo, private=not args.public)
    say(f"Sent {args.model} to {args.repo}. Next: {next_line('pull', args.repo, '--revision', commit)}")


COMMAND = Command(
    "push", "send a model to the Hugging Face hub", run,
    ("push my-model me/my-model", "push my-model me/my-model --public"),
    {"model": {"type": Path, "metavar": "DIR", "help": "what `ulmfit train` or `ulmfit lm` wrote, or `learn.export` in "
               "Python"},
     "repo": {"metavar": "OWNER/NAME", "help": "a repository, which is made if it is missing"},
     "--public": {"action": "store_true", "help": "let everybody read a new repository (default: only you)"}},
    more="The card has the measured scores. Log in first with `hf auth login`.", also=("upload", "publish"), order=60)
