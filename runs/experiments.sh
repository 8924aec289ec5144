#!/usr/bin/env bash
# The paper's experiments, one after another, on small draws of real data; see `ulmfit experiment --help`.
# Usage: runs/experiments.sh FOLDER [SEEDS]   (an absolute path; the folders trec, mr and sms_spam lie in it)
# Cells in runs/output/experiments are not repeated. To write a page that stays:
#   .venv/bin/ulmfit experiment table7 --out runs/output/experiments --page docs/results/table7.md
set -euo pipefail
cd "$(dirname "$0")/.."
make --quiet setup
run() { .venv/bin/ulmfit experiment "$@" --folder "$folder" --seeds "$seeds" --out runs/output/experiments; }
folder=$1 seeds=${2:-3}
run table7 --data trec
run table4 --data trec mr sms
run table6 --data trec mr
run lowshot --data trec
run behaviour --data trec
run table5 --data trec
run bidirectional --data trec mr
