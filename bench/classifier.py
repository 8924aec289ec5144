"""Training of a classifier beside fastai's: docs a second and peak memory. `make bench-peers` runs it.

    python bench/classifier.py reviews.csv --fastai-python .venv-fastai/bin/python

The ways are "frozen" (the head alone), "cached" (the same with `cache_features=True`, its first epoch and later ones),
"-2" (`freeze_to(-2)`) and "all". Each contender trains in a process of its own, through its library's own loop, on the
same texts, sizes and batches, with Adam and all dropouts at half strength. Validation is not counted. Rounds go
through the list forwards, then backwards, and the tables have medians over rounds. `--cpu` measures CPU time, which
other programs change little.

fastai lives in an environment of its own, named by --fastai-python; without one, only ours is measured.
"""

import argparse
import json
import os
import sys
import time
from statistics import median

from contenders import FASTAI, middle, rounds, run, table
from predict import SIZES, config_of, train_table

WAYS = {"frozen": -1, "cached": -1, "-2": -2, "all": 0}  # the first layer group that trains
OURS = ("fp32", "bf16")  # the precisions


def fastai_learner(args, table_of_texts):
    from fastai.text.all import AWD_LSTM, Callback, TextDataLoaders, awd_lstm_clas_config, text_classifier_learner

    dls = TextDataLoaders.from_df(table_of_texts, text_col="text", label_col="label", bs=args.bs, n_workers=0,
                                  valid_pct=0.1, seed=0)
    learn = text_classifier_learner(dls, AWD_LSTM, config=awd_lstm_clas_config | config_of(args), pretrained=False)
    return learn, Callback, len(dls.train_ds)


def our_learner(args, table_of_texts):
    from ulmfit_easy.all import AWD_LSTM, Callback, TextDataLoaders, text_classifier_learner

    dls = TextDataLoaders.from_df(table_of_texts, text_col="text", label_col="label", bs=args.bs, valid_pct=0.1,
                                  seed=0, cache_dir=False)
    learn = text_classifier_learner(dls, AWD_LSTM, config=config_of(args), pretrained=False, verbose=False,
                                    precision=args.worker, cache_features=args.way == "cached")
    return learn, Callback, len(dls.train_ds)


def work(args):
    """Measure one contender in this process, and print its figures as one line of JSON."""
    import pandas as pd
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    texts = train_table(pd.read_csv(args.csv, keep_default_na=False, nrows=args.docs)["text"].tolist())
    learn, callback, n = (fastai_learner if args.worker == FASTAI else our_learner)(args, texts)
    clock, times = time.process_time if args.cpu else time.perf_counter, []

    class Clock(callback):
        def before_train(self):
            self.start = clock()

        def after_train(self):
            times.append(clock() - self.start)

    learn.freeze_to(WAYS[args.way])
    with learn.no_bar(), learn.no_logging():
        learn.fit(args.epochs if args.way == "cached" else 1, 1e-3, cbs=Clock())
    print(json.dumps({"first": round(n / times[0], 2), "later": round(n / median(times[1:] or times), 2)}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", help="a table with a column `text`")
    parser.add_argument("--fastai-python", help="the interpreter of an environment with fastai")
    parser.add_argument("--size", action="append", choices=SIZES, help="by default full and small")
    parser.add_argument("--ways", default=";".join(WAYS), help="names, separated by ;")
    parser.add_argument("--docs", type=int, default=640, help="nine in ten are trained on")
    parser.add_argument("--bs", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=4, help="of `cached`; the other ways train for one")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="", help="names or parts of names of contenders, separated by ;")
    parser.add_argument("--cpu", action="store_true", help="CPU time in place of the clock")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        args.size = args.size[0]
        return work(args)
    ours = [name for name in OURS if any(part in name for part in args.only.split(";"))]
    for size in args.size or ("full", "small"):
        for way in args.ways.split(";"):
            compare(args, size, way, ours)


def compare(args, size: str, way: str, ours: list[str]):
    """Measure one way of training at one size, and print the table. fastai has no cache: it trains frozen."""
    def measure(name):
        python = args.fastai_python if name == FASTAI else sys.executable
        options = [f"--{key}={getattr(args, key)}" for key in ("docs", "bs", "epochs", "threads")]
        options += [f"--size={size}", f"--way={'frozen' if name == FASTAI and way == 'cached' else way}"]
        return run(python, [__file__, args.csv, "--worker", name, *options, *["--cpu"] * args.cpu], args.threads, name)

    names = [*([FASTAI] if args.fastai_python else []), *ours]
    results, rows = rounds(names, args.rounds, measure), []
    for name in names:
        figures = [middle(results, name, key) for key in ("first", "later", "mb")]
        theirs = [middle(results, FASTAI, key) if FASTAI in results else 0 for key in ("first", "later", "mb")]
        ratios = ["" if not other else f"{own / other:.2f}" for own, other in zip(figures, theirs, strict=True)]
        first, later, mb = (f"{figure:,.1f}" for figure in figures)
        rows.append([name, first, ratios[0], later, ratios[1], mb, ratios[2]])
    emb_sz, n_hid, n_layers = SIZES[size]
    print(table([f"{way}, {emb_sz}/{n_hid}/{n_layers}, {'CPU time' if args.cpu else 'wall time'}", "docs/s, epoch 1",
                 "x fastai", "later", "x fastai", "peak MB", "of fastai's"], rows), flush=True)


if __name__ == "__main__":
    main()
