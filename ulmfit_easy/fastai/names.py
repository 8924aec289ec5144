"""Short names of fastai for what is a line or two here."""

from typing import Any, Self

from torch import nn

from ulmfit_easy.learner.callbacks.rnn import HiddenState, RNNCallback, RNNRegularizer
from ulmfit_easy.learner.events import Callback

__all__ = ["Module", "rnn_cbs"]


class Module(nn.Module):
    """An `nn.Module` whose subclasses need not call `super().__init__()`."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        nn.Module.__init__(self)
        return self

    def __init__(self):
        pass  # a second call of nn.Module's would forget what was assigned before it


def rnn_cbs(alpha: float = 0.0, beta: float = 0.0) -> list[Callback]:
    """Return the callbacks of a recurrent model: the hidden state, and the AR and TAR penalties unless both are 0."""
    return [HiddenState(), RNNCallback(), *([RNNRegularizer(alpha, beta)] if alpha or beta else [])]
