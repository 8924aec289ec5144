#!/usr/bin/env bash
# Accuracy on long reviews with 1,000, 5,000 and 25,000 labels, after stage 2 on reviews without labels; see imdb.py.
# Usage: runs/imdb.sh FOLDER [--only forward/1000 forward/5000] [--seeds 0]   (an absolute path)
# FOLDER has imdb (CSV: train, unsup, test_sample). It takes hours; cells in runs/output/imdb.jsonl are not repeated.
set -euo pipefail
cd "$(dirname "$0")/.."
make --quiet setup
exec .venv/bin/python runs/imdb.py "$@"
