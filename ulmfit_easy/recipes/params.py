"""The rules of scikit-learn for estimators, kept without importing it: parameters, tags, and the representation."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Self, TypeVar, cast

from ulmfit_easy.errors import door, refuse_stranger
from ulmfit_easy.recipes.presets import Preset
from ulmfit_easy.reprs import described, slashed

F = TypeVar("F", bound=Callable)


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


def own_words(method: F) -> F:
    """Return a method whose errors name no argument that the estimator does not have."""
    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with door((*self.get_params(), *inspect.signature(self.fit).parameters)):
            return method(self, *args, **kwargs)
    return cast(F, call)


class SklearnText(Params):
    """An estimator of texts: its tags, whether it is fitted, and how it shows itself."""

    classes_: Any
    scores_: Any
    n_texts_: int | None
    n_aside_: int | None

    def _tags(self, kind: str) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(estimator_type=kind, target_tags=TargetTags(required=True, multi_output=True),
                    transformer_tags=None, classifier_tags=None, regressor_tags=None,
                    input_tags=InputTags(two_d_array=False, string=True))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "learners_")

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        given = {name: value for name, value in self.get_params().items()
                 if repr(value) != repr(defaults[name].default)}
        params = [f"{name}=Preset({value.name!r})" if isinstance(value, Preset) else f"{name}={value!r}"
                  for name, value in given.items()]
        if not self.__sklearn_is_fitted__():
            return described(self, *params)
        n_texts, n_aside = self.n_texts_, self.n_aside_  # None for an estimator that an older version has saved
        return described(self, *params, f"fitted on {n_texts:,} texts" if n_texts else "fitted",
                         len(self.classes_) and f"classes {slashed(self.classes_.tolist())}", self.scores_ is not None
                         and self.scores_[0] is not None and f"{self.scores_._fields[0]} {self.scores_[0]:.3f} on "
                         f"{f'{n_aside:,} ' if n_aside else 'texts '}kept aside")

    def check_fitted(self) -> None:
        """Raise NotFitted E506 unless `fit` or `load` came before."""
        if not self.__sklearn_is_fitted__():
            from ulmfit_easy.recipes.not_fitted import NotFitted

            raise NotFitted("E506", received=f"a {type(self).__name__} that was not fitted", expected="a fitted one",
                            fix=f"call fit(texts, labels) first, or {type(self).__name__}.load(path)")
