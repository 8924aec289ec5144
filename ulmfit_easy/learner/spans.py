"""The loss, the metrics and the predictions of spans: answers that are cut out of a text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ulmfit_easy.data.targets.span import END, NULL, START, SpanTarget, answering
from ulmfit_easy.learner.metrics.metric import Metric
from ulmfit_easy.learner.predictor import Named, Predictor

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner

__all__ = ["SpanExactMatch", "SpanF1", "SpanLoss", "SpanPrediction"]


class SpanLoss:
    """The loss of answers in a text: the mean cross-entropy of their first and of their last token.

    If a text is read in several windows, one softmax spans them all (Clark & Gardner 2018, arXiv 1710.10723, section
    3.2).

    Source: Devlin et al. 2019, section 4.2.
    """

    def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits (B, T, 2) against the numbers (B, T) of `SpanTarget.aligned`."""
        logits = pred.float().masked_fill((target < 0).unsqueeze(2), -torch.inf).transpose(1, 2)  # (B, 2, T)
        at = torch.stack([target & bit for bit in (START, END)], 1).argmax(2)  # (B, 2)
        return F.cross_entropy(logits.flatten(0, 1), at.flatten())


class _Fields(NamedTuple):
    answer: str
    start: int
    end: int
    score: float


class SpanPrediction(Named, _Fields):
    """The answer for one text, which unpacks as `answer, start, end, score`.

    Attributes:
        answer: a piece of the last text column, such as the context. Empty if the text has no answer.
        start, end: the position of its first character, and of the one after its last. Both are 0 for no answer.
        score: the probability of its first token times that of its last, 0 to 1.
    """

    @classmethod
    def at_places(cls, predictor: Predictor, logits: Tensor, places: np.ndarray, text: str | tuple) -> Self:
        context, field = (text, 0) if isinstance(text, str) else (text[-1], len(text) - 1)
        may_answer = places[:, 2] == field  # (T,)
        span = cast(SpanTarget, predictor.prepare.target).best(logits.numpy(), may_answer)
        first, last = (0, 0) if span == NULL else span
        start, end = (0, 0) if span == NULL else (int(places[first, 0]), int(places[last, 1]))
        start += len(context[start:end]) - len(context[start:end].lstrip())  # a piece may begin with a blank
        answer = context[start:end].rstrip()
        may_answer[:1] = True  # the place of no answer
        probs = logits.masked_fill(~torch.from_numpy(may_answer).unsqueeze(1), -torch.inf).softmax(0)  # (T, 2)
        score = float(probs[first, 0] * probs[last, 1]) if len(probs) else 1.0
        return cls(answer, start, start + len(answer), score)

    def cells(self) -> dict[str, object]:
        """Return the answer, where it stands, and its probability."""
        return {"prediction": self.answer, "start": self.start, "end": self.end, "probability": round(self.score, 4)}


class SpanExactMatch(Metric):
    """The share of texts whose predicted answer has exactly the tokens of the label's.

    `squad_score` measures the answers as words, by the official definition.
    """

    def __init__(self):
        self.reset()

    def reset(self):
        self.total, self.n = 0.0, 0

    def accumulate(self, learn: "Learner") -> None:
        for ours, theirs in _pairs(learn):
            self.total += self.measure(ours, theirs)
            self.n += 1

    def measure(self, ours: tuple[int, int], theirs: tuple[int, int]) -> float:
        """Return the number for one text."""
        return float(ours == theirs)

    @property
    def value(self) -> float | Any:
        return self.total / self.n if self.n else None


class SpanF1(SpanExactMatch):
    """The mean F1 between the tokens of the predicted answer and the tokens of the label's, 0 to 1.

    `squad_score` measures the answers as words, by the official definition.
    """

    def measure(self, ours: tuple[int, int], theirs: tuple[int, int]) -> float:
        if NULL in (ours, theirs):
            return float(ours == theirs)
        both = max(0, min(ours[1], theirs[1]) - max(ours[0], theirs[0]) + 1)
        return 2 * both / (ours[1] - ours[0] + theirs[1] - theirs[0] + 2)


def _pairs(learn: "Learner") -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the predicted and the right span of each text of a batch."""
    target = cast(SpanTarget, learn.dls.target)
    for logits, y, n in zip(learn.pred.detach().float().cpu(), learn.y.cpu(), learn.xb[1].tolist(), strict=True):
        yield target.best(logits[:n].numpy(), answering(y[:n])), target.decode(y)
