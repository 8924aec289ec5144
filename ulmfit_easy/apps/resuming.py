"""The state of a training until it is over: a folder next to the model's, from which the same command continues."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ulmfit_easy.apps.command import Options
from ulmfit_easy.errors import FileError, some
from ulmfit_easy.processes import is_main
from ulmfit_easy.terminal import say

RESUME: Options = {"--resume": {"action": "store_true", "help": "go on with a training that was interrupted, from its "
                                "state in the folder DIR.run; type the other arguments again"}}


@contextmanager
def run_folder(args: argparse.Namespace) -> Iterator[Path]:
    """Give the folder of a run, and delete it once the run is through. The namespace gets the seed of the run.

    Raises: FileError E404 if there is nothing to resume. E412 for an older run that nobody resumes or overwrites, or
        for a folder of something else. E408 for another seed than that of the run.
    """
    from ulmfit_easy.data import ranks
    from ulmfit_easy.recipes.training import SEED, seed_in

    run = Path(f"{args.out.absolute()}.run")
    ranks.from_main(lambda: _check(run, args, SEED))
    try:
        args.seed = seed_in(run, args.seed)
        yield run
    except BaseException as e:
        if not is_main():
            raise
        if not any(run.rglob("checkpoint-*")):  # a mistake in the arguments leaves nothing to go on with
            _clear(run, SEED)
        elif isinstance(e, KeyboardInterrupt):
            say(f"To go on: {args.typed}{'' if args.resume else ' --resume'}", sys.stderr)
        raise
    if is_main():
        _clear(run, SEED)


def _check(run: Path, args: argparse.Namespace, seed: str) -> None:
    """Raise what `run_folder` does. Delete an older run that is to be overwritten."""
    there = [part.name for part in run.iterdir()] if run.is_dir() else [run.name] if run.exists() else []
    if args.resume and seed not in there:
        raise FileError("E404", received=f"no interrupted training for {args.out}", expected=f"its state in {run}",
                        fix="leave out --resume")
    if there and not args.resume:
        if seed not in there or not args.overwrite:
            raise FileError("E412", received=f"{run} with {some(there)}, of a training that is not over",
                            expected="no such folder", fix="add --resume to go on, or --overwrite to begin anew; if it "
                            "is something else, choose another --out")
        _clear(run, seed)


def _clear(run: Path, seed: str) -> None:
    """Delete what this library writes into the folder of a run, and the folder if nothing is left in it."""
    for part in [run / seed, *run.rglob("checkpoint-*.safetensors")]:
        part.unlink(missing_ok=True)
    with suppress(OSError):
        for folder in [*(part for part in run.iterdir() if part.is_dir()), run]:
            folder.rmdir()
