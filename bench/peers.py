"""All benchmarks beside fastai: tokenizing, language model, classifier, prediction. `make bench-peers` runs it.

    python bench/peers.py reviews.csv --fastai-python .venv-fastai/bin/python --size small

`--size` is "full", for the figures of docs/PERFORMANCE.md on a machine with nothing else to do, or "small", which shows
in some minutes that everything runs. Without --fastai-python only ours is measured.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
STEPS = {  # script: what it is given, by size
    "tokenizing": {"full": "{csv} --docs 8000 --rounds 3", "small": "{csv} --docs 200 --rounds 1"},
    "lm": {"full": "--words {words} --seconds 20",
           "small": "--words {words} --size small --only sampled --rounds 1 --seconds 1 --min-steps 1 --warmup 1"},
    "classifier": {"full": "{csv}", "small": "{csv} --size tiny --docs 64 --epochs 2 --rounds 1"},
    "predict": {"full": "{csv}", "small": "{csv} --size tiny --docs 32 --calls 10 --rounds 1"},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", type=Path, help="a table with columns text and label, such as 8,000 reviews of IMDb")
    parser.add_argument("--fastai-python", type=Path, help="the interpreter of an environment with fastai")
    parser.add_argument("--size", choices=["full", "small"], default="full")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS))
    args = parser.parse_args()
    failed = []
    with TemporaryDirectory() as folder:
        words = Path(folder) / "words.txt"
        write_words(args.csv, words)
        for name in args.only:
            given = [part.format(csv=args.csv.absolute(), words=words) for part in STEPS[name][args.size].split()]
            fastai = ["--fastai-python", str(args.fastai_python.absolute())] if args.fastai_python else []
            print(f"\n## {name}: bench/{name}.py {STEPS[name][args.size].format(csv=args.csv, words='words.txt')}\n",
                  flush=True)
            start = time.perf_counter()
            if subprocess.run([sys.executable, HERE / f"{name}.py", *given, *fastai]).returncode:
                failed.append(name)
            print(f"\n{name}: {time.perf_counter() - start:,.0f} s", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def write_words(csv: Path, path: Path) -> None:
    """Write the texts of a table, one a line."""
    import pandas as pd

    texts = pd.read_csv(csv, keep_default_na=False)["text"]
    path.write_text("\n".join(" ".join(text.split()) for text in texts), encoding="utf-8")


if __name__ == "__main__":
    main()
