"""Small classifiers for the tests of interpretation: a trained one, and what makes others."""

import pandas as pd
import torch

from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.learner.text import text_classifier_learner
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.text.words import BaseTokenizer

TINY = dict(emb_sz=8, n_hid=12, n_layers=2)


def data(df=None, **options) -> TextDataLoaders:
    """Toy reviews, split at spaces."""
    defaults = dict(text_col="text", label_col="label", tok_tfm=BaseTokenizer(), bs=16, seed=0, min_freq=1)
    return TextDataLoaders.from_df(toy_reviews(120, seed=0) if df is None else df, **(defaults | options))


def classifier(dls=None, **options):
    """A tiny classifier, not trained."""
    torch.manual_seed(0)
    defaults = dict(config=TINY, pretrained=False, verbose=False, seq_len=10, max_len=None)
    return text_classifier_learner(data() if dls is None else dls, AWD_LSTM, **(defaults | options))


def several_labels() -> pd.DataFrame:
    """Toy reviews with their sentiment and their topic as labels."""
    df = toy_reviews(60, seed=0)
    return df.assign(label=df["label"] + ";" + df["topic"])


def counted(learn) -> list:
    """A list that grows by the number of texts each time the model reads a batch."""
    sizes = []
    learn.model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    return sizes
