"""ULMFiT in a few lines. In a notebook: `from ulmfit_easy.all import *`.

Importing the package itself loads nothing heavy; each name below is loaded when it is first used.
"""

from typing import Any

_HOME = {
    "ULMFiT": "recipes.estimator",
    "TextDataLoaders": "learner.text_data",
    "AWD_LSTM": "models.awd_lstm",
    "language_model_learner": "learner.text",
    "text_classifier_learner": "learner.text",
    "load_learner": "learner.text",
    "load_predictor": "learner.load",
    "baseline": "recipes.baseline",
}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("ulmfit_easy")
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"ulmfit_easy.{_HOME[name]}"), name)
    raise AttributeError(f"module 'ulmfit_easy' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
