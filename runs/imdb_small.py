"""LM on 10,000 IMDb reviews, classifier on 2,000 of them, accuracy on test_sample; see imdb_small.sh."""

import sys
import time
from pathlib import Path

import pandas as pd

from ulmfit_easy.all import (
    AWD_LSTM,
    GradientClip,
    Perplexity,
    TextDataLoaders,
    accuracy,
    baseline,
    discriminative,
    language_model_learner,
    set_seed,
    text_classifier_learner,
)

SEED, N_LM, N_LABELLED = 0, 10_000, 2_000
SIZES = {"emb_sz": 128, "n_hid": 320, "n_layers": 2}


def main(folder):
    started = time.perf_counter()
    train = pd.read_csv(folder / "train.csv.gz", keep_default_na=False)
    train = train.sample(frac=1, random_state=SEED)  # the file is sorted by label
    test = pd.read_csv(folder / "test_sample.csv.gz", keep_default_na=False)
    out = Path("runs/output")
    set_seed(SEED)

    dls = TextDataLoaders.from_df(train[:N_LM], path=out, text_col="text", is_lm=True, valid_pct=0.05, seed=SEED,
                                  max_vocab=15_000, bs=32)
    lm = language_model_learner(dls, AWD_LSTM, config=SIZES, drop_mult=0.3, pretrained=False,
                                metrics=[accuracy, Perplexity()], cbs=GradientClip(0.5))
    lm.fit_one_cycle(2, 8e-3, wd=0.1)
    lm.save_encoder("imdb-small")

    labelled = train[:N_LABELLED]
    dls = TextDataLoaders.from_df(labelled, path=out, text_col="text", label_col="label", valid_pct=0.1, seed=SEED,
                                  text_vocab=dls.vocab, bs=32)
    clas = text_classifier_learner(dls, AWD_LSTM, config=SIZES, pretrained=False, drop_mult=0.5, metrics=accuracy)
    clas.load_encoder("imdb-small")
    clas.fit_one_cycle(1, 2e-2, wd=0.1)
    clas.freeze_to(-2).fit_one_cycle(1, discriminative(1e-2, 1.3), wd=0.1)
    clas.freeze_to(-3).fit_one_cycle(1, discriminative(1e-2, 1.3), wd=0.1)
    clas.unfreeze().fit_one_cycle(4, discriminative(1e-2, 1.3), wd=0.1)

    labels = [p.label for p in clas.predict(list(test["text"]))]
    ours = (pd.Series(labels) == test["label"]).mean()
    bar = baseline(labelled["text"], labelled["label"])
    theirs = (bar.predict(test["text"]) == test["label"]).mean()
    print(f"imdb_small: accuracy {ours:.3f}, tf-idf baseline {theirs:.3f}, {len(test):,} test texts, seed {SEED}, "
          f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
