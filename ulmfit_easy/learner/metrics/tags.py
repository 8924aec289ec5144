"""Score the spans that tags name, such as persons and places, instead of single words."""

from typing import TYPE_CHECKING, Any

from ulmfit_easy.data.targets.tags import SPAN_TAG
from ulmfit_easy.errors import ArgumentError, some
from ulmfit_easy.extras import optional_package
from ulmfit_easy.learner.metrics.metric import Metric

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner

__all__ = ["EntityF1"]


class EntityF1(Metric):
    """The F1 score of entities, 0 to 1, as CoNLL-2003 measures it. Needs the package seqeval.

    An entity is right if its first word, its last word and its type are right. Words that the tokenizer leaves out do
    not count.

    Raises: E507 if seqeval is not installed. E603 for tags without B- and I-, such as parts of speech: they name no
        entity.

    Source: Tjong Kim Sang & De Meulder 2003.
    """

    def __init__(self):
        self.reset()

    def reset(self):
        self.said, self.true = [], []

    def accumulate(self, learn: "Learner") -> None:
        classes, step = learn.dls.classes or [], -1 if learn.dls.backwards else 1
        if not any(SPAN_TAG.match(str(tag)) for tag in classes):
            raise ArgumentError("E603", received=f"the metric {self.name} for the tags {some(classes)}",
                                expected="tags of spans, such as B-PER, I-PER and O", fix="pass metrics=accuracy")
        for logits, y in zip(learn.pred.detach(), learn.yb[0], strict=True):
            real = y >= 0
            for kept, numbers in ((self.said, logits.argmax(-1)), (self.true, y)):
                kept.append([str(classes[i]) for i in numbers[real].tolist()[::step]])

    @property
    def value(self) -> float | Any:
        if not self.true:
            return None
        return float(optional_package("seqeval.metrics").f1_score(self.true, self.said, zero_division=0))
