"""Predictions beside fastai's: one text at a time, a list, and 16 threads. `make bench-peers` runs it.

    python bench/predict.py reviews.csv --fastai-python .venv-fastai/bin/python

Each contender answers in a process of its own, from text to labels, with an untrained classifier of one size: weights
make no difference to time. fastai's `learn.predict` and `get_preds` of a `test_dl` stand beside `learn.predict` here.
Rounds go through the list forwards, then backwards, and the tables have medians over rounds. Of one text they have
the time at which half (p50) and 99 % (p99) of the calls are done. With 16 threads each text is a call of its own, and
the answers are compared with those of one thread. `--cpu` measures CPU time, which other programs change little.

fastai lives in an environment of its own, named by --fastai-python; without one, only ours is measured.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from contenders import FASTAI, middle, rounds, run, table

SIZES = {"full": (400, 1152, 3), "small": (256, 640, 3), "tiny": (32, 48, 2)}  # E, H, L
OURS = ("fp32", "bf16", "int8", "ONNX", "ONNX, int8")
N_THREADS = 16
SENTENCE = "A film to see twice, if only for the last ten minutes and the music in them."


def train_table(texts: list[str]):
    import pandas as pd

    return pd.DataFrame({"text": texts, "label": [["neg", "pos"][i % 2] for i in range(len(texts))]})


def fastai_answers(args, texts: list[str]):
    """Return fastai's functions for one text, and for a list."""
    from fastai.text.all import AWD_LSTM, TextDataLoaders, awd_lstm_clas_config, text_classifier_learner

    dls = TextDataLoaders.from_df(train_table(texts), text_col="text", label_col="label", bs=args.bs, n_workers=0)
    learn = text_classifier_learner(dls, AWD_LSTM, config=awd_lstm_clas_config | config_of(args), pretrained=False)
    learn.model.eval()

    def one(text):
        with learn.no_bar(), learn.no_logging():
            return learn.predict(text)[0]

    def many(given):
        with learn.no_bar(), learn.no_logging():
            probs, _ = learn.get_preds(dl=learn.dls.test_dl(given))
        return [learn.dls.vocab[1][i] for i in probs.argmax(1)]

    return one, many


def our_answers(args, texts: list[str]):
    """Return our functions for one text, and for a list."""
    from dataclasses import replace

    from ulmfit_easy.all import AWD_LSTM, TextDataLoaders, text_classifier_learner

    dls = TextDataLoaders.from_df(train_table(texts), text_col="text", label_col="label", bs=args.bs, seed=0,
                                  cache_dir=False)
    learn = text_classifier_learner(dls, AWD_LSTM, config=config_of(args), pretrained=False, verbose=False)
    predictor = learn.predictor
    if args.worker.startswith("ONNX"):
        return onnx_answers(predictor, args)
    predictor = replace(predictor, precision=args.worker, bs=args.bs)
    return (lambda text: predictor.predict(text).label), (lambda given: [p.label for p in predictor.predict(given)])


def onnx_answers(predictor, args):
    import numpy as np
    import onnxruntime

    from ulmfit_easy.text.vocab import padded

    with TemporaryDirectory() as folder:
        path = predictor.to_onnx(Path(folder) / "onnx", quantize="int8" in args.worker)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = args.threads
        session = onnxruntime.InferenceSession(path / "model.onnx", options)
    tokenizer, vocab, classes = predictor.prepare.tokenizer, predictor.vocab, predictor.classes

    def many(given):
        docs = list(tokenizer.ids(given))
        order = sorted(range(len(docs)), key=lambda i: -len(docs[i]))
        found = np.empty(len(docs), int)
        for start in range(0, len(docs), args.bs):
            part = order[start:start + args.bs]
            ids, lengths = padded([docs[i] for i in part], vocab.pad_id)
            found[part] = session.run(None, {"ids": ids, "lengths": lengths})[1]
        return [classes[i] for i in found]

    return (lambda text: many([text])[0]), many


def config_of(args) -> dict:
    emb_sz, n_hid, n_layers = SIZES[args.size]
    return {"emb_sz": emb_sz, "n_hid": n_hid, "n_layers": n_layers}


def work(args):
    """Measure one contender in this process, and print its figures as one line of JSON."""
    import pandas as pd
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    texts = pd.read_csv(args.csv, keep_default_na=False, nrows=args.docs)["text"].tolist()
    clock = time.process_time if args.cpu else time.perf_counter
    one, many = (fastai_answers if args.worker == FASTAI else our_answers)(args, texts)

    def each(given):
        times = []
        for text in given:
            start = clock()
            one(text)
            times.append(1000 * (clock() - start))
        cuts = quantiles(times, n=100, method="inclusive")
        return [cuts[49], cuts[98]]

    def rate(answer):
        start = clock()
        found = answer(texts)
        return len(texts) / (clock() - start), found

    one(SENTENCE), one(texts[0])  # not counted
    result = {"sentence": each([SENTENCE] * args.calls), "review": each((texts * args.calls)[:args.calls])}
    result["list"], found = rate(many)
    if args.worker != FASTAI:
        result["1 thread"], alone = rate(lambda given: [one(text) for text in given])
        with ThreadPoolExecutor(N_THREADS) as pool:
            result["16 threads"], at_once = rate(lambda given: [*pool.map(one, given)])
        result["equal"] = alone == at_once
        result["list equal"] = sum(a == b for a, b in zip(alone, found, strict=True)) / len(texts)
    print(json.dumps(result))


def report(args, results):
    """Print the tables, with ratios to fastai if it ran."""
    emb_sz, n_hid, n_layers = SIZES[args.size]
    clock = "CPU " if args.cpu else ""

    def ratio(name, key, at=None):
        if FASTAI not in results:
            return ""
        ours, theirs = (middle(results, each, key, at) for each in (name, FASTAI))
        return f"{ours / theirs if at is None else theirs / ours:.2f}"

    for key, what in (("sentence", "a sentence of 17 words"), ("review", "one review at a time")):
        print(table([f"{what}, {emb_sz}/{n_hid}/{n_layers}", f"p50, {clock}ms", "p99", "x fastai"],
                    [[name, *(f"{middle(results, name, key, at):,.1f}" for at in (0, 1)), ratio(name, key, 0)]
                     for name in results]))
    rows = [[name, f"{middle(results, name, 'list'):,.1f}", ratio(name, "list"), *([""] * 3 if name == FASTAI else [
        *(f"{middle(results, name, key):,.1f}" for key in ("1 thread", "16 threads")),
        "yes" if all(got["equal"] for got in runs) else "NO"]), f"{middle(results, name, 'mb'):,.0f}"]
            for name, runs in results.items()]
    print(table([f"{args.docs:,} reviews, {emb_sz}/{n_hid}/{n_layers}", "docs/s, a list", "x fastai", "one by one",
                 "16 threads", "answers equal", "peak MB"], rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", help="a table with a column `text`")
    parser.add_argument("--fastai-python", help="the interpreter of an environment with fastai")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--docs", type=int, default=200)
    parser.add_argument("--calls", type=int, default=100, help="of one text, measured one by one")
    parser.add_argument("--bs", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch and onnxruntime")
    parser.add_argument("--only", default="", help="names or parts of names, separated by ;")
    parser.add_argument("--cpu", action="store_true", help="CPU time in place of the clock")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return work(args)
    names = [name for name in ([FASTAI] if args.fastai_python else []) + list(OURS)
             if name == FASTAI or any(part in name for part in args.only.split(";"))]
    options = [f"--{key}={getattr(args, key)}" for key in ("size", "docs", "calls", "bs", "threads")]

    def measure(name):
        python = args.fastai_python if name == FASTAI else sys.executable
        return run(python, [__file__, args.csv, "--worker", name, *options, *["--cpu"] * args.cpu], args.threads, name)

    results = rounds(names, args.rounds, measure)
    report(args, results)


if __name__ == "__main__":
    main()
