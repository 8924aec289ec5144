#!/usr/bin/env bash
# What a pretrained language model is worth with few labels: five tasks, five ways, three seeds, beside TF-IDF.
# Usage: runs/shipped.sh FOLDER [--forwards DIR --backwards DIR]   (absolute paths)
# FOLDER has trec/train.csv.gz, trec/test.csv.gz, mr/all.csv.gz and imdb/train.csv.gz, imdb/unsup.csv.gz,
# imdb/test_sample.csv.gz, with columns text, label. Runs that are in runs/output/shipped.jsonl are not repeated.
set -euo pipefail
cd "$(dirname "$0")/.."
make --quiet setup
exec .venv/bin/python runs/shipped.py "$@"
