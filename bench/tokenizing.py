"""Documents a second, in CPU time, from text to tokens and into a store: `python bench/tokenizing.py reviews.csv`.

Another tree of the library may be named to compare with: `--tree OLD`. Both then take turns, each in processes of
their own. CPU time tells more than the clock where others use the machine too.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

HERE = str(Path(__file__).parents[1])


def measure(what: str, texts: list[str]) -> float:
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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", help="a table with a column `text`")
    parser.add_argument("--docs", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tree", default=HERE, help="a folder with another `ulmfit_easy`")
    parser.add_argument("--only", choices=["pipe", "store"], help=argparse.SUPPRESS)  # in a process of its own
    args = parser.parse_args()
    if args.only:
        import pandas as pd

        texts = pd.read_csv(args.csv, keep_default_na=False, nrows=args.docs)["text"].tolist()
        print(measure(args.only, texts))
        return
    for what in ("pipe", "store"):
        rates = {tree: list[float]() for tree in (args.tree, HERE)}
        for _ in range(args.rounds):
            for tree, found in rates.items():
                run = subprocess.run([sys.executable, "-P", *sys.argv, "--only", what], text=True, check=True,
                                     capture_output=True, env=os.environ | {"PYTHONPATH": tree})
                found.append(float(run.stdout))
        for tree, found in rates.items():
            print(f"{what:6}{median(found):8,.0f} docs/s  {tree}")


if __name__ == "__main__":
    main()
