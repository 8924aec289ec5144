#!/usr/bin/env bash
# What ELMo's features add to a tagger of parts of speech: the same tagger with and without, three seeds.
# Usage: runs/elmo_tags.sh FOLDER [SENTENCES] [EPOCHS]   (with train.jsonl.gz, dev.jsonl.gz, test.jsonl.gz: tokens, upos)
set -euo pipefail
cd "$(dirname "$0")/.."
make --quiet setup
exec .venv/bin/python runs/elmo_tags.py "$@"
