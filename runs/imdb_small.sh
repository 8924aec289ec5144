#!/usr/bin/env bash
# A small ULMFiT on IMDb from random weights: LM on 10,000 reviews, classifier on 2,000, within 25 minutes on two cores.
# Usage: runs/imdb_small.sh FOLDER   (with train.csv.gz and test_sample.csv.gz: columns text, label)
set -euo pipefail
cd "$(dirname "$0")/.."
make --quiet setup
exec .venv/bin/python runs/imdb_small.py "${1:?usage: runs/imdb_small.sh FOLDER with train.csv.gz and test_sample.csv.gz}"
