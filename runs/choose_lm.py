"""Which language model learns most in a quarter of an hour? See choose_lm.sh.

Each is trained by `ulmfit pretrain`'s own function for the same time, then compared by bits per character, which do not
depend on the vocabulary, and by a short TREC-6 classifier on 600 of its training questions, tested on 1,000 others.
"""

import argparse
import json
import re
from pathlib import Path

import pandas as pd

from ulmfit_easy.all import ULMFiT, baseline, load_learner
from ulmfit_easy.recipes.corpus.data import corpus_data
from ulmfit_easy.recipes.corpus.plan import Plan
from ulmfit_easy.recipes.corpus.run import pretrain_corpus
from ulmfit_easy.recipes.evaluate import evaluate_lm
from ulmfit_easy.text.corpus import Corpus

SEEDS, N_TRAIN, N_TEST = (0, 1, 2), 600, 1000
MODELS = {  # 12 million parameters at most, so that two of them in 16 bits have less than 48 MB
    "AWD_LSTM 256/640/3, 20k words": {"emb": 256, "hid": 640, "layers": 3, "max_vocab": 20000},
    "AWD_LSTM 256/1024/2, 20k words": {"emb": 256, "hid": 1024, "layers": 2, "max_vocab": 20000},
    "AWD_QRNN 256/880/4, 20k words": {"arch": "awd_qrnn", "emb": 256, "hid": 880, "layers": 4, "max_vocab": 20000},
    "AWD_LSTM 256/640/3, 16k pieces": {"emb": 256, "hid": 640, "layers": 3, "subword": 16000},
}


def run(key, settings, args):
    folder = args.out.parent / "-".join(re.findall(r"[\w.]+", f"{key['name']} {key['lr']:g} {key['hours']:g}"))
    plan = {"valid": args.valid, "lr": args.lr, "hours": args.hours, **settings}
    if not folder.exists():
        data = corpus_data(Plan(corpus=args.corpus, **plan))  # tokenized once, into the cache
        pretrain_corpus(args.corpus, folder, tokenizer=data.dls.tokenizer.config(), resume=True, **plan)
    learn = load_learner(folder)
    score = evaluate_lm(learn, Corpus(args.valid))
    steps = int(pd.read_csv(folder / "history.csv")["step"].iloc[-1])
    accuracy = [trec(folder, args.trec, seed) for seed in SEEDS]
    result = {**key, **score._asdict(), "tokens": steps * learn.dls.bs * learn.dls.seq_len, "trec": accuracy}
    with args.out.open("a") as out:
        out.write(json.dumps(result) + "\n")


def trec(folder, file, seed):
    train, test = questions(file, seed)
    model = ULMFiT(pretrained=folder, seed=seed, verbose=False, blend=None).fit(train["text"], train["label"])
    return model.score(test["text"], test["label"])


def questions(file, seed):
    df = pd.read_csv(file, keep_default_na=False).sample(frac=1, random_state=seed)
    return df[:N_TRAIN], df[N_TRAIN : N_TRAIN + N_TEST]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("trec", type=Path)
    parser.add_argument("valid", type=Path)
    parser.add_argument("corpus", type=Path, nargs="+")
    parser.add_argument("--hours", type=float, default=0.25)
    parser.add_argument("--lr", type=float, default=Plan.lr)
    parser.add_argument("--only", help="part of the names of the models to train")
    parser.add_argument("--out", type=Path, default=Path("runs/output/choose_lm.jsonl"))
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for name, settings in MODELS.items():
        key = {"name": name, "lr": args.lr, "hours": args.hours}
        known = any({k: r[k] for k in key} == key for r in read(args.out))
        if not known and (args.only or "") in name:
            run(key, settings, args)
    print("\n| model | highest rate | hours | tokens | perplexity | bits a character | unknown | TREC-6, three seeds |")
    print("| - | - | - | - | - | - | - | - |")
    for r in sorted(read(args.out), key=lambda r: r["bits_per_char"]):
        print(f"| {r['name']} | {r['lr']:g} | {r['hours']:g} | {r['tokens']:,} | {r['perplexity']:.1f} | "
              f"{r['bits_per_char']:.4f} | {r['unknown']:.2%} | "
              + " ".join(f"{a:.3f}" for a in r["trec"]) + " |")
    bars = []
    for seed in SEEDS:
        train, test = questions(args.trec, seed)
        bars.append((baseline(train["text"], train["label"]).predict(test["text"]) == test["label"]).mean())
    print("| TF-IDF + logistic regression | | | | | | | " + " ".join(f"{a:.3f}" for a in bars) + " |")


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
