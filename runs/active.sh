#!/usr/bin/env bash
# Labels that query() chooses against random ones, on TREC-6 and SMS spam, each by public names alone; see active.py.
# Usage: runs/active.sh FOLDER [--ways features tfidf ulmfit] [--seeds 0 1 2]   (absolute paths)
# FOLDER has the folders trec and sms_spam (CSV). Cells in runs/output/active.jsonl are not repeated.
set -euo pipefail
cd "$(dirname "$0")/.."
make --quiet setup
exec .venv/bin/python runs/active.py "$@"
