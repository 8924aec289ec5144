"""A tiny classifier and a tiny language model on toy reviews."""

import torch

from ulmfit_easy.all import (
    AWD_LSTM,
    TextDataLoaders,
    accuracy,
    language_model_learner,
    text_classifier_learner,
    toy_reviews,
)

TINY = dict(emb_sz=8, n_hid=12, n_layers=2)
DF = toy_reviews(90, seed=0)


def loaders(df=DF, **kwargs):
    options = dict(text_col="text", bs=8, seq_len=10, seed=0, min_freq=1)
    return TextDataLoaders.from_df(df, **{**options, **kwargs})


def classifier(dls=None, **kwargs):
    torch.manual_seed(0)
    dls = loaders(label_col="label") if dls is None else dls
    return text_classifier_learner(dls, AWD_LSTM, **{"config": TINY, "pretrained": False, "verbose": False,
                                                     "metrics": accuracy, "seq_len": 10, **kwargs})


def lm(dls=None, **kwargs):
    torch.manual_seed(0)
    dls = loaders(is_lm=True) if dls is None else dls
    return language_model_learner(dls, AWD_LSTM, **{"config": TINY, "pretrained": False, "verbose": False, **kwargs})
