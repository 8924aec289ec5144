"""Measure what ELMo's features add to a tagger: `runs/elmo_tags.sh`, or this file with DATA [SENTENCES] [EPOCHS].

The task is parts of speech, UD English EWT. The same tagger, a BiLSTM over the words' own rows of the shipped pair, is
trained with the mix of all layers beside the rows, and without. Both models stay frozen. Three seeds draw the
sentences and the weights.
"""

import gzip
import json
import sys
import time
from pathlib import Path

from ulmfit_easy.all import ELMo, TextDataLoaders, accuracy, np, pd, set_seed, text_classifier_learner

BESIDE = {"words alone": {"reads": "words"}, "words and ELMo": {"reads": "both"}}


def table(data: str, part: str) -> pd.DataFrame:
    """Return the sentences of a part, as lists of words and of tags."""
    with gzip.open(Path(data, f"{part}.jsonl.gz"), "rt", encoding="utf-8") as lines:
        return pd.DataFrame(map(json.loads, lines))[["tokens", "upos"]]


def measure(data: str, n_sentences: int = 500, epochs: int = 8, lr: float = 1e-2) -> dict[str, list[float]]:
    """Return the shares of right tags of the test sentences, seed by seed, with and without ELMo."""
    found: dict[str, list[float]] = {name: [] for name in BESIDE}
    train, dev, test = (table(data, part) for part in ("train", "dev", "test"))
    for seed in range(3):
        rows = pd.concat([train.sample(n_sentences, random_state=seed).assign(valid=False),
                          dev.sample(300, random_state=0).assign(valid=True)], ignore_index=True)
        dls = TextDataLoaders.from_df(rows, text_col="tokens", label_col="upos", y_block="tags", valid_col="valid",
                                      pretrained="en", bs=16, seed=seed)
        for name, config in BESIDE.items():
            set_seed(seed)
            learn = text_classifier_learner(dls, ELMo, config=config, head_config={"n_hid": 64}, metrics=accuracy,
                                            verbose=False)
            started = time.perf_counter()
            learn.fit_one_cycle(epochs, lr)
            seconds = time.perf_counter() - started
            dev_score = learn.validate()[-1]
            found[name].append(learn.validate(dl=dls.test_dl(test, with_labels=True))[-1])
            mix = " ".join(f"{share:.2f}" for share in learn.encoder.mix.weights.tolist())
            print(f"{name}, seed {seed}: dev {dev_score:.4f}, test {found[name][-1]:.4f}, {seconds:.0f} s, mix {mix}",
                  flush=True)
    return found


if __name__ == "__main__":
    path, *sizes = sys.argv[1:]
    scores = measure(path, *map(int, sizes))
    for name, of in scores.items():
        print(f"{name}: {np.mean(of):.4f}, {' '.join(f'{score:.4f}' for score in of)}")
