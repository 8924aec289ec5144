"""The contract of a metric: a number for a whole validation set, measured batch by batch."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ulmfit_easy._fastcore import camel2snake
from ulmfit_easy.errors import ArgumentError, ArgumentTypeError
from ulmfit_easy.learner.made import made
from ulmfit_easy.models.softmax import IGNORE, LMOutput
from ulmfit_easy.reprs import described
from ulmfit_easy.schema import one_of, takes

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner

__all__ = ["AccumMetric", "AvgMetric", "Metric"]


def rows_or_tokens(pred: Tensor | LMOutput, target: Tensor) -> int:
    """Return what a batch counts for in an average: its tokens for a language model, its rows otherwise."""
    return target.numel() if isinstance(pred, LMOutput) else len(target)


def n_items(learn: "Learner") -> int:
    """Return what the learner's batch counts for in an average, as its task says."""
    task = getattr(learn, "task", None)
    return (task.weigh if task else rows_or_tokens)(learn.pred, learn.yb[0])


def flat_pair(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return both as one row of numbers. E603 if there are not as many of one as of the other."""
    if pred.numel() != target.numel():
        raise ArgumentError("E603", received=f"predictions of shape {list(pred.shape)} and targets of shape "
                            f"{list(target.shape)}", expected="one prediction for each target",
                            fix="choose a metric for this kind of target, such as F1ScoreMulti for several labels")
    return pred.reshape(-1), target.reshape(-1)


def name_of(func: object) -> str:
    """Return the name of a function, of the one in a partial, or of the class of another callable."""
    func = getattr(func, "func", func)
    return getattr(func, "__name__", type(func).__name__)


class Metric:
    """Base class of metrics.

    The learner calls `reset`, then `accumulate(learn)` after each batch, then reads `value`.
    """

    shared = False  # True for one that a module offers ready made: each learner gets a copy

    @property
    def name(self) -> str:
        """The column of the table: the class's name in snake case, unless another was given."""
        return getattr(self, "_name", None) or camel2snake(type(self).__name__.removesuffix("Metric") or "Metric")

    @name.setter
    def name(self, name: str) -> None:
        self._name = name

    if TYPE_CHECKING:  # a metric of yours may as well set it in `accumulate`
        @property
        def value(self) -> float | Any: ...  # None for nothing

    def reset(self): ...
    def accumulate(self, learn: "Learner") -> None: ...

    def __repr__(self) -> str:
        return described(self, self.name)

    def state_dict(self) -> dict:
        """Return what was measured so far: all attributes that are numbers, tensors or lists."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int | float | list | Tensor)}

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state_dict()`."""
        vars(self).update(state)


class AvgMetric(Metric):
    """Make a metric of a function of (pred, targets): its average over batches, weighted by their rows or tokens."""

    def __init__(self, func: Callable[..., float | Tensor]):
        self.func, self._name = func, name_of(func)
        self.reset()

    def measure(self, learn: "Learner") -> float | Tensor:
        """Return the number for one batch."""
        return self.func(learn.pred, *learn.yb)

    def reset(self):
        self.total, self.count = 0.0, 0

    def accumulate(self, learn: "Learner") -> None:
        n = n_items(learn)
        self.total += float(self.measure(learn)) * n
        self.count += n

    @property
    def value(self) -> float | Any:
        return self.total / self.count if self.count else None


class AvgLoss(AvgMetric):
    """The average of the loss."""

    def __init__(self):
        self._name = "loss"
        self.reset()

    def measure(self, learn: "Learner") -> Tensor:
        return learn.loss.mean()


class AvgSmoothLoss(Metric):
    """The exponentially smoothed training loss, corrected for its start at zero."""

    def __init__(self, beta: float = 0.98):
        self.beta, self._name = beta, "loss"
        self.reset()

    def reset(self):
        self.count, self.smooth = 0, 0.0

    def accumulate(self, learn: "Learner") -> None:
        self.count += 1
        self.smooth = self.beta * self.smooth + (1 - self.beta) * float(learn.loss.mean())

    @property
    def value(self) -> float | Any:
        return self.smooth / (1 - self.beta**self.count) if self.count else None


def _by_loss(ability: str, otherwise: Callable[[Tensor, int], Tensor]) -> Callable:
    """Return an activation that asks the learner's loss. `otherwise` for a plain function and class targets."""

    def activation(learn: "Learner", dim: int) -> Tensor:
        own = getattr(learn.loss_func, ability, None)
        if own is not None:
            return own(learn.pred)
        return learn.pred if learn.yb[0].is_floating_point() else otherwise(learn.pred, dim)

    return activation


ACTIVATIONS = {
    "no": lambda learn, dim: learn.pred,
    "sigmoid": lambda learn, dim: learn.pred.sigmoid(),
    "softmax": lambda learn, dim: learn.pred.softmax(dim),
    "binarysoftmax": lambda learn, dim: learn.pred.softmax(dim).select(dim, -1),
    "probs": _by_loss("activation", torch.softmax),
    "decoded": _by_loss("decodes", torch.argmax),
}


class AccumMetric(Metric):
    """Make a metric of a function that needs all predictions at once, such as an F1 score.

    Predictions and targets of the whole validation set are kept until its end, so it is not for language models.
    `metric(preds, targs)` gives the value for two tensors.

    A row with a label that training did not have counts as wrong if `func` gets decisions. It is left out if `func`
    gets probabilities or other numbers. Padding is left out too.

    Args:
        func: a function of (predictions, targets) that returns a number.
        dim_argmax: the dimension of the classes. With `activation="no"`, `func` gets the likeliest class along it.
            With None, or with another activation, `func` gets the numbers themselves.
        activation: what is applied to predictions first: "no", "sigmoid", "softmax", or "binarysoftmax" (the
            probability of the last class). "probs" and "decoded" take the probabilities or the decisions of the loss
            function.
        thresh: turn predictions into booleans: True from this number on. None leaves them as they are.
        to_np: pass numpy arrays to `func`.
        invert_arg: pass the targets first.
        flatten: flatten both to one dimension.
        name: the column of the table, by default the function's name.
        kwargs: passed on to `func`.

    Raises: ArgumentError E603 for a language model, or if predictions and targets differ in number.
    """

    @takes({"activation": one_of(ACTIVATIONS)})
    def __init__(self, func: Callable[..., float], dim_argmax: int | None = None, activation: str = "no",
                 thresh: float | None = None, to_np: bool = False, invert_arg: bool = False, flatten: bool = True,
                 name: str | None = None, **kwargs: Any):
        self.func, self.dim_argmax, self.activation, self.thresh = func, dim_argmax, activation, thresh
        self.to_np, self.invert_arg, self.flatten, self.kwargs = to_np, invert_arg, flatten, kwargs
        self._name = name or name_of(func)
        self.reset()

    def reset(self):
        self.preds, self.targs = [], []

    def accumulate(self, learn: "Learner") -> None:
        if isinstance(learn.pred, LMOutput):
            raise ArgumentError("E603", received=f"the metric {self.name} for a language model",
                                expected="a metric that can be summed over tokens", fix="use accuracy and Perplexity()")
        dim = -1 if self.dim_argmax is None else self.dim_argmax
        preds = ACTIVATIONS[self.activation](learn, dim)
        if self.dim_argmax is not None and self.activation == "no":
            preds = preds.argmax(dim)
        if self.thresh is not None:
            preds = preds >= self.thresh
        self.accum_values(preds, learn.yb[0], learn)

    def accum_values(self, preds: Tensor, targs: Tensor, learn: "Learner | None" = None) -> None:
        """Keep one batch of predictions, as `func` wants them, and targets."""
        preds, targs = preds.detach().cpu(), targs.detach().cpu()
        task = getattr(learn, "task", None)
        is_padded = task is not None and task.target.per == "token"
        if is_padded or (preds.is_floating_point() and not targs.is_floating_point() and targs.ndim == 1):
            preds, targs = preds[targs != IGNORE], targs[targs != IGNORE]
        preds, targs = flat_pair(preds, targs) if self.flatten else (preds, targs)
        self.preds.append(preds.float() if preds.is_floating_point() else preds)
        self.targs.append(targs)

    def __call__(self, preds: Tensor, targs: Tensor) -> float | None:
        """Return the metric of these targets and of predictions in the form that `func` takes."""
        alone = copy.copy(self)
        alone.reset()
        alone.accum_values(preds, targs)
        return alone.value

    @property
    def value(self) -> float | Any:
        if not self.preds:
            return None
        pair = torch.cat(self.preds), torch.cat(self.targs)
        given = [each.numpy() if self.to_np else each for each in pair]
        return float(self.func(*(given[::-1] if self.invert_arg else given), **self.kwargs))


def as_metric(metric: object) -> Metric:
    """Return a `Metric` as it is (a copy of a shared one), what makes one called, a plain function averaged."""
    metric = made(metric, Metric, "metrics")
    if not isinstance(metric, Metric) and not callable(metric):
        raise ArgumentTypeError("E601", received=f"metrics with {metric!r}", expected="metrics, or functions of "
                                "(predictions, targets)", fix="pass the metric itself, not its name: metrics=accuracy")
    if isinstance(metric, Metric) and metric.shared:
        metric = copy.copy(metric)
        del metric.shared
    return metric if isinstance(metric, Metric) else AvgMetric(metric)
