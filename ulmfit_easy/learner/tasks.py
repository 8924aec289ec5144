"""The tasks: what is learned, by which head, with which loss and metrics, and how it is shown. One row is one task.

A new task is a target (`data/targets/`), a head (`models/heads/`) and a row: `TASKS[Target.task] = Task(...)`. No other
part of the library knows the name of a task.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ulmfit_easy.data.targets import (
    CategoryTarget,
    MaskedToken,
    MultiCategoryTarget,
    NextToken,
    RegressionTarget,
    TagTarget,
    Target,
)
from ulmfit_easy.data.targets.both_ways import BothWays
from ulmfit_easy.data.targets.next_sentence import NextSentence
from ulmfit_easy.data.targets.span import SpanTarget
from ulmfit_easy.known import Known
from ulmfit_easy.learner.losses import BCEWithLogitsLossFlat, CrossEntropyLossFlat, MSELossFlat
from ulmfit_easy.learner.metrics.common import Perplexity, accuracy
from ulmfit_easy.learner.metrics.metric import rows_or_tokens
from ulmfit_easy.learner.next_sentence import NextSentenceAccuracy, PairLoss
from ulmfit_easy.learner.predictor import Named, Prediction
from ulmfit_easy.learner.reports import (
    Report,
    of_answers,
    of_classes,
    of_equal,
    of_numbers,
    of_several_classes,
    of_tags,
)
from ulmfit_easy.learner.spans import SpanExactMatch, SpanF1, SpanLoss, SpanPrediction
from ulmfit_easy.learner.tagging import TagPrediction
from ulmfit_easy.models.elmo import BothWaysDecoder
from ulmfit_easy.models.heads.head import Head
from ulmfit_easy.models.heads.masked import MaskedDecoder
from ulmfit_easy.models.heads.next_sentence import NextSentenceDecoder
from ulmfit_easy.models.heads.pooling import PoolingLinearClassifier
from ulmfit_easy.models.heads.tags import TokenClassifier
from ulmfit_easy.models.softmax import LMDecoder


@dataclass(frozen=True)
class Task:
    """A row of the table.

    Attributes:
        target: how labels are read, encoded and decoded.
        head: what reads the encoder's states.
        loss: from the weights of the classes (C,), or None, to the default loss.
        metrics: the metrics that the recipes measure.
        weigh: from predictions and targets of a batch to what the batch counts for in an average.
        prediction: the class of what `predict` returns for a text, made of a label, its number and probabilities.
            Write it as `Prediction` is written: its base `Named` has `of`, which takes the names of the classes. If the
            target has `places`, its `at_places` makes it.
        columns: of what `show_results` prints.
        report: from N labels and N predictions to their scores, a `Report`, which `ulmfit evaluate` prints.
    """

    target: type[Target]
    head: type[Head]
    loss: Callable
    metrics: tuple = ()
    weigh: Callable = rows_or_tokens
    prediction: Callable[..., Named] = Prediction
    columns: tuple[str, str, str] = ("text", "label", "predicted")
    report: Callable[[Sequence, Sequence], Report] = of_equal


TASKS: Known[Task] = Known("task")
for row in (
    Task(NextToken, LMDecoder, lambda weight: CrossEntropyLossFlat(), (accuracy, Perplexity),
         columns=("text", "next words", "predicted")),
    Task(BothWays, BothWaysDecoder, lambda weight: CrossEntropyLossFlat(), (accuracy, Perplexity),
         columns=("text", "next words", "predicted")),
    Task(MaskedToken, MaskedDecoder, lambda weight: CrossEntropyLossFlat(), (accuracy, Perplexity),
         columns=("masked text", "hidden", "predicted")),
    Task(NextSentence, NextSentenceDecoder, lambda weight: PairLoss(), (accuracy, Perplexity, NextSentenceAccuracy),
         columns=("masked text", "hidden", "predicted")),
    Task(CategoryTarget, PoolingLinearClassifier, CrossEntropyLossFlat, (accuracy,), report=of_classes),
    Task(MultiCategoryTarget, PoolingLinearClassifier, lambda weight: BCEWithLogitsLossFlat(pos_weight=weight),
         report=of_several_classes),
    Task(RegressionTarget, PoolingLinearClassifier, lambda weight: MSELossFlat(), report=of_numbers),
    Task(SpanTarget, TokenClassifier, lambda weight: SpanLoss(), (SpanExactMatch, SpanF1), prediction=SpanPrediction,
         columns=("text", "answer", "predicted"), report=of_answers),
    Task(TagTarget, TokenClassifier, CrossEntropyLossFlat, (accuracy,), prediction=TagPrediction,
         weigh=lambda pred, target: int((target >= 0).sum()), columns=("text", "tags", "predicted"), report=of_tags),
):
    TASKS[row.target.task] = row
