"""Callbacks of recurrent models: the hidden state, what the model returns, and the AR and TAR penalties."""

from torch import Tensor

from ulmfit_easy.learner.events import PENALTY, SCHEDULE, Callback
from ulmfit_easy.models.encoder import Memory
from ulmfit_easy.models.readers import ClassifierOutput
from ulmfit_easy.models.softmax import LMOutput
from ulmfit_easy.schema import number, takes


class HiddenState(Callback):
    """Carry the hidden state of a language model from batch to batch. fastai's name is `ModelResetter`.

    Row b of a batch continues row b of the batch before, so the state is kept. Gradients stop at the border of a batch.
    The state starts from zero before training, before validation, and when the batch size changes. A validation in the
    middle of an epoch does not change the state of the training. If a model of your own has a `reset()`, it is called
    at these moments.
    """

    STATE = ("memory",)
    memory: Memory | None = None
    kept: Memory | None = None

    def reset(self):
        self.memory = None
        if callable(own := getattr(self.learn.model, "reset", None)):
            own()

    before_fit = before_train = after_fit = cleanup_fit = reset

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state_dict()`."""
        self.memory = state["memory"] and Memory(state["memory"]).to(self.learn.dls.device)

    def before_validate(self):
        kept = self.memory
        self.reset()
        self.kept = kept

    def cleanup_validate(self):
        self.memory, self.kept = self.kept, None

    def before_batch(self):
        if self.memory is not None and self.memory.bs == len(self.xb[0]):
            self.learn.xb = (*self.xb, self.memory)

    def after_pred(self):
        if isinstance(self.pred, LMOutput):
            self.memory = self.pred.memory and self.pred.memory.detach()


ModelResetter = HiddenState


class RNNCallback(Callback):
    """Keep the states of the last layer of a recurrent model for other callbacks, such as `RNNRegularizer`.

    Losses and metrics then see only the prediction. A model of your own may return `(prediction, raw, dropped)` as
    fastai's do, with one tensor or a list of all layers for `raw` and `dropped`.

    Attributes:
        raw_out, out: (B, T, E) the last layer before and after dropout.
        mask: (B, T) True on padding, or None.
    """

    def after_pred(self):
        if type(self.pred) in (tuple, list):
            self.learn.pred, raw, dropped = self.pred
            self.raw_out, self.out = (each[-1] if isinstance(each, list | tuple) else each for each in (raw, dropped))
            self.mask = None
            return
        self.raw_out = self.pred.raw
        self.out = getattr(self.pred, "dropped", self.raw_out)
        self.mask = getattr(self.pred, "mask", None)
        if isinstance(self.pred, ClassifierOutput):
            self.learn.pred = self.pred.logits

    def after_batch(self):
        self.raw_out = self.out = self.mask = None

    cleanup_batch = after_batch


class RateBySeqLen(Callback):
    """Lower the rates for shorter batches in proportion to their length.

    Use it with a language-model loader that has `bptt_jitter`: its batches differ in length. With others it changes
    nothing.
    Source: AWD-LSTM (Merity et al. 2017, section 4.1).
    """

    order, run_valid = SCHEDULE, False

    def before_step(self):
        self.rates = [hypers["lr"] for hypers in self.opt.hypers]
        factor = self.xb[0].shape[1] / self.dls.train.seq_len if getattr(self.dls.train, "bptt_jitter", 0) else 1
        self.opt.set_hyper("lr", [lr * factor for lr in self.rates])

    def after_step(self):
        self.opt.set_hyper("lr", self.rates)


class RNNRegularizer(Callback):
    r"""Add activation regularisation (AR) and temporal AR (TAR) to `loss_grad`, over all tokens but padding.

    $$ AR = \alpha \, mean(\tilde h_t^2), \qquad TAR = \beta \, mean((h_{t+1} - h_t)^2) $$

    with $\tilde h$ the last layer's states after dropout and $h$ before it. Source: Merity et al. 2017
    (arXiv 1708.02182), section 4.
    """

    order, run_valid = PENALTY, False

    @takes({"alpha": number(0), "beta": number(0)})
    def __init__(self, alpha: float = 0.0, beta: float = 0.0):
        self.alpha, self.beta = alpha, beta

    def after_loss(self):
        raw, out, mask = self.rnn.raw_out, self.rnn.out, self.rnn.mask  # (B, T, E), (B, T, E), (B, T)
        if not (out.requires_grad or raw.requires_grad):
            return  # a frozen encoder: nothing that the penalties could move
        real = None if mask is None else ~mask
        penalty: float | Tensor = 0.0
        if self.alpha:
            penalty = penalty + self.alpha * _mean(out.float().pow(2), real)
        if self.beta and raw.shape[1] > 1:
            both = None if real is None else real[:, 1:] & real[:, :-1]
            penalty = penalty + self.beta * _mean((raw[:, 1:] - raw[:, :-1]).float().pow(2), both)
        self.learn.loss_grad = self.loss_grad + penalty


def _mean(x: Tensor, real: Tensor | None) -> Tensor:
    """Return the mean of x (B, T, E) over the positions where `real` (B, T) is True, or over all."""
    if real is None:
        return x.mean()
    weight = real.unsqueeze(-1)  # (B, T, 1)
    return (x * weight).sum() / (weight.sum().clamp(min=1) * x.shape[-1])
