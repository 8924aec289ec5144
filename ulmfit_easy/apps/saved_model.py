"""A trained model as the commands ask it: what `ulmfit train` wrote, or `learn.export` for any task."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ulmfit_easy.apps.sources import PIECE
from ulmfit_easy.bars import rows_of
from ulmfit_easy.bundle.artefact import FILES
from ulmfit_easy.errors import ArgumentError, FileError, TrainingError, some
from ulmfit_easy.files import existing
from ulmfit_easy.learner.load import load_predictor
from ulmfit_easy.learner.predictor import Prediction, Predictor
from ulmfit_easy.recipes.blend import Blend
from ulmfit_easy.recipes.ensemble import ensemble, probabilities
from ulmfit_easy.recipes.saved import PARAMS, load_saved


class SavedModel:
    """The models of a folder as one, with the mixture of an estimator if it has one.

    Args:
        folder: what `ULMFiT.save` or `learn.export` wrote.

    Attributes:
        predictors: the models. One, or one for each direction.
        settings: of the estimator. Empty for another model.

    Raises: FileError E404 for a folder with no model, or with a part of one. E402 for a language model.
    """

    settings: dict
    blend: Blend | None

    def __init__(self, folder: Path):
        if is_estimator(folder):
            self.settings, self.predictors, self.blend = load_saved(folder, load_predictor)
        else:
            try:
                self.settings, self.predictors, self.blend = {}, [load_predictor(folder)], None
            except TrainingError as e:
                raise no_labels(folder) from e
        self.predictor: Predictor = self.predictors[0]

    @property
    def text_cols(self) -> list[str]:
        """The columns of the texts, as in training."""
        return [str(col) for col in self.predictor.prepare.text_cols]

    @property
    def label_cols(self) -> list[str]:
        """The columns of the labels, as in training."""
        return [str(col) for col in self.predictor.prepare.label_cols]

    def predict(self, texts: Sequence, first_row: int = 0) -> list:
        """Return what `learn.predict` does for each text, a string, or a tuple of strings for several fields.

        Warnings count the texts from `first_row`.
        """
        if not len(texts):
            return []
        predictors = [replace(each, first_row=first_row) for each in self.predictors] if first_row else self.predictors
        if len(predictors) == 1 and self.blend is None:
            return predictors[0].predict(list(texts))
        import torch

        target, classes = self.predictor.prepare.target, self.predictor.classes
        if not target.one_class:  # of several classes the likely ones, or the mean of numbers
            mean = [(p, p > 0.5 if classes else p) for p in ensemble(predictors, texts)]
            return [Prediction(target.decode(at), at, p).of(classes) for p, at in mean]
        probs = torch.from_numpy(probabilities(predictors, texts, blend=self.blend))  # (N, C)
        return [Prediction(target.decode(p.argmax()), p.argmax(), p).of(classes) for p in probs]

    def predict_all(self, texts: Sequence) -> list:
        """Return what `predict` does, piece by piece, and show how many texts are done."""
        pieces = [texts[start:start + PIECE] for start in range(0, len(texts), PIECE)]
        return [each for i, piece in enumerate(rows_of(pieces, "predicting"))
                for each in self.predict(piece, i * PIECE)]


def text_columns(given: Sequence[str] | None, of_training: Sequence) -> list[str]:
    """Return the columns of texts that a user gave, else those of training. Raises: E603 for another number of them."""
    columns = [*given] if given else [str(col) for col in of_training]
    if len(columns) != len(of_training):
        raise ArgumentError("E603", received=f"{len(columns)} of --text", expected=f"{len(of_training)}, for "
                            f"{some(of_training)} of training", fix="name each with a --text of its own, or "
                            "leave --text out")
    return columns


def is_estimator(folder: Path) -> bool:
    """Return True for the folder of an estimator, False for one of `learn.export`. Raises: E404 for any other."""
    if (existing(folder) / PARAMS).exists():
        return True
    if (folder / FILES[-1]).exists() and not (folder.absolute().parent / PARAMS).exists():
        return False
    kind = f"a folder without {PARAMS}" if folder.is_dir() else "a file"
    raise FileError("E404", received=f"{folder}, {kind}",
                    expected="the folder that `ulmfit train` wrote",
                    fix="name that one, not a folder in it, nor one with several models")


def no_labels(folder: Path) -> FileError:
    return FileError("E402", received=f"{folder}, a language model", expected="a model that learned labels",
                     fix=f"make one of it with `ulmfit train FILE --pretrained {folder}`")
