"""An estimator on the Hugging Face hub."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ulmfit_easy.bundle.hub import pull_folder, push_folder

if TYPE_CHECKING:
    from ulmfit_easy.learner.text_learner import TextLearner


class OnHub:
    """The base of an estimator that can be sent to the hub, and fetched."""

    learners_: "list[TextLearner]"

    def save(self, path: str | Path) -> Path:
        raise NotImplementedError

    @classmethod
    def load(cls, path: str | Path) -> Self:
        raise NotImplementedError

    def push_to_hub(self, repo: str, *, private: bool = True) -> str:
        """Send the fitted estimator to a repository of the Hugging Face hub. Return the commit, to pin it with.

        It needs `pip install huggingface_hub`, and `hf auth login`. The card has the measured scores.

        Args:
            repo: `owner/name`. It is made if it is missing, and its older model is replaced.
            private: of a new repository.

        Raises: E410 if the hub refuses, E507 without huggingface_hub, E602 for another form of name.
        """
        with tempfile.TemporaryDirectory() as tmp:
            return push_folder(self.save(Path(tmp) / "model"), repo, private=private)

    @classmethod
    def from_hub(cls, repo: str, *, revision: str | None = None) -> Self:
        """Fetch what `push_to_hub` sent, and return the estimator. No code in it is ever run.

        It is kept in the cache of `huggingface_hub`, and fetched once. `learners_[0].started_from` has the commit, and
        so has the card if the estimator is saved again.

        Args:
            repo: `owner/name`.
            revision: a commit, which stays what it is, or a branch or tag. None for the newest.

        Raises: E404 for a repository without a model, E410 if the hub does not give it, and what `load` raises.
        """
        found = pull_folder(repo, revision)
        model = cls.load(found.folder)
        for learn in model.learners_:
            learn.of_hub(found)
        return model
