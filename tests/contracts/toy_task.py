"""The row of a task that the library does not know."""

from toy_head import ToyHead
from toy_target import ToyTarget

from ulmfit_easy.all import CrossEntropyLossFlat, accuracy
from ulmfit_easy.learner.predictor import Prediction
from ulmfit_easy.learner.tasks import Task


class ToyPrediction(Prediction):
    """A label for each word."""

    @classmethod
    def at_places(cls, predictor, logits, places, text):
        logits = logits[places >= 0]
        decided = predictor.decodes(logits)
        return cls(predictor.prepare.target.decode(decided), decided, predictor.activation(logits))


TOY = Task(ToyTarget, ToyHead, CrossEntropyLossFlat, (accuracy,), prediction=ToyPrediction,
           weigh=lambda pred, target: int((target >= 0).sum()), columns=("text", "tags", "predicted"))
