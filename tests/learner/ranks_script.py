"""A script for one process or several, as a user would write it: it trains and tells what it saw.

    ranks_script.py TASK ROWS OUT [WAY ...]
"""

import json
import os
import random
import signal
import sys
import warnings

import pandas as pd

from ulmfit_easy.all import (
    AWD_LSTM,
    Callback,
    CheckpointCallback,
    EarlyStoppingCallback,
    F1Score,
    Perplexity,
    SaveModelCallback,
    TextDataLoaders,
    accuracy,
    language_model_learner,
    set_seed,
    text_classifier_learner,
)
from ulmfit_easy.learner.weights import weights_sha256
from ulmfit_easy.processes import rank

task, rows, out, *ways = sys.argv[1:]
warnings.simplefilter("ignore")
if "unseeded" not in ways:
    set_seed(0)
rng = random.Random(0)
texts = [" ".join(rng.choices([f"w{i}" for i in range(40)], k=rng.randint(3, 30))) for _ in range(340)]
df = pd.DataFrame({"text": texts, "label": ["ab"["w1 " in f"{text} "] for text in texts]})
common = {"text_col": "text", "bs": int(rows), "seq_len": 10, "seed": None if "unseeded" in ways else 1,
          "cache_dir": False, "device": "cpu"}
settings = {"config": {"emb_sz": 16, "n_hid": 24, "n_layers": 2}, "drop_mult": 0.3 if "drop" in ways else 0.0,
            "pretrained": False, "precision": "fp32", "path": out}
if task == "lm":
    dls = TextDataLoaders.from_df(df, is_lm=True, **common)
    learn = language_model_learner(dls, AWD_LSTM, metrics=[accuracy, Perplexity()], **settings)
else:
    dls = TextDataLoaders.from_df(df, label_col="label", **common)
    own = {} if "drop" in ways else {"ps": [0.0], "alpha": 0.0, "beta": 0.0}
    learn = text_classifier_learner(dls, AWD_LSTM, metrics=[accuracy, F1Score(average="macro")], **settings, **own)
if "drop" not in ways:
    learn.model.double()  # float32 rounds, and Adam makes much of that


class Seen(Callback):
    """What this process read: the loss of each batch, and how many rows and tokens."""

    STATE = ("losses",)

    def before_fit(self):
        self.losses, self.rows, self.tokens = [], 0, 0

    def after_batch(self):
        if self.training:
            self.losses.append(float(self.loss))
            self.rows += len(self.xb[0])
            self.tokens += int(self.xb[0].numel() if task == "lm" else self.xb[1].sum())
            if "kill" in ways and self.train_iter == 17:  # a checkpoint was written after batch 15
                os.kill(os.getpid(), signal.SIGKILL)
            if "dies" in ways and self.train_iter == 5 and rank() == 1:
                os._exit(7)


seen, cbs = Seen(), []
if "checkpoint" in ways:
    cbs = [CheckpointCallback("run", every=5, resume=True)]
if "stop" in ways:
    cbs = [EarlyStoppingCallback(patience=1, min_delta=9.0), SaveModelCallback(fname="best")]
if "find" in ways:
    found = learn.lr_find(num_it=20, show_plot=False)
if task == "lm" or "unfreeze" not in ways:
    learn.unfreeze()
    learn.fit(4 if "stop" in ways else 2, 1e-2, cbs=[seen, *cbs])
else:
    learn.fit(1, cbs=cbs)
    learn.freeze_to(-2)
    learn.fit(1, cbs=cbs)
    learn.unfreeze()
    learn.fit(1, cbs=[seen, *cbs])
learn.save("last")
learn.export(os.path.join(out, "model"))
with open(os.path.join(out, f"seen-{rank()}.json"), "w") as file:
    json.dump({"losses": seen.losses, "rows": seen.rows, "tokens": seen.tokens, "values": learn.recorder.values,
               "recorded": learn.recorder.losses, "is_main": learn.is_main, "n_train": dls.train.n_rows,
               "valid": learn.validate(), "found": list(found) if "find" in ways else None,
               "weights": weights_sha256(learn.model), "sum": float(sum(p.detach().double().abs().sum()
                                                                       for p in learn.model.parameters()))}, file)
