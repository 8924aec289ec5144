"""ULMFiT in a few lines. In a notebook: `from ulmfit_easy.all import *`.

Importing the package itself loads nothing heavy. Each name below is loaded when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers
    from ulmfit_easy.learner.text import language_model_learner, load_learner, text_classifier_learner
    from ulmfit_easy.learner.text_data import TextDataLoaders
    from ulmfit_easy.models.awd_lstm import AWD_LSTM
    from ulmfit_easy.recipes.baseline import baseline
    from ulmfit_easy.recipes.estimator import ULMFiT

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
__all__ = ["AWD_LSTM", "TextDataLoaders", "ULMFiT", "__version__", "baseline", "language_model_learner", "load_learner",
           "text_classifier_learner"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("ulmfit_easy")
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"ulmfit_easy.{_HOME[name]}"), name)
    raise AttributeError(f"module 'ulmfit_easy' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
