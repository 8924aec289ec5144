"""A cost model of large corpora from measured pieces: hours and bottlenecks for so many gigabytes and workers.

`python bench/scale.py MODEL --data /path/of/imdb` measures the pieces in CPU seconds of one thread, on a few hundred
reviews, and prints them with the table. `--page docs/SCALE.md` writes both into the page, between its two marks.
"""

import argparse
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

PARSER = argparse.ArgumentParser(description=__doc__)
PARSER.add_argument("model", help="what `ulmfit train` wrote")
PARSER.add_argument("--data", type=Path, required=True, help="folder of IMDb, with train.csv.gz")
PARSER.add_argument("--rows", type=int, default=2000, help="reviews that are tokenized")
PARSER.add_argument("--predicted", type=int, default=100, help="reviews that are predicted")
PARSER.add_argument("--disk", type=float, default=500, help="MB/s of the disk that all machines share: assumed")
PARSER.add_argument("--page", type=Path)
GB = 1e9
JOINED = 20  # stores of files that are joined
SIZES, WORKERS = {"1 GB": GB, "100 GB": 100 * GB, "10 TB": 10_000 * GB}, (1, 8, 64)
MARKS = re.compile(r"(?<=<!-- measured -->\n).*(?=<!-- end -->)", re.DOTALL)


def cpu(function) -> tuple[float, object]:
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def peak_of(code: str) -> float:
    """Megabytes that a process of its own takes at most. `ru_maxrss` would begin with those of this process."""
    code += "; print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True,
                                timeout=600).stdout.split()[-1]) / 1024


def measure(args) -> dict:
    import torch

    from ulmfit_easy.apps.saved_model import SavedModel
    from ulmfit_easy.recipes.corpus.parts import _pieces, look_at
    from ulmfit_easy.text.corpus import Corpus
    from ulmfit_easy.text.store import TokenStore
    from ulmfit_easy.text.tokenizers import Tokenizer

    torch.set_num_threads(1)
    texts = pd.read_csv(args.data / "train.csv.gz", keep_default_na=False, nrows=args.rows)[["text"]]
    n_bytes = sum(len(text.encode()) for text in texts["text"])
    tokenizer = Tokenizer()
    tokenizer("loads spaCy")
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as tmp:
        file = Path(tmp, "in.parquet")
        texts.to_parquet(file)
        corpus = Corpus(file)
        reading, seen = cpu(lambda: look_at(corpus))
        tokenizing, store = cpu(lambda: TokenStore.build(corpus, tokenizer, Path(tmp, "one"), n_workers=0,
                                                         look=seen.look))
        parts = (piece for _ in range(JOINED) for piece in _pieces(TokenStore(store.path), store.hashes))
        joining, joined = cpu(lambda: TokenStore.build(corpus, tokenizer, Path(tmp, "joined"), look=seen.look,
                                                       tokens=lambda *_: parts))
        on_disk = sum(path.stat().st_size for path in store.path.iterdir())
        model = SavedModel(Path(args.model))
        some = texts["text"].tolist()[:args.predicted]
        model.predict(some[:2])
        predicting, _ = cpu(lambda: model.predict(some))
        n_predicted = int(store.lengths[:args.predicted].sum())
        quarter = len(store.count(range(len(store) // 4)))
        n_quarter = int(store.lengths[:len(store) // 4].sum())
        load = ("from pathlib import Path; import pandas as pd; from ulmfit_easy.apps.saved_model import SavedModel; "
                f"texts = pd.read_parquet({str(file)!r}).text.tolist()[:{args.predicted}]; "
                f"SavedModel(Path({args.model!r})).predict(texts)")
        stage1 = ("from ulmfit_easy.text.corpus import Corpus; from ulmfit_easy.text.store import TokenStore; "
                  "from ulmfit_easy.text.tokenizers import Tokenizer; "
                  f"TokenStore.build(Corpus({str(file)!r}), Tokenizer(), cache_dir=False, n_workers=0)")
        return {
            "reading": n_bytes / reading, "tokenizing": store.n_tokens / tokenizing,
            "joining": joined.n_tokens / joining, "predicting": n_predicted / predicting,
            "bytes a token": n_bytes / store.n_tokens, "bytes a document": n_bytes / len(store),
            "disk a token": on_disk / store.n_tokens, "memory of tokenizing": peak_of(stage1),
            "memory of predicting": peak_of(load),
            "growth": np.log(len(store.lexicon) / quarter) / np.log(store.n_tokens / n_quarter),
            "words": len(store.lexicon), "tokens": store.n_tokens}


def tokens_of(found: dict, size: float) -> float:
    return size / found["bytes a token"]


def stage_one(found: dict, size: float, workers: int, disk: float) -> tuple[float, str]:
    """Hours to tokenize, and what takes the most of them. Joining goes on while other files are tokenized."""
    n = tokens_of(found, size)
    moved = 2 * size + 3 * n * found["disk a token"]  # read twice; parts are written and read, the whole is written
    parts = {"tokenizing": n / found["tokenizing"] / workers, "reading": size / found["reading"] / workers,
             "joining, in one process": n / found["joining"], "the disk": moved / disk / 1e6}
    seconds = max(parts["tokenizing"] + parts["reading"], parts["joining, in one process"], parts["the disk"])
    return seconds / 3600, max(parts, key=parts.get)


def prediction(found: dict, size: float, workers: int, disk: float) -> tuple[float, str]:
    parts = {"the model": tokens_of(found, size) / found["predicting"] / workers, "the disk": 3 * size / disk / 1e6}
    return max(parts.values()) / 3600, max(parts, key=parts.get)


def hours(value: float) -> str:
    if value > 24 * 365:
        return f"{value / 24 / 365:,.1f} years"
    return f"{value / 24:,.1f} days" if value > 96 else f"{value:,.1f} h" if value >= 1 else f"{value * 60:,.0f} min"


def report(found: dict, args) -> str:
    lines = [
        f"Measured on {processor()}, one thread, in CPU seconds, with {args.rows:,} reviews of IMDb, of which "
        f"the first {min(args.predicted, args.rows):,} are predicted.", "",
        "| piece | measured |", "| --- | --- |",
        f"| read, hash and count documents | {found['reading'] / 1e6:,.1f} MB/s |",
        f"| tokenize words | {found['tokenizing']:,.0f} tokens/s |",
        f"| join the stores of files | {found['joining'] / 1e6:,.1f} million tokens/s |",
        f"| predict, tokenizing included | {found['predicting']:,.0f} tokens/s |",
        f"| text per token | {found['bytes a token']:.2f} bytes |",
        f"| text per document | {found['bytes a document']:,.0f} bytes |",
        f"| token store on disk | {found['disk a token']:.2f} bytes per token |",
        f"| memory of a worker that tokenizes | {found['memory of tokenizing']:,.0f} MB |",
        f"| memory of a worker that predicts | {found['memory of predicting']:,.0f} MB |", "",
        f"The shared disk is assumed to move {args.disk:,.0f} MB/s.", "",
        "| text | workers | tokenize | bottleneck | predict | bottleneck |", "| --- | --- | --- | --- | --- | --- |"]
    for name, size in SIZES.items():
        for workers in WORKERS:
            cells = [cell for cost in (stage_one, prediction) for h, why in [cost(found, size, workers, args.disk)]
                     for cell in (hours(h), why)]
            lines.append(f"| {name} | {workers} | {' | '.join(cells)} |")
    lines += ["", "| text | documents | tokens | token store | hashes in memory | distinct words |",
              "| --- | --- | --- | --- | --- | --- |"]
    for name, size in SIZES.items():
        n, docs = tokens_of(found, size), size / found["bytes a document"]
        words = found["words"] * (n / found["tokens"]) ** found["growth"]
        lines.append(f"| {name} | {docs / 1e6:,.1f} million | {n / 1e9:,.1f} billion | "
                     f"{n * found['disk a token'] / GB:,.1f} GB | {docs * 48 / GB:,.1f} GB | "
                     f"{words / 1e6:,.1f} million |")
    return "\n".join([*lines, "", ""])


def processor() -> str:
    try:
        names = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def main():
    args = PARSER.parse_args()
    told = report(measure(args), args)
    print(told)
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_utime:.0f} CPU seconds")
    if args.page:
        page = args.page.read_text(encoding="utf-8")
        args.page.write_text(MARKS.sub(lambda _: told, page), encoding="utf-8")


if __name__ == "__main__":
    main()
