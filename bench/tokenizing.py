"""From text to the store of ids, beside fastai's `tokenize_df`. `make bench-peers` runs it.

    python bench/tokenizing.py reviews.csv --docs 8000 --fastai-python .venv-fastai/bin/python

Each contender works in processes of its own, from texts in memory to ids with a vocabulary; loading spaCy is in its
time. fastai runs `tokenize_df` and then numbers the tokens, with several numbers of workers. Peak memory is that of
all its processes. Rounds go through the list forwards, then backwards; compare figures of one run only.

    python bench/tokenizing.py reviews.csv --crossover

measures from how much text on worker processes pay: `SERIAL` in `ulmfit_easy/text/workers.py` is that amount.

    python bench/tokenizing.py reviews.csv --tree OLD

compares with another tree of the library in CPU time, which other programs on the machine change little.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from statistics import median

from contenders import FASTAI, middle, rounds, run, table

HERE = str(Path(__file__).parents[1])
MILLIONS = (1, 2, 4, 8, 16, 32)  # of characters


def read(args) -> list[str]:
    """Return the texts, the whole table again and again until there are enough of them."""
    import pandas as pd

    texts = pd.read_csv(args.csv, keep_default_na=False, nrows=args.docs)["text"].tolist()
    if not args.characters:
        return (texts * (args.docs // len(texts) + 1))[:args.docs]
    found, n = [], 0
    while n < args.characters:
        found.append(texts[len(found) % len(texts)] + f" {len(found)}")
        n += len(found[-1])
    return found


def build(texts: list[str], n_workers: int | None) -> None:
    from ulmfit_easy.text.store import TokenStore
    from ulmfit_easy.text.tokenizers import Tokenizer
    from ulmfit_easy.text.vocab import Vocab, make_vocab

    store = TokenStore.build(texts, Tokenizer(), cache_dir=False, n_workers=n_workers)
    numbered = store.numericalize(Vocab(make_vocab(store.count(range(len(texts))))))
    for i in range(len(texts)):
        numbered[i]


def fastai_build(texts: list[str], n_workers: int) -> None:
    import pandas as pd
    from fastai.text.all import Numericalize, make_vocab, tokenize_df

    df, counted = tokenize_df(pd.DataFrame({"text": texts}), "text", n_workers=n_workers)
    numbered = Numericalize(vocab=make_vocab(counted))
    for tokens in df["text"]:
        numbered(tokens)


def work(args):
    """Measure one contender in this process, and print its figures as one line of JSON."""
    texts = read(args)
    name, _, workers = args.worker.partition(", workers ")
    import_module("fastai.text.all" if name == FASTAI else "ulmfit_easy.text.store")  # not counted
    start, cpu = time.perf_counter(), time.process_time()
    if name == FASTAI:
        fastai_build(texts, int(workers))
    else:
        build(texts, None if workers == "auto" else int(workers))
    print(json.dumps({"s": time.perf_counter() - start, "cpu": time.process_time() - cpu, "docs": len(texts)}))


def in_cpu_time(what: str, texts: list[str]) -> float:
    """Return the documents a second of a tokenizer that is loaded, but has seen no word."""
    from ulmfit_easy.text.store import TokenStore
    from ulmfit_easy.text.tokenizers import Tokenizer

    tokenizer = Tokenizer()
    tokenizer("loads spaCy")
    start = time.process_time()
    if what == "store":
        TokenStore.build(texts, tokenizer, cache_dir=False, n_workers=0)
    else:
        for _ in tokenizer.pipe(texts):
            pass
    return len(texts) / (time.process_time() - start)


def trees(args):
    """Print the documents a second of this tree and of another one."""
    for what in ("pipe", "store"):
        rates = {tree: list[float]() for tree in (args.tree, HERE)}
        for _ in range(args.rounds):
            for tree, found in rates.items():
                done = subprocess.run([sys.executable, "-P", *sys.argv, "--only", what], text=True, check=True,
                                      capture_output=True, env=os.environ | {"PYTHONPATH": f"{tree}:{HERE}/bench"})
                found.append(float(done.stdout))
        for tree, found in rates.items():
            print(f"{what:6}{median(found):8,.0f} docs/s  {tree}")


def crossover(args, measure):
    """Print seconds with and without workers for more and more text."""
    n, rows = os.cpu_count(), []
    for millions in MILLIONS:
        args.characters = millions * 10**6
        results = rounds(["ours, workers 0", f"ours, workers {n}"], args.rounds, measure)
        alone, others = (middle(results, name, "s") for name in results)
        rows.append([millions, f"{alone:.1f}", f"{others:.1f}", f"{alone / others:.2f}"])
    print(table(["million characters", "s, this process", f"s, {n} workers", "gain"], rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", help="a table with a column `text`")
    parser.add_argument("--fastai-python", help="the interpreter of an environment with fastai")
    parser.add_argument("--docs", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", default=f"0,{os.cpu_count()}", help="numbers of workers, with commas between")
    parser.add_argument("--crossover", action="store_true", help="measure from how much text on workers pay")
    parser.add_argument("--tree", help="a folder with another `ulmfit_easy`, to compare in CPU time")
    parser.add_argument("--characters", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=["pipe", "store"], help=argparse.SUPPRESS)  # in a process of its own
    args = parser.parse_args()
    if args.only:
        return print(in_cpu_time(args.only, read(args)))
    if args.worker:
        return work(args)
    if args.tree:
        return trees(args)

    def measure(name):
        python = args.fastai_python if name.startswith(FASTAI) else sys.executable
        return run(python, [__file__, args.csv, "--worker", name, "--docs", str(args.docs),
                            "--characters", str(args.characters)], 1, name)

    if args.crossover:
        return crossover(args, measure)
    workers = args.workers.split(",")
    theirs = [f"{FASTAI}, workers {n}" for n in workers] if args.fastai_python else []
    results = rounds([*theirs, *(f"ours, workers {n}" for n in ("auto", *workers))], args.rounds, measure)
    best = min(theirs, key=lambda name: middle(results, name, "s"), default=None)

    def of_best(name, key, turn=False):
        if best is None:
            return ""
        ratio = middle(results, name, key) / middle(results, best, key)
        return f"{1 / ratio:.2f}" if turn else f"{ratio:.0%}"

    print(table([f"{args.docs:,} reviews", "docs/s", "x fastai's best", "peak MB", "of fastai's best"],
                [[name, f"{args.docs / middle(results, name, 's'):,.0f}", of_best(name, "s", turn=True),
                  f"{middle(results, name, 'mb'):,.0f}", of_best(name, "mb")] for name in results]))


if __name__ == "__main__":
    main()
