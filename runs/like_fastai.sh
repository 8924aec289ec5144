#!/usr/bin/env bash
# Does the same code learn as much here as with fastai? A tiny language model, then a classifier over it, five seeds with each library.
# Usage: runs/like_fastai.sh FASTAI_PYTHON   (the interpreter of an environment with fastai 2.8.12, see tests/goldens/README.md; about six minutes)
set -euo pipefail
cd "$(dirname "$0")/.."
make --quiet setup
exec .venv/bin/python runs/like_fastai.py "${1:?usage: runs/like_fastai.sh FASTAI_PYTHON}" "${@:2}"
