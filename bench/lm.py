"""Language-model training beside fastai's: tokens a second and peak memory. `make bench-lm` runs it.

Each contender trains in a process of its own, on the same words, sizes and batches (64 rows of 72 tokens, Adam, all
dropouts at half strength), through its library's own loop. Rounds go through the list forwards, then backwards;
what counts is the ratio of medians within one run, to be read as +-15 %. Ours have tied embeddings and the precision
that `precision="auto"` takes on this processor, unless the name says another.

fastai lives in an environment of its own, named by --fastai-python; without one, only ours is measured.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median

SIZES = {"60k": (60_000, 400, 1152, 3), "15k": (15_000, 400, 1152, 3), "small": (20_000, 256, 640, 3)}  # V, E, H, L
BS, SEQ_LEN, DROP_MULT, LR = 64, 72, 0.5, 1e-3
OURS = {  # name: architecture, softmax, precision
    "full softmax, fp32": ("AWD_LSTM", "full", "fp32"),
    "full softmax": ("AWD_LSTM", "full", "auto"),
    "sampled softmax": ("AWD_LSTM", "sampled", "auto"),
    "sampled softmax, bf16": ("AWD_LSTM", "sampled", "bf16"),
    "AWD_QRNN, sampled softmax": ("AWD_QRNN", "sampled", "auto"),
}
FASTAI = "fastai 2.8.12"


def read_words(path: Path, n_vocab: int) -> tuple[list[list[str]], list[str]]:
    """Documents as words, one a line in the file, and a vocabulary of exactly `n_vocab`."""
    docs = [re.findall(r"\w+|[^\w\s]", line.lower()) for line in path.read_text(encoding="utf-8").splitlines()]
    special = "xxunk xxpad xxbos xxeos xxfld xxrep xxwrep xxup xxmaj".split()
    words = [w for w, _ in Counter(w for doc in docs for w in doc).most_common() if w not in special]
    vocab = (special + words)[:n_vocab]
    return docs, vocab + [f"never{i}" for i in range(n_vocab - len(vocab))]


class Timer:
    """Collects the seconds of each batch until enough are measured."""

    def __init__(self, warmup: int, seconds: float, min_steps: int):
        self.warmup, self.seconds, self.min_steps, self.times = warmup, seconds, min_steps, []
        self.last = time.perf_counter()

    def enough(self) -> bool:
        now = time.perf_counter()
        self.times.append(now - self.last)
        self.last = now
        kept = self.times[self.warmup :]
        return len(kept) >= self.min_steps and sum(kept) > self.seconds

    def result(self) -> dict:
        rates = [BS * SEQ_LEN / t for t in self.times[self.warmup :]]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"rate": median(rates), "low": min(rates), "high": max(rates), "steps": len(rates), "mb": round(peak)}


def run_ours(docs, vocab, sizes, name, timer):
    """Train with this library until the timer has enough."""
    import pandas as pd

    from ulmfit_easy.learner.events import Callback, CancelFitException
    from ulmfit_easy.learner.text import language_model_learner
    from ulmfit_easy.learner.text_data import TextDataLoaders
    from ulmfit_easy.text.tokenizers import BaseTokenizer, Tokenizer

    class Clock(Callback):
        order, run_valid = 1000, False

        def before_train(self):  # validation is no step
            timer.last = time.perf_counter()

        def after_batch(self):
            if timer.enough():
                raise CancelFitException

    arch, softmax, precision = OURS[name]
    df = pd.DataFrame({"text": [" ".join(doc) for doc in docs]})
    dls = TextDataLoaders.from_df(df, text_col="text", is_lm=True, valid_pct=0.02, text_vocab=vocab, bs=BS, seed=0,
                                  seq_len=SEQ_LEN, tok_tfm=Tokenizer(BaseTokenizer(), rules=[], post_rules=[]),
                                  cache_dir=False)
    learn = language_model_learner(dls, arch, config=config_of(sizes), drop_mult=DROP_MULT, pretrained=False,
                                   softmax=softmax, precision=precision, verbose=False)
    learn.fit(100, LR, cbs=Clock())


def run_fastai(docs, vocab, sizes, name, timer):
    """Train with fastai until the timer has enough."""
    import torch
    from fastai.text.all import (
        AWD_LSTM,
        Callback,
        CancelFitException,
        DataLoaders,
        LMDataLoader,
        LMTensorText,
        awd_lstm_lm_config,
        language_model_learner,
    )

    class Clock(Callback):
        order = 1000

        def before_train(self):
            timer.last = time.perf_counter()

        def after_batch(self):
            if self.training and timer.enough():
                raise CancelFitException

    stoi = {word: i for i, word in enumerate(vocab)}
    ids = [LMTensorText(torch.tensor([stoi.get(word, 0) for word in doc])) for doc in docs if doc]
    n_valid = max(BS * 2, len(ids) // 50)

    def loader(part, shuffle):
        return LMDataLoader([(x,) for x in part], lens=[len(x) for x in part], bs=BS, seq_len=SEQ_LEN,
                            shuffle=shuffle, num_workers=0)

    dls = DataLoaders(loader(ids[n_valid:], True), loader(ids[:n_valid], False))
    dls.vocab = vocab
    learn = language_model_learner(dls, AWD_LSTM, config={**awd_lstm_lm_config, **config_of(sizes)},
                                   drop_mult=DROP_MULT, pretrained=False)
    with learn.no_bar(), learn.no_logging():
        learn.fit(100, LR, cbs=Clock())


def config_of(sizes) -> dict:
    _, emb_sz, n_hid, n_layers = sizes
    return {"emb_sz": emb_sz, "n_hid": n_hid, "n_layers": n_layers}


def work(args):
    """One contender, in this process; its figures as one line of JSON."""
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    sizes = SIZES[args.size]
    docs, vocab = read_words(args.words, sizes[0])
    timer = Timer(args.warmup, args.seconds, args.min_steps)
    (run_fastai if args.worker == FASTAI else run_ours)(docs, vocab, sizes, args.worker, timer)
    print(json.dumps(timer.result()))


def measure(args, size, name, words) -> dict:
    """The figures of one contender, from a process of its own."""
    python = args.fastai_python if name == FASTAI else sys.executable
    options = ["--worker", name, "--size", size, "--words", str(words), "--seconds", str(args.seconds),
               "--warmup", str(args.warmup), "--min-steps", str(args.min_steps), "--threads", str(args.threads)]
    env = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "MKL_NUM_THREADS": str(args.threads)}
    done = subprocess.run([python, __file__, *options], capture_output=True, text=True, env=env)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the demo's archive, whose texts are used")
    parser.add_argument("--words", type=Path, help="instead of --data: a text file, one document a line")
    parser.add_argument("--fastai-python", help="the interpreter of an environment with fastai")
    parser.add_argument("--size", action="append", choices=SIZES, help="by default all, one after the other")
    parser.add_argument("--only", default="", help="names or parts of names, separated by ;")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=15, help="measured per contender and round")
    parser.add_argument("--warmup", type=int, default=2, help="batches that are not counted")
    parser.add_argument("--min-steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        args.size = args.size[0]
        return work(args)
    from ulmfit_easy.models.precision import cpu_has_fast_bf16

    print(f"precision auto is {'bf16' if cpu_has_fast_bf16() else 'fp32'} here; {args.threads} threads", flush=True)
    names = [n for n in ([FASTAI] if args.fastai_python else []) + list(OURS)
             if n == FASTAI or any(part in n for part in args.only.split(";"))]
    with tempfile.TemporaryDirectory() as folder:
        words = args.words or write_words(args.data, Path(folder) / "words.txt")
        for size in args.size or SIZES:
            results = {name: [] for name in names}
            for number in range(args.rounds):
                for name in names if number % 2 == 0 else reversed(names):
                    results[name].append(got := measure(args, size, name, words))
                    print(f"  {size} round {number + 1}  {name:26} {got['rate']:8,.0f} tokens/s "
                          f"[{got['low']:,.0f}-{got['high']:,.0f}]  {got['mb']:,} MB", flush=True)
            report(size, results)


def report(size, results):
    """A table of medians over rounds, with ratios to fastai where it ran."""
    n_vocab, emb_sz, n_hid, n_layers = SIZES[size]
    print(f"\n| {emb_sz}/{n_hid}/{n_layers}, {n_vocab:,} words | tokens/s | x fastai | peak MB | of fastai's |")
    print("| --- | --- | --- | --- | --- |")
    base = results.get(FASTAI)
    for name, got in results.items():
        rate, mb = median(r["rate"] for r in got), max(r["mb"] for r in got)
        ratio = f"{rate / median(r['rate'] for r in base):.2f}" if base else ""
        share = f"{mb / max(r['mb'] for r in base):.0%}" if base else ""
        print(f"| {name} | {rate:,.0f} | {ratio} | {mb:,} | {share} |")
    print(flush=True)


def write_words(archive, path) -> Path:
    """All texts of the demo's archive, one a line."""
    from ulmfit_easy.data.datasets import read_vader_reviews

    texts = [text for table in read_vader_reviews(archive).values() for text in table["text"]]
    path.write_text("\n".join(" ".join(text.split()) for text in texts), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
