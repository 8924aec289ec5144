"""Read texts with the installed language model of a language, without training it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ulmfit_easy.bundle.artefact import FILES
from ulmfit_easy.bundle.shipped import shipped_folder
from ulmfit_easy.cleanup import surely
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.files import sha256_file
from ulmfit_easy.learner.features import states_of
from ulmfit_easy.learner.load import load_parts
from ulmfit_easy.learner.seeds import random_state, set_random_state
from ulmfit_easy.models.encoder import Headed

LONGEST = 72 * 20  # tokens of a text, from its end: what a classifier reads of it


class BundledLM(NamedTuple):
    """A language model, and what prepares texts for it."""

    prepare: Preparation
    model: Headed
    sha256: str  # of its file of weights

    def states(self, texts: Sequence[str]) -> np.ndarray:
        """Return the mean states of the first and the last layer above the embedding for N texts, (N, d) float32."""
        docs = [doc[-LONGEST:] for doc in self.prepare.ids_of(list(texts)).docs]
        return states_of(self.model, self.prepare, docs, [1, -1])


LOADED = dict[Path, BundledLM]()  # by folder


def loaded_lm(sha256: str | None) -> BundledLM | None:
    """Return the language model with this hash if it is in memory, without a look at the disk."""
    return next((lm for lm in LOADED.values() if lm.sha256 == sha256), None)


def bundled_lm(lang: str) -> BundledLM | None:
    """Return the language model that is installed for a language, or None. It stays in memory."""
    folder = shipped_folder(lang)
    if folder is None:
        return None
    if folder not in LOADED:
        before = random_state()  # a new model draws its weights
        _, prepare, model, *_ = surely(lambda: load_parts(folder), lambda: [(set_random_state, before)])
        LOADED[folder] = BundledLM(prepare, model, sha256_file(folder / FILES[0]))
    return LOADED[folder]
