"""Score language models on WikiText-2: `.venv/bin/python runs/wikitext2.py wiki.valid.tokens.gz [DIR ...]`.

The file is scored as it is, headings and `@-@` included, one article after the other, each from an empty state. Its
`<unk>` becomes a word that no vocabulary has, and so our `xxunk`. The figure in the middle counts as the file's authors
count: the total loss over their number of tokens, one line end a line included, whatever our tokenizer makes of the
text. Without a folder, the models that come with the library are scored.
"""

import argparse
import gzip
import math
import re
from pathlib import Path

from ulmfit_easy.all import evaluate_lm, load_learner
from ulmfit_easy.bundle.shipped import shipped_folder

N_TOKENS = 217_646
NO_WORD = "qxzunkzxq"
TITLE = re.compile(r" = [^=].* = \s*")


def articles(file):
    """The articles of the file, 60 texts."""
    lines = []
    with gzip.open(file, "rt", encoding="utf-8") as f:
        for line in f:
            if TITLE.fullmatch(line) and lines:
                yield "\n".join(lines)
                lines = []
            if line.strip():
                lines.append(line.strip().replace("<unk>", NO_WORD))
    yield "\n".join(lines)


def perplexity_of_file(score) -> float:
    """The perplexity over the file's own number of tokens."""
    return math.exp(score.n_tokens * math.log(score.perplexity) / N_TOKENS)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("models", type=Path, nargs="*",
                        default=[f for f in (shipped_folder("en", way) for way in (False, True)) if f])
    args = parser.parse_args()
    for model in args.models:
        score = evaluate_lm(load_learner(model), articles(args.file))
        print(f"{model.name}: {score}; perplexity of the file's {N_TOKENS:,} tokens {perplexity_of_file(score):.2f}")


if __name__ == "__main__":
    main()
