"""Small learners for these tests: plain nets on random rows, and an AWD-LSTM on toy text."""

from types import SimpleNamespace

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ulmfit_easy.all import (
    AWD_LSTM,
    BaseTokenizer,
    CrossEntropyLossFlat,
    DataLoaders,
    Learner,
    MSELossFlat,
    TextDataLoaders,
    language_model_learner,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.learner.events import EVENTS, Callback
from ulmfit_easy.text.vocab import Vocab

TINY = dict(emb_sz=8, n_hid=12, n_layers=2)


def plain_dls(x, y, bs=8, shuffle=False):
    """The rows to train with, and the same to validate with."""
    rows = TensorDataset(x, y)
    return DataLoaders(DataLoader(rows, bs, shuffle=shuffle), DataLoader(rows, bs))


def regression(n=32, bs=8, path=".", model=None, shuffle=False, **kwargs) -> Learner:
    """A linear model of 3 inputs on noise-free targets."""
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))  # (N, 3)
    dls = plain_dls(x, x @ torch.tensor([[1.0], [-2.0], [0.5]]), bs, shuffle)
    torch.manual_seed(1)
    learn = Learner(dls, model or nn.Linear(3, 1), loss_func=MSELossFlat(), path=path, **kwargs)
    return quiet(learn)


def three_classes(n=48, bs=16, path=".", loss_func=None, targets=None, n_out=3, **kwargs) -> Learner:
    """A linear classifier of 4 inputs."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 4, generator=g)  # (N, 4)
    y = torch.randint(3, (n,), generator=g) if targets is None else targets
    torch.manual_seed(1)
    return quiet(Learner(plain_dls(x, y, bs), nn.Linear(4, n_out), loss_func=loss_func or CrossEntropyLossFlat(),
                         path=path, **kwargs))


def quiet(learn):
    """The learner, printing nothing."""
    learn.verbose = False
    return learn


def text_dls(is_lm=False, n=90, **kwargs) -> TextDataLoaders:
    """Toy reviews, split at spaces."""
    options = dict(text_col="text", label_col="label", is_lm=is_lm, tok_tfm=BaseTokenizer(), bs=8, seq_len=10,
                   seed=0, min_freq=1)
    return TextDataLoaders.from_df(toy_reviews(n=n, seed=0), **{**options, **kwargs})


def lm(dls=None, path=".", **kwargs):
    """A tiny language model's learner."""
    torch.manual_seed(0)
    dls = text_dls(is_lm=True) if dls is None else dls
    return language_model_learner(dls, AWD_LSTM, **{"config": TINY, "pretrained": False, "path": path,
                                                           "verbose": False, **kwargs})


def classifier(dls=None, path=".", **kwargs):
    """A tiny classifier's learner."""
    torch.manual_seed(0)
    dls = text_dls() if dls is None else dls
    return text_classifier_learner(dls, AWD_LSTM, **{"config": TINY, "path": path, "pretrained": False,
                                                         "verbose": False, **kwargs})


def state(module: nn.Module) -> dict:
    """A copy of the weights."""
    return {k: v.clone() for k, v in module.state_dict().items()}


def same(a: dict, b: dict) -> bool:
    """Whether two state dicts are equal to the bit."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


class Log(Callback):
    """Writes down every event."""

    order = 100

    def __init__(self):
        self.events = []


for _event in EVENTS:
    setattr(Log, _event, lambda self, event=_event: self.events.append(event))


class At(Callback):
    """Does something at one event, at its `at`-th time (from 0), or each time."""

    def __init__(self, event, action, at=None):
        self.seen = 0

        def act():
            self.seen += 1
            if at is None or self.seen == at + 1:
                action()

        setattr(self, event, act)


def raises(error):
    """An action that raises."""
    def action():
        raise error
    return action


def longer_vocab(dls):
    """Some words dropped, some new, another order."""
    return Vocab([*dls.text_vocab[:9], "brandnew", *reversed(dls.text_vocab[15:]), "unheard"])


def asked(metric, pred, target, loss=None):
    """What a metric says after batches of 16, 16, ... rows of a learner with that loss."""
    metric.reset()
    for p, t in zip(pred.split(16), target.split(16), strict=True):
        metric.accumulate(SimpleNamespace(pred=p, yb=(t,), loss_func=loss))
    return metric.value
