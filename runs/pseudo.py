"""Pseudo-labels on TREC-6, SMS spam and MR: 100 labels and 2,000 texts without; see `pseudo_label`.

Usage: python runs/pseudo.py FOLDER [--thresholds 0.8 0.95] [--seeds 0 1 2]
FOLDER has the folders trec, sms_spam and mr (CSV). Each line of JSON in --out has the test accuracy of a fit with the
labels alone (threshold 1.01 is written for it) or with pseudo-labels. A cell that is there is not done again.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

from ulmfit_easy.all import ULMFiT, pseudo_label

ALONE, N_LABELLED, N_UNLABELLED, N_TEST = 1.01, 100, 2000, 1000
FILES = {"trec": "trec/train.csv.gz", "sms": "sms_spam/all.csv.gz", "mr": "mr/all.csv.gz"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.8, 0.95])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/output/pseudo.jsonl"))
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for name in FILES:
            for threshold in [ALONE, *args.thresholds]:
                lines = args.out.read_text().splitlines() if args.out.exists() else []
                done = {(line["data"], line["threshold"], line["seed"]) for line in map(json.loads, lines)}
                if (name, threshold, seed) not in done:
                    line = json.dumps(cell(args.folder / FILES[name], name, threshold, seed))
                    with open(args.out, "a") as file:
                        file.write(line + "\n")
                    print(line, flush=True)


def cell(file, name, threshold, seed):
    df = pd.read_csv(file, keep_default_na=False).drop_duplicates("text").sample(frac=1, random_state=seed)
    test, df = df[:N_TEST], df[N_TEST:]
    known, new = df[:N_LABELLED], df["text"][N_LABELLED:N_LABELLED + N_UNLABELLED]
    began, model = time.process_time(), ULMFiT(seed=seed, verbose=False)
    if threshold == ALONE:
        model.fit(known["text"], known["label"], new)
    else:
        model = pseudo_label(model, known["text"], known["label"], new, threshold=threshold)
    return {"data": name, "threshold": threshold, "seed": seed, "n_pseudo": getattr(model, "n_pseudo_", 0),
            "accuracy": round(float(np.mean(model.predict(test["text"]) == test["label"])), 4),
            "cpu_seconds": round(time.process_time() - began)}


if __name__ == "__main__":
    main()
