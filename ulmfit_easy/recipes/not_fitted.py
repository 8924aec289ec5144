"""The error of an estimator that was not fitted. It has its own file, because it imports scikit-learn."""

from sklearn.exceptions import NotFittedError

from ulmfit_easy.errors import TrainingError


class NotFitted(TrainingError, NotFittedError):
    """E506 for a question to an estimator before its fit."""
