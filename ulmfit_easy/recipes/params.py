"""Get and set the parameters of an estimator as scikit-learn does, without importing it."""

import inspect
from typing import Any, Self

from ulmfit_easy.errors import refuse_stranger


class Params:
    """Get and set the arguments of the constructor, which keeps them as attributes."""

    def get_params(self, deep: bool = True) -> dict:
        """Return the constructor's arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments. Returns the estimator."""
        for name, value in params.items():
            refuse_stranger("the parameter ", name, self.get_params())
            setattr(self, name, value)
        return self
