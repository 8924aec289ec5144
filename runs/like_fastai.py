"""Does the same code learn as much here as with fastai? See like_fastai.sh.

One function is run by both libraries, on the same texts and sizes, in processes of their own; it begins with
`from fastai.text.all import *` or with `from ulmfit_easy.all import *`.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev

LIBRARIES = {"fastai": "fastai.text.all", "ulmfit_easy": "ulmfit_easy.all"}
MEASURES = ("language model, loss", "classifier, loss", "classifier, accuracy")
SIZES = {"emb_sz": 48, "n_hid": 96, "n_layers": 2}


def loss_of_tokens(lib, learn) -> float:
    """Mean loss of the validation tokens; in fastai's own figure a short last batch weighs as much as a whole one."""
    class Tokens(lib.Callback):
        loss_sum = n = 0

        def after_batch(self):
            self.loss_sum += float(self.loss) * self.yb[0].numel()
            self.n += self.yb[0].numel()

    tokens = Tokens()
    learn.validate(cbs=tokens)
    return tokens.loss_sum / tokens.n


def train(lib, csv, seed) -> list[float]:
    """Validation loss of a language model; validation loss and accuracy of a classifier over it."""
    path = Path(tempfile.mkdtemp())
    df = lib.pd.read_csv(csv)
    common = {"path": path, "text_col": "text", "valid_col": "is_valid", "bs": 16, "seq_len": 32}
    lib.set_seed(seed)
    dls = lib.TextDataLoaders.from_df(df, is_lm=True, **common)
    learn = lib.language_model_learner(dls, lib.AWD_LSTM, config={**lib.awd_lstm_lm_config, **SIZES}, drop_mult=0.3,
                                       pretrained=False)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(4, 1e-2)
        learn.save_encoder("tuned")
        losses = [loss_of_tokens(lib, learn)]
    dls = lib.TextDataLoaders.from_df(df, label_col="label", text_vocab=dls.vocab, **common)
    clas = lib.text_classifier_learner(dls, lib.AWD_LSTM, config={**lib.awd_lstm_clas_config, **SIZES}, drop_mult=0.3,
                                       pretrained=False, metrics=lib.accuracy).load_encoder("tuned")
    with clas.no_bar(), clas.no_logging():
        clas.fit_one_cycle(1, 2e-2)
        clas.unfreeze()
        clas.fit_one_cycle(2, slice(1e-2 / 2.6**3, 1e-2))
        return losses + [float(value) for value in clas.validate()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("fastai_python")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        name, csv, seed = args.worker
        print(json.dumps(train(importlib.import_module(LIBRARIES[name]), csv, int(seed))))
        return
    from ulmfit_easy.all import toy_reviews

    found = {name: [] for name in LIBRARIES}
    with tempfile.TemporaryDirectory() as folder:
        csv = Path(folder) / "reviews.csv"
        toy_reviews(1500, seed=0).assign(is_valid=lambda df: df.index % 5 == 0).to_csv(csv, index=False)
        for seed in range(args.seeds):
            for name, python in (("fastai", args.fastai_python), ("ulmfit_easy", sys.executable)):
                command = [python, __file__, "-", "--worker", name, str(csv), str(seed)]
                env = {**os.environ, "OMP_NUM_THREADS": "1", "ULMFIT_EASY_CACHE": f"{folder}/cache"}
                done = subprocess.run(command, capture_output=True, text=True, env=env)
                if done.returncode:
                    sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
                print(f"seed {seed}  {name:12}", " ".join(f"{v:.4f}" for v in found[name][-1]), flush=True)
    print("\n| | " + " | ".join(LIBRARIES) + " |\n| - | - | - |")
    for i, measure in enumerate(MEASURES):
        cells = [[run[i] for run in found[name]] for name in LIBRARIES]
        print(f"| {measure} | " + " | ".join(f"{mean(c):.4f} ± {stdev(c):.4f}" for c in cells) + " |")


if __name__ == "__main__":
    main()
