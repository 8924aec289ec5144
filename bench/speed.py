"""Speeds on the demo's text: tokenize docs/s, LM tokens/s, classifier docs/s, predict ms. `make bench` runs it.

Each figure is the median of several repeats in one process after a warm-up. Machines differ and share their cores:
compare figures of one run only.
"""

import argparse
import time
from statistics import median

from ulmfit_easy.apps.demo import demo_texts
from ulmfit_easy.learner.seeds import set_seed
from ulmfit_easy.recipes.presets import get_preset
from ulmfit_easy.recipes.stages import classifier_data, lm_data, new_classifier, new_lm
from ulmfit_easy.text.tokenizers import Tokenizer


def rate(step, units, repeats=5):
    """Units a second: the median over repeats, after one that is not counted."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return units / median(times[1:])


def tokenize_rate(docs, repeats=5):
    """Texts a second of a tokenizer that is loaded, but has no word in its cache."""
    times = []
    for _ in range(repeats):
        tokenizer = Tokenizer()
        tokenizer("loads spaCy")
        start = time.perf_counter()
        for _ in tokenizer.pipe(docs):
            pass
        times.append(time.perf_counter() - start)
    return len(docs) / median(times)


def train_steps(learn, batches):
    """A function that trains on the same few batches each time it is called."""
    learn.create_opt()
    learn.model.train()

    def step():
        for batch in batches:
            pred = learn.model(*batch[: learn.dls.n_inp])
            learn.loss_func(getattr(pred, "logits", pred) if learn.dls.n_inp == 2 else pred, batch[-1]).backward()
            learn.opt.step()
            learn.opt.zero_grad()

    return step


def take(dl, n):
    return [batch for _, batch in zip(range(n), dl, strict=False)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="vaderSentiment-2.5.tar.gz, which `make demo` fetches")
    args = parser.parse_args()
    set_seed(0)
    texts, p = demo_texts(args.data), get_preset("laptop")

    docs = texts.movies[:2000]
    print(f"tokenize    {tokenize_rate(docs):10,.0f} docs/s  (spaCy's and our rules, one process, no word seen yet)")

    dls = lm_data(texts.movies, p, seed=0)
    lm, batches = new_lm(dls, p), take(dls.train, 4)
    tokens = sum(xb.numel() for xb, _ in batches)
    print(f"train LM    {rate(train_steps(lm, batches), tokens):10,.0f} tokens/s  ({p.config}, "
          f"{len(dls.vocab):,} words, bs {p.lm_bs})")

    dls = classifier_data(texts.train, p, lm, seed=0)
    clas, batches = new_classifier(dls, p, lm), take(dls.train, 4)
    rows = sum(len(batch[-1]) for batch in batches)
    print(f"train clas  {rate(train_steps(clas.unfreeze(), batches), rows):10,.0f} docs/s  (all layers)")
    test = list(texts.test["text"])
    print(f"predict     {rate(lambda: clas.predict(test), len(test), 3):10,.0f} docs/s  (text in, "
          f"a list of {len(test):,})")
    ms = 1000 / rate(lambda: clas.predict(test[0]), 1, 30)
    print(f"predict     {ms:10.1f} ms      (text in, one at a time)")


if __name__ == "__main__":
    main()
