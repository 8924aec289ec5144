"""Do two processes end where one ends? The three stages on TREC, with one process and with two, several seeds each.

    python runs/ranks.py /path/to/trec            # train.csv.gz and test.csv.gz, with the columns text and label

One process has twice the rows of each of two, so that both take the same steps. Texts to validate with are the test
set, and no epoch is chosen by it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev

ROWS = 32  # of a batch


def train(data, seed, rows, n_texts, out):
    """Train in this process, or as one of several, and write the accuracy on the test set."""
    import pandas as pd

    from ulmfit_easy.all import ULMFiT
    from ulmfit_easy.processes import is_main

    train, test = (pd.read_csv(data / f"{part}.csv.gz", keep_default_na=False) for part in ("train", "test"))
    train = train[:n_texts]
    model = ULMFiT(seed=seed, bs=rows, blend=None, verbose=False)
    model.fit(train["text"], train["label"], X_val=test["text"], y_val=test["label"])
    if is_main():
        accuracy = float((model.predict(test["text"].tolist()) == test["label"].to_numpy()).mean())
        Path(out).write_text(json.dumps({"accuracy": accuracy}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--texts", type=int, help="training texts, for a quick try (default: all)")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)  # seed, rows, file
    args = parser.parse_args()
    if args.worker:
        seed, rows, out = args.worker
        return train(args.data, int(seed), int(rows), args.texts, out)
    found = {1: [], 2: []}
    for seed in args.seeds:
        for n in found:
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "found.json"
                launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n)] if n > 1 else []
                texts = ["--texts", str(args.texts)] if args.texts else []
                subprocess.run([sys.executable, *launcher, __file__, args.data, *texts, "--worker", str(seed),
                                str(ROWS // n), out], check=True, env={**os.environ, "OMP_NUM_THREADS": str(2 // n)})
                found[n].append(json.loads(out.read_text())["accuracy"])
            print(f"seed {seed}, {n} process{'es' * (n > 1)}: accuracy {found[n][-1]:.4f}", flush=True)
    for n, values in found.items():
        spread = f" +- {stdev(values):.4f}" if len(values) > 1 else ""
        print(f"{n} process{'es' * (n > 1)}: {mean(values):.4f}{spread} over {len(values)} seeds")


if __name__ == "__main__":
    main()
