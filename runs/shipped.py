"""What a pretrained language model is worth with few labels; see shipped.sh.

Four ways to train and one to combine, each judged on the same test texts:

    scratch      a classifier from random weights
    pretrained   over the encoder of the language model as it is
    tuned        over the encoder after stage 2 on the task's own texts
    backwards    the same, for the model that reads from the end
    both         the mean of the probabilities of the last two

With --dev the test texts are never read: as many training rows that nothing learns from take their place. That is how
a preset is chosen (docs/LOG.md).
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

import pandas as pd
import torch

from ulmfit_easy.all import baseline, read_lm, set_seed, shipped_lm
from ulmfit_easy.files import sha256_bytes
from ulmfit_easy.recipes.presets import Preset, get_preset
from ulmfit_easy.recipes.stages import (
    classifier_data,
    finetune_classifier,
    finetune_lm,
    lm_data,
    new_classifier,
    new_lm,
)

WAYS = ("scratch", "pretrained", "tuned", "backwards", "both")
STAGE2 = ("max_vocab", "min_freq", "seq_len", "mom", "moms")  # of a preset, beside what begins with "lm"
VALID = 0.1  # of the labelled rows, to watch the training


class Task(NamedTuple):
    """What there is to learn from: labelled rows, texts for stage 2, rows to test with."""

    train: pd.DataFrame
    unlabelled: list[str]
    test: pd.DataFrame
    seed: int  # of stage 2
    one_epoch: bool = False  # of each phase, not as many as the preset says


def read(file, columns=("text", "label")):
    return pd.read_csv(file, keep_default_na=False)[list(columns)]


def trec(args, n_each, seed):
    df, test = parted(read(args.folder / "trec/train.csv.gz"), args, 1000, "trec/test.csv.gz")
    texts, df = list(df["text"]), df.sample(frac=1, random_state=seed)
    return Task(df if n_each is None else df.groupby("label").head(n_each), texts, test, seed)


def mr(args, n, seed):
    df = read(args.folder / "mr/all.csv.gz")  # in random order
    rest, test = parted(df[2000:], args, 2000) if args.dev else (df[2000:], df[:2000])
    return Task(rest.sample(n, random_state=seed), list(rest["text"]), test, seed)


def imdb(args, n, seed):
    df, test = parted(read(args.folder / "imdb/train.csv.gz"), args, 2000, "imdb/test_sample.csv.gz")
    more = read(args.folder / "imdb/unsup.csv.gz", ["text"])["text"].sample(10_000, random_state=0)
    # Stage 2 once, for it takes long; with 5,000 texts one epoch has the steps that four have with 1,000.
    return Task(df.sample(n, random_state=seed), list(more), test, seed=0, one_epoch=n >= 5000)


def parted(df, args, n, file=None):
    """Rows to learn from, and those to test with: of a file, or `n` training rows that no seed changes."""
    if not args.dev:
        return df, read(args.folder / file)
    dev = df.sample(n, random_state=12345)
    return df.drop(dev.index), dev


TASKS = {
    "TREC-6, 100 labels a class": lambda args, seed: trec(args, 100, seed),
    "TREC-6, all labels": lambda args, seed: trec(args, None, seed),
    "MR, 500 labels": lambda args, seed: mr(args, 500, seed),
    "IMDb, 1,000 labels": lambda args, seed: imdb(args, 1000, seed),
    "IMDb, 5,000 labels": lambda args, seed: imdb(args, 5000, seed),
}


def trained(way, task, seed, args) -> dict:
    """The probabilities of the test texts, (N, C), the names of the classes, and the seconds that it took."""
    started, p, backwards = time.perf_counter(), args.preset, way == "backwards"
    options, lm, before = {"backwards": backwards, "path": args.out.parent}, None, 0
    if way != "scratch":
        given = args.backwards if backwards else args.forwards
        source = read_lm(given) if given else shipped_lm(backwards=backwards)
        place = stage2_folder(task, source, p, args)
        done = way != "pretrained" and place.exists()
        source = read_lm(place) if done else source
        set_seed(task.seed)
        lm = new_lm(lm_data(task.unlabelled, p, source, seed=task.seed, **options), p, source, verbose=False)
        clock = place.with_suffix(".seconds")
        if done:
            before = float(clock.read_text())
        elif way != "pretrained":
            finetune_lm(lm, p).export(place)
            clock.write_text(str(time.perf_counter() - started))
    set_seed(seed)  # whether stage 2 was kept or not
    dls = classifier_data(task.train, p, lm, valid_pct=VALID, seed=seed, **options)
    learn = new_classifier(dls, p, lm, verbose=False)
    if task.one_epoch:
        p = replace(p, clas=tuple(replace(phase, epochs=1) for phase in p.clas))
    learn = finetune_classifier(learn, p, gradual=lm is not None)
    probs = torch.stack([found.probs for found in learn.predict(list(task.test["text"]))])
    return {"probs": probs, "classes": list(dls.classes), "seconds": before + time.perf_counter() - started}


def stage2_folder(task, source, p, args) -> Path:
    """Where the language model of stage 2 is kept, for other classifiers over it."""
    of_stage2 = {k: v for k, v in p.to_json().items() if k.startswith("lm") or k in STAGE2}
    key = sha256_bytes(json.dumps([task.unlabelled, task.seed, source.sha256, of_stage2], default=str).encode())
    return args.out.parent / "stage2" / key[:16]


def run(name, seed, args, done):
    task = TASKS[name](args, seed)
    truth = task.test["label"].to_numpy()

    def tell(way, right, seconds):
        line = {"task": name, "way": way, "seed": seed, "accuracy": float(right.mean()), "seconds": round(seconds),
                "n_test": len(task.test)}
        with args.out.open("a") as out:
            out.write(json.dumps(line) + "\n")

    def tell_probs(way, found):
        predicted = pd.Index(found["classes"])[found["probs"].argmax(1).numpy()]
        tell(way, predicted == truth, found["seconds"])

    if "tf-idf" not in done:
        started = time.perf_counter()
        right = baseline(task.train["text"], task.train["label"]).predict(task.test["text"]) == truth
        tell("tf-idf", right, time.perf_counter() - started)
    for way in args.ways:
        if way not in done:
            found = trained(way, task, seed, args)
            torch.save(found, kept(name, way, seed, args))
            tell_probs(way, found)
    pair = [kept(name, way, seed, args) for way in ("tuned", "backwards")]
    if "both" not in done and all(file.exists() for file in pair):
        one, other = (torch.load(file) for file in pair)
        assert one["classes"] == other["classes"]
        tell_probs("both", {"classes": one["classes"], "probs": (one["probs"] + other["probs"]) / 2,
                            "seconds": one["seconds"] + other["seconds"]})


def kept(name, way, seed, args) -> Path:
    """Where the probabilities of a classifier are kept, to be averaged with another's."""
    return args.out.with_name(f"{args.out.stem}-{name.replace(', ', '-').replace(' ', '-')}-{way}-{seed}.pt")


def report(lines):
    """A table: mean accuracy over the seeds, their spread, seconds of one; below, the mean over the tasks."""
    ways = ("tf-idf", *WAYS)
    print("| task | " + " | ".join(ways) + " |\n|" + " - |" * (len(ways) + 1))
    means = {way: [] for way in ways}
    for task in TASKS:
        cells = []
        for way in ways:
            found = [r for r in lines if (r["task"], r["way"]) == (task, way)]
            accuracy = [100 * r["accuracy"] for r in found]
            spread = f" ± {stdev(accuracy):.1f}" if len(accuracy) > 1 else ""
            cells.append(f"{mean(accuracy):.1f}{spread} ({mean(r['seconds'] for r in found):.0f} s)" if found else "")
            means[way] += [mean(accuracy)] if found else []
        print(f"| {task} | " + " | ".join(cells) + " |")
    cells = [f"{mean(means[way]):.1f}" if len(means[way]) == len(TASKS) else "" for way in ways]
    print("| mean of the tasks | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--forwards", type=Path, help="a language model (default: the library's)")
    parser.add_argument("--backwards", type=Path)
    parser.add_argument("--preset", type=get_preset, default="laptop")
    parser.add_argument("--change", type=json.loads, default={}, help="of the preset, as JSON")
    parser.add_argument("--dev", action="store_true", help="test on training rows that are kept aside")
    parser.add_argument("--ways", nargs="+", default=WAYS[:-1], choices=WAYS[:-1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", default="", help="part of the names of the tasks to run")
    parser.add_argument("--out", type=Path, default=Path("runs/output/shipped.jsonl").absolute())
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.preset = Preset.from_json({**args.preset.to_json(), **args.change})
    for name in TASKS:
        for seed in args.seeds:
            if args.only in name:
                run(name, seed, args, {r["way"] for r in known(args.out) if (r["task"], r["seed"]) == (name, seed)})
    report(known(args.out))


def known(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
