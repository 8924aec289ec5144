#!/usr/bin/env bash
# Which language model learns most in 15 minutes? Four of at most 12 million parameters, each from nothing, on the same corpus.
# Usage: runs/choose_lm.sh TREC VALID CORPUS...   (TREC: train.csv.gz with columns text, label; the others: text files; absolute paths)
# Runs that are in runs/output/choose_lm.jsonl are not repeated. Tokenizing is not part of the 15 minutes.
# In docs/LOG.md each ran with OMP_NUM_THREADS=1 and `--only NAME`, two side by side.
set -euo pipefail
cd "$(dirname "$0")/.."
make --quiet setup
exec .venv/bin/python runs/choose_lm.py "$@"
