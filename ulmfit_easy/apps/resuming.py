"""The state of a training until it is over: a folder beside the model's, from which the same command goes on."""

import argparse
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ulmfit_easy.apps.command import Options
from ulmfit_easy.errors import FileError, some
from ulmfit_easy.terminal import say

RESUME: Options = {"--resume": {"action": "store_true", "help": "go on with a training that was interrupted, from its "
                                "state in the folder DIR.run; type the other arguments again"}}
SEED = "seed.json"  # of the run: with another one the rows would be split in another way


@contextmanager
def run_folder(args: argparse.Namespace) -> Iterator[Path]:
    """Give the folder of a run, and delete it once the run is through. The namespace gets the seed of the run.

    Raises: FileError E404 if there is nothing to resume. E412 for an older run that nobody resumes or overwrites, or
        for a folder of something else.
    """
    from ulmfit_easy.files import read_json, write_json

    run = Path(f"{args.out.absolute()}.run")
    if args.resume:
        if not (run / SEED).is_file():
            raise FileError("E404", received=f"no interrupted training for {args.out}", expected=f"its state in {run}",
                            fix="leave out --resume")
        args.seed = read_json(run / SEED)["seed"] if args.seed is None else args.seed
    else:
        there = [part.name for part in run.iterdir()] if run.is_dir() else [run.name] if run.exists() else []
        if there and not (SEED in there and args.overwrite):
            raise FileError("E412", received=f"{run} with {some(there)}, of a training that is not over",
                            expected="no such folder", fix="add --resume to go on, or --overwrite to begin anew; if it "
                            "is something else, choose another --out")
        _clear(run)
        args.seed = secrets.randbelow(1 << 31) if args.seed is None else args.seed
        write_json(run / SEED, {"seed": args.seed})
    try:
        yield run
    except KeyboardInterrupt:
        if any(run.rglob("checkpoint-*")):
            say(f"To go on: {args.typed}{'' if args.resume else ' --resume'}", sys.stderr)
        else:
            _clear(run)
        raise
    except Exception:
        if not any(run.rglob("checkpoint-*")):  # a mistake in the arguments leaves nothing to go on with
            _clear(run)
        raise
    _clear(run)


def _clear(run: Path) -> None:
    """Delete what this library writes into the folder of a run, and the folder if nothing is left in it."""
    for part in [run / SEED, *run.rglob("checkpoint-*.safetensors")]:
        part.unlink(missing_ok=True)
    with suppress(OSError):
        for folder in [*(part for part in run.iterdir() if part.is_dir()), run]:
            folder.rmdir()

