"""Two processes with a thread each beside one process with two threads: tokens a second of a language model.

    python bench/ranks.py                 # the size of the models that ship
    python bench/ranks.py --size toy --seconds 2 --rounds 1

Both train on the same batches of 64 rows of 72 tokens, drawn by Zipf's law, and share the processors of this machine.
Rounds alternate. What counts is the ratio of the medians of one run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

SIZES = {"shipped": (20_000, 256, 640, 3), "toy": (500, 16, 24, 2)}  # V, E, H, L
ROWS, SEQ_LEN, WARMUP = 64, 72, 3


def work(size, seconds, rows, out):
    """Train as the only process or as one of several, and write tokens a second of all of them."""
    import numpy as np
    import pandas as pd

    from ulmfit_easy.all import AWD_LSTM, Callback, CancelFitException, TextDataLoaders, language_model_learner
    from ulmfit_easy.data import ranks
    from ulmfit_easy.processes import is_main, world

    n_words, emb_sz, n_hid, n_layers = SIZES[size]
    words = [f"w{i}" for i in range(n_words - 9)]
    chances = 1 / np.arange(1, len(words) + 1)
    drawn = np.random.default_rng(0).choice(len(words), (1000, 400), p=chances / chances.sum())
    df = pd.DataFrame({"text": [" ".join(words[i] for i in row) for row in drawn]})
    vocab = ["xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj", *words]
    dls = TextDataLoaders.from_df(df, text_col="text", is_lm=True, valid_pct=0.01, text_vocab=vocab, bs=rows, seed=0,
                                  seq_len=SEQ_LEN)
    learn = language_model_learner(dls, AWD_LSTM, config={"emb_sz": emb_sz, "n_hid": n_hid, "n_layers": n_layers},
                                   pretrained=False, softmax="sampled", verbose=False)
    times = []

    class Clock(Callback):
        order, run_valid = 1000, False

        def after_batch(self):
            times.append(time.perf_counter())
            if max(ranks.largest(len(times) > WARMUP + 3 and times[-1] - times[WARMUP] > seconds)):
                raise CancelFitException

        def before_validate(self):
            raise CancelFitException

    learn.fit(100, 1e-3, cbs=Clock())
    steps = [b - a for a, b in zip(times[WARMUP:], times[WARMUP + 1:], strict=False)]
    if is_main():
        Path(out).write_text(json.dumps({"rate": rows * world() * SEQ_LEN / median(steps), "steps": len(steps)}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="shipped")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)  # rows, file
    args = parser.parse_args()
    if args.worker:
        return work(args.size, args.seconds, int(args.worker[0]), args.worker[1])
    found = {1: [], 2: []}
    for i in range(args.rounds):
        for n in (1, 2) if i % 2 == 0 else (2, 1):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "found.json"
                launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n)] if n > 1 else []
                subprocess.run([sys.executable, *launcher, __file__, "--size", args.size, "--seconds",
                                str(args.seconds), "--worker", str(ROWS // n), out], check=True,
                               env={**os.environ, "OMP_NUM_THREADS": str(2 // n)})
                found[n].append(json.loads(out.read_text())["rate"])
            print(f"{n} process{'es' * (n > 1)}, {2 // n} thread{'s' * (n == 1)} each: {found[n][-1]:,.0f} tokens/s",
                  flush=True)
    print(f"two processes / one process with two threads: {median(found[2]) / median(found[1]):.2f}")


if __name__ == "__main__":
    main()
