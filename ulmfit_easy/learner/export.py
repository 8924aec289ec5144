"""A classifier as one pure function of tensors, for `torch.export` and for programs without this library."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ulmfit_easy.errors import TrainingError
from ulmfit_easy.models.readers import TextClassifier

if TYPE_CHECKING:
    from ulmfit_easy.learner.predictor import Asked


class InferenceModule(nn.Module):
    """`module(ids, lengths)` for ids (B, T) int64, padded on the right, and lengths (B,): probabilities (B, C).

    The numbers are those of `learn.predict`, but a text is read in one go and not window by window. So nothing depends
    on the data, and it exports. Memory grows with T. For regression the numbers (B, n) that were learned.
    """

    def __init__(self, model: TextClassifier, activation: Callable, temperature: float = 1.0):
        super().__init__()
        self.model, self.activation, self.temperature = model.whole(), activation, temperature

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        return self.activation(self.model(ids, lengths).logits / self.temperature)


def inference_module(learn: "Asked") -> InferenceModule:
    """Return a classifier's model as an `InferenceModule` in evaluation mode, which shares its weights.

    `learn` is a learner, a `Predictor`, or what `calibrate` returned.

    To keep it as a file that torch alone can run, for any number of texts of up to T tokens each:

        >>> ids, lengths = torch.ones(2, 100, dtype=torch.int64), torch.tensor([100, 7])  # T is 100
        >>> rows = torch.export.Dim("rows")
        >>> exported = torch.export.export(  # doctest: +SKIP
        ...     inference_module(learn), (ids, lengths), dynamic_shapes=({0: rows}, {0: rows}), strict=False)
        >>> torch.export.save(exported, "classifier.pt2")  # doctest: +SKIP

    `learn.dls.test_dl(texts)` gives ids and lengths. The ids of a shorter batch are filled up with
    `learn.dls.text_vocab.pad_id`.

    Raises: TrainingError E506 for a language model.
    """
    predictor = learn.predictor
    if not isinstance(predictor.model, TextClassifier):
        raise TrainingError("E506", received="inference_module() of a learner that is no text classifier",
                            expected="a classifier", fix="pass the learner that text_classifier_learner gave")
    return InferenceModule(predictor.model, predictor.activation, predictor.temperature).eval()
