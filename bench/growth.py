"""How cost grows with the length of a text, the vocabulary, the corpus and the classes: `docs/results/growth.md`.

    OMP_NUM_THREADS=1 python bench/growth.py reviews.csv --page docs/results

Each point is the least of several repeats in CPU seconds, of a small model (128/320/2, 16 rows of 72 tokens) on one
thread. What counts is the shape of a curve. A minute or two of CPU time in all.
"""

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from speed import take, train_steps

from ulmfit_easy.all import (
    AWD_LSTM,
    SPECIAL_TOKENS,
    TextDataLoaders,
    language_model_learner,
    set_seed,
    text_classifier_learner,
)
from ulmfit_easy.recipes.experiments.cells import processor
from ulmfit_easy.text.store import TokenStore
from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer

CONFIG = {"emb_sz": 128, "n_hid": 320, "n_layers": 2}
BS, SEQ_LEN = 16, 72
LENGTHS = (8, 32, 128, 512, 2048)  # words
VOCABULARIES = (5_000, 10_000, 20_000, 40_000, 80_000)
CORPORA = (125, 250, 500, 1000, 2000)  # documents
CLASSES = (2, 10, 100, 1000)


def cpu(step: Callable[[], object], repeats: int) -> float:
    """Return the CPU seconds of a step: the least of several, after one that is not counted."""
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return min(times[1:])


def words(n: int) -> list[str]:
    return [f"w{i}" for i in range(n)]


def plain(n_rows: int, n_words: int) -> list[str]:
    """Return texts of words that a splitter at blanks finds again."""
    return [" ".join(words(4000)[(i * 37) % 1900:][:n_words]) for i in range(n_rows)]


def loaders(df: pd.DataFrame, **options) -> TextDataLoaders:
    return TextDataLoaders.from_df(df, text_col="text", seed=0, bs=BS, cache_dir=False,
                                   tok_tfm=Tokenizer(BaseTokenizer(), rules=[], post_rules=[]), **options)


def lengths(repeats: int) -> Iterator[tuple[str, int, float]]:
    """Yield milliseconds of a prediction by the words of its text."""
    df = pd.DataFrame({"text": plain(64, 100), "label": ["a", "b"] * 32})
    predictor = text_classifier_learner(loaders(df, label_col="label", text_vocab=[*SPECIAL_TOKENS, *words(4000)]),
                                        AWD_LSTM, config=CONFIG, pretrained=False, verbose=False).predictor
    for n in LENGTHS:
        [text] = plain(1, n)
        yield "predict one text", n, 1000 * cpu(lambda text=text: predictor.predict(text), repeats)


def vocabularies(repeats: int) -> Iterator[tuple[str, int, float]]:
    """Yield milliseconds of a step of a language model by the words it knows."""
    df = pd.DataFrame({"text": plain(100, 200)})
    for n in VOCABULARIES:
        dls = loaders(df, is_lm=True, seq_len=SEQ_LEN, text_vocab=[*SPECIAL_TOKENS, *words(n - len(SPECIAL_TOKENS))])
        for softmax in ("full", "sampled"):
            learn = language_model_learner(dls, AWD_LSTM, config=CONFIG, pretrained=False, softmax=softmax,
                                           precision="fp32", verbose=False)
            yield f"{softmax} softmax", n, 1000 * cpu(train_steps(learn, take(dls.train, 1)), repeats)


def corpora(texts: list[str], repeats: int) -> Iterator[tuple[str, int, float]]:
    """Yield milliseconds of a document into the store, and of a batch from it, by the size of the corpus."""
    tokenizer = Tokenizer()
    tokenizer("loads spaCy")
    for n in CORPORA:
        docs = (texts * (n // len(texts) + 1))[:n]

        def build(docs=docs):
            return TokenStore.build(docs, tokenizer, cache_dir=False, n_workers=0)

        yield "tokenize a document", n, 1000 * cpu(build, 1) / n
        dls = TextDataLoaders.from_df(pd.DataFrame({"text": docs}), text_col="text", is_lm=True, seed=0, bs=BS,
                                      seq_len=SEQ_LEN, cache_dir=False)
        yield "read a batch", n, 1000 * cpu(lambda dls=dls: take(dls.train, 5), repeats) / 5


def classes(repeats: int) -> Iterator[tuple[str, int, float]]:
    """Yield milliseconds of a step of a classifier by its classes."""
    for n in CLASSES:
        df = pd.DataFrame({"text": plain(2 * n + 60, 70), "label": [f"c{i % n}" for i in range(2 * n + 60)],
                           "held": [i < 32 for i in range(2 * n + 60)]})
        dls = loaders(df, label_col="label", valid_col="held", text_vocab=[*SPECIAL_TOKENS, *words(4000)])
        learn = text_classifier_learner(dls, AWD_LSTM, config=CONFIG, pretrained=False, precision="fp32", verbose=False)
        yield "train a batch, all layers", n, 1000 * cpu(train_steps(learn.unfreeze(), take(dls.train, 1)), repeats)


X = {"lengths": "words of the text", "vocabularies": "words of the vocabulary", "corpora": "documents of the corpus",
     "classes": "classes"}


def page(found: list[dict], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "growth.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, found[0])
        writer.writeheader()
        writer.writerows(found)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(9, 6.5), layout="constrained")
    for ax, (part, label) in zip(axes.flat, X.items(), strict=True):
        for what in dict.fromkeys(each["what"] for each in found if each["part"] == part):
            points = [each for each in found if each["what"] == what]
            ax.plot([each["n"] for each in points], [each["ms"] for each in points], "o-", label=what)
        ax.set(xscale="log", yscale="log", xlabel=label, ylabel="ms of CPU time")
        low, high = ax.get_ylim()
        ax.set_ylim(min(low, high / 30), high * 1.5)
        at = sorted({each["n"] for each in found if each["part"] == part})
        ax.set_xticks(at, [f"{n:,}" for n in at])
        ax.minorticks_off()
        ax.yaxis.set_major_formatter("{x:g}")
        ax.grid(alpha=0.3)
        ax.legend(frameon=False)
    figure.savefig(folder / "growth.png", dpi=110)
    plt.close(figure)
    rows = "\n".join(f"| {each['what']} | {each['n']:,} {X[each['part']]} | {each['ms']:.2f} |" for each in found)
    (folder / "growth.md").write_text(f"""# How cost grows

```
OMP_NUM_THREADS=1 python bench/growth.py reviews.csv --page docs/results
```

Milliseconds of CPU time on one thread of a small model (128/320/2, 16 rows of 72 tokens), the least of several repeats.
The shape of a curve counts: both axes are logarithmic. Machine: {processor()}.

![Cost by length, vocabulary, corpus and classes](growth.png)

| what | for | ms |
| - | - | - |
{rows}
""", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", help="a table with a column `text`")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--page", type=Path, default=Path("docs/results"), help="where growth.* go")
    args = parser.parse_args()
    set_seed(0)
    texts = pd.read_csv(args.csv, keep_default_na=False, nrows=max(CORPORA))["text"].tolist()
    found = []
    for part, points in (("lengths", lengths(args.repeats)), ("vocabularies", vocabularies(args.repeats)),
                         ("corpora", corpora(texts, args.repeats)), ("classes", classes(args.repeats))):
        for what, n, ms in points:
            found.append({"part": part, "what": what, "n": n, "ms": round(ms, 3)})
            print(found[-1], flush=True)
    page(found, args.page)


if __name__ == "__main__":
    main()
