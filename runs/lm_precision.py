"""Does bfloat16 with sampled softmax learn as well as float32 with full softmax? See lm_precision.sh.

One pass over 2 M tokens with 256/640/3 and 20,000 words, trained as `ulmfit pretrain` trains and validated exactly on
text that nothing learned from. Each run adds one line to the results; runs that are already there are not repeated.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
import torch

from ulmfit_easy.all import AWD_LSTM, Adam, GradientClip, Perplexity, TextDataLoaders, language_model_learner, set_seed
from ulmfit_easy.recipes.corpus.run import CLIP, EPS, WD
from ulmfit_easy.text.corpus import Corpus

SIZES = {"emb_sz": 256, "n_hid": 640, "n_layers": 3}
N_TOKENS, N_VALID, MAX_VOCAB, LR, DROP_MULT = 2_000_000, 100_000, 20_000, 5e-3, 0.1
WAYS = {"fp32 full": ("full", "fp32"), "bf16 sampled": ("sampled", "bf16"), "bf16 full": ("full", "bf16"),
        "fp32 sampled": ("sampled", "fp32")}


def take(files, n_tokens):
    """Documents from the start of some files, until they have about `n_tokens` words between blanks."""
    docs, seen = [], 0
    for doc in Corpus(files):
        docs.append(doc)
        seen += len(doc.split()) * 1.2  # a tokenizer splits off punctuation
        if seen > n_tokens:
            break
    return docs


def run(way, seed, args):
    softmax, precision = WAYS[way]
    torch.set_num_threads(args.threads)
    train, valid = take(args.train, N_TOKENS), take(args.valid, N_VALID)
    df = pd.DataFrame({"text": [*train, *valid], "valid": [False] * len(train) + [True] * len(valid)})
    set_seed(seed)
    dls = TextDataLoaders.from_df(df, path=args.out.parent, text_col="text", is_lm=True, valid_col="valid", seed=seed,
                                  max_vocab=MAX_VOCAB)
    learn = language_model_learner(dls, AWD_LSTM, config=SIZES, drop_mult=DROP_MULT, pretrained=False,
                                   softmax=softmax, precision=precision, opt_func=partial(Adam, eps=EPS), wd=WD,
                                   metrics=Perplexity(), cbs=GradientClip(CLIP))
    started = time.perf_counter()
    learn.fit_one_cycle(1, LR)
    result = {"way": way, "seed": seed, "nll": learn.recorder.valid_values[0], "vocab": len(dls.vocab),
              "tokens": len(dls.train) * dls.bs * dls.seq_len, "seconds": round(time.perf_counter() - started)}
    with args.out.open("a") as out:
        out.write(json.dumps(result) + "\n")


def report(results):
    """A table: mean, spread over seeds, and the difference to the first way."""
    base = None
    print("\n| way | validation NLL, nats a token: mean (seeds) | spread | difference | seconds |")
    print("| - | - | - | - | - |")
    for way in WAYS:
        runs = sorted((r for r in results if r["way"] == way), key=lambda r: r["seed"])
        if not runs:
            continue
        nll = [r["nll"] for r in runs]
        base = base or mean(nll)
        print(f"| {way} | {mean(nll):.4f} ({' '.join(f'{v:.4f}' for v in nll)}) | "
              f"{stdev(nll) if len(nll) > 1 else 0:.4f} | {mean(nll) / base - 1:+.2%} | "
              f"{mean(r['seconds'] for r in runs):.0f} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", type=Path, nargs="+", required=True)
    parser.add_argument("--valid", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/output/lm_precision.jsonl"))
    parser.add_argument("--ways", default="fp32 full;bf16 sampled")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for way in args.ways.split(";"):
        for seed in args.seeds:
            if not any(r["way"] == way and r["seed"] == seed for r in read(args.out)):
                run(way, seed, args)
    report(read(args.out))


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
