#!/usr/bin/env bash
# Does bfloat16 with sampled softmax learn as well as float32 with full softmax? Six runs of ten to thirty minutes on two cores.
# Usage: runs/lm_precision.sh TRAIN VALID   (text files, plain, .gz or .zst, documents separated by blank lines;
# 2 M and 0.1 M tokens from their starts are used). Runs that are in runs/output/lm_precision.jsonl are not repeated.
set -euo pipefail
cd "$(dirname "$0")/.."
make --quiet setup
exec .venv/bin/python runs/lm_precision.py --train "${1:?usage: runs/lm_precision.sh TRAIN VALID}" --valid "${2:?usage: runs/lm_precision.sh TRAIN VALID}" "${@:3}"
