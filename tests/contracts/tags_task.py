"""The row of a task that the library does not know."""

from tags_head import TagHead
from tags_target import TagTarget

from ulmfit_easy.all import CrossEntropyLossFlat, accuracy
from ulmfit_easy.learner.tasks import Task

TAGS = Task(TagTarget, TagHead, CrossEntropyLossFlat, (accuracy,),
            weigh=lambda pred, target: int((target >= 0).sum()), columns=("text", "tags", "predicted"))
