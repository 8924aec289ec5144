"""Read texts with the installed language model of a language, as it is: nothing here trains."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ulmfit_easy.bundle.artefact import FILES
from ulmfit_easy.bundle.shipped import shipped_folder
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.files import sha256_file
from ulmfit_easy.learner.features import features
from ulmfit_easy.learner.load import load_parts
from ulmfit_easy.models.encoder import Headed


class Reader(NamedTuple):
    """A language model, and what prepares texts for it."""

    prepare: Preparation
    model: Headed
    sha256: str  # of its file of weights

    def states(self, texts: Sequence[str]) -> np.ndarray:
        """Return the mean states of the first and the last layer above the embedding for N texts, (N, d) float32."""
        return features(self, texts, [1, -1])


READERS = dict[str, Reader]()  # of languages, made before


def reader_of(lang: str) -> Reader | None:
    """Return the reader of a language, or None if no language model is installed for it. It stays in memory."""
    if lang not in READERS and (folder := shipped_folder(lang)) is not None:  # a wheel may come later
        _, prepare, model, *_ = load_parts(folder)
        READERS[lang] = Reader(prepare, model, sha256_file(folder / FILES[0]))
    return READERS.get(lang)
