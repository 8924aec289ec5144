"""Print the accuracy of `ULMFiT()` with a few hundred labels: its model alone, each linear member, and the mixture.

    .venv/bin/python runs/few_labels.py FOLDER [--only mr cr trec] [--seeds 0 1 2]

FOLDER has mr, cr and trec (CSV). The seed decides which rows are labelled, and all else that is random. The test rows
are the same for each seed: 1,000 of MR, 1,000 of CR, 500 of TREC. Each printed line is JSON.
"""

import argparse
import json
from pathlib import Path

import pandas as pd
from cells import table
from sklearn.metrics import accuracy_score

from ulmfit_easy.all import ULMFiT

TASKS, N_TEST = ("mr", "cr", "trec"), 1000


def drawn(folder: Path, task: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the labelled rows of a seed, and the test rows of the task."""
    if task == "trec":
        df, test = table(folder, "trec/train").drop_duplicates("text"), table(folder, "trec/test")
        df = df[~df["text"].isin(set(test["text"]))].sample(frac=1, random_state=seed)
        return df.groupby("label").head(100), test  # ABBR has fewer
    df = table(folder, f"{task}/all").drop_duplicates("text")
    test = df.sample(N_TEST, random_state=0)
    return df.drop(test.index).sample({"mr": 500, "cr": 300}[task], random_state=seed), test


def scores(train: pd.DataFrame, test: pd.DataFrame, seed: int, resume: Path | None = None, **params: object) -> dict:
    """Return the accuracy of the mixture, of its model alone and of each linear member, and the weights.

    `params` go to `ULMFiT`, and `resume` to its `fit`.
    """
    model = ULMFiT(seed=seed, verbose=False, **params).fit(train["text"], train["label"], resume=resume)
    blend, texts = model.blend_, list(test["text"])

    def score(labels):
        return round(float(accuracy_score(test["label"], labels)), 3)
    found = {"mixed": score(model.predict(texts))}
    for member in blend.members:
        classes = member.probs(member.read(texts), blend.n_classes).argmax(1)
        found[member.kind] = score(model.classes_[classes])
    model.blend_ = None
    return {"model": score(model.predict(texts)), **found,
            "weights": {name: round(part, 2) for name, part in blend.shares.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    for seed in args.seeds:
        for task in args.only:
            print(json.dumps({"task": task, "seed": seed, **scores(*drawn(args.folder, task, seed), seed)}), flush=True)


if __name__ == "__main__":
    main()
