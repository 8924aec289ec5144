"""A learner on the Hugging Face hub."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ulmfit_easy.bundle.hub import Pulled, push_folder

if TYPE_CHECKING:
    from ulmfit_easy.learner.text_learner import TextLearner

L = TypeVar("L", bound="TextLearner")


def push_to_hub(learn: "TextLearner", repo: str, *, private: bool = True) -> str:
    """Upload the exported model to a repository of the Hugging Face hub. Return its commit.

    First run `pip install huggingface_hub` and `hf auth login`. `load_learner(repo, revision=commit)` downloads exactly
    this model.

    Args:
        repo: `owner/name`. If it does not exist, it is created. An older model in it is replaced.
        private: make a new repository private.

    Raises: E410 if the hub refuses, E507 without huggingface_hub, E602 for another form of name.
    """
    with tempfile.TemporaryDirectory() as tmp:
        return push_folder(learn.export(Path(tmp).absolute() / "model"), repo, private=private)


def of_hub(learn: L, found: Pulled) -> L:
    """Record where the learner is from, for its card. Return it."""
    learn.started_from, learn.n_matched = found.source, len(learn.dls.text_vocab)
    return learn
