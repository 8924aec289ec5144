"""`ulmfit pull`: fetch a model from the Hugging Face hub."""

import argparse
from pathlib import Path

from ulmfit_easy.apps.command import Command
from ulmfit_easy.apps.flags import next_line
from ulmfit_easy.apps.saving import OVERWRITE, model_place
from ulmfit_easy.terminal import say


def run(args: argparse.Namespace) -> None:
    from ulmfit_easy.bundle.artefact import foreign_to_bundle
    from ulmfit_easy.bundle.hub import ESTIMATOR, copy_pulled, pull_folder
    from ulmfit_easy.files import atomic_folder, free_place
    from ulmfit_easy.recipes.saved import foreign_to_estimator

    def foreign(path: Path) -> list[str]:
        return foreign_to_estimator(path) and foreign_to_bundle(path)

    out = args.out or Path(args.repo.split("/")[-1])
    free_place(out, foreign)  # before anything is fetched
    found = pull_folder(args.repo, args.revision)
    with atomic_folder(model_place(out, args.overwrite, foreign), foreign) as new:
        copy_pulled(found, new)
    use = next_line("predict", out, "FILE") if (out / ESTIMATOR[0]).exists() else f"load_learner({str(out)!r})"
    say(f"Saved {found.source} to {out}. Next: {use}")


COMMAND = Command(
    "pull", "fetch a model from the Hugging Face hub", run,
    ("pull me/my-model", "pull me/my-model --revision 1.0 --out my-model"),
    {"repo": {"metavar": "OWNER/NAME", "help": "a repository that `ulmfit push` or push_to_hub filled"},
     "--revision": {"metavar": "ID", "help": "a commit, which stays what it is, or a branch or tag (default: the "
                    "newest)"},
     "--out": {"type": Path, "metavar": "DIR", "help": "a folder for the model (default: the repository's name)"},
     **OVERWRITE},
    more="Only safetensors and JSON are fetched. The commit is written into training.json.",
    also=("download", "fetch"), order=61)
