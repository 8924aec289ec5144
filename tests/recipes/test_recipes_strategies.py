"""The ten rows of table 7: which groups each trains, on which schedule, at which rates, and for how many epochs."""

from types import SimpleNamespace

import pytest

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.learner.optim.optimizer import expand_lr
from ulmfit_easy.recipes.strategies import STRATEGIES, Strategy


class Noted:
    """Stands for a learner of four layer groups, and notes each fit: its method, epochs, and the rates that train."""

    def __init__(self):
        self.opt, self.fits = SimpleNamespace(param_groups=[[]] * 4), []

    def freeze_to(self, n):
        self.first = n % 4
        return self

    def freeze(self):
        return self.freeze_to(-1)

    def unfreeze(self):
        return self.freeze_to(0)

    def __getattr__(self, name):
        def fit(epochs, lr, **_):
            rates = [0.0] * self.first + expand_lr(lr, 4)[self.first:]
            self.fits.append((name, epochs, [round(rate, 3) for rate in rates]))
        return fit


FALLING = [round(0.176 / 2.6**k, 3) for k in (3, 2, 1, 0)]


def gradual(method, rates):
    return [(method, n, [0.0] * first + rates[first:]) for n, first in ((1, 3), (1, 2), (1, 1), (4, 0))]


FLAT = [0.176] * 4
FITS = {
    "from scratch": [("fit", 7, FLAT)], "full": [("fit", 7, FLAT)], "full + discr": [("fit", 7, FALLING)],
    "last": [("fit", 7, [0, 0, 0, 0.176])],
    "chain-thaw": [("fit", 1, [0, 0, 0, 0.176]), *(("fit", 1, [0.018 * (i == n) for i in range(4)]) for n in range(3)),
                   ("fit", 3, [0.018] * 4)],
    "freez": gradual("fit", FLAT), "freez + discr": gradual("fit", FALLING),
    "freez + stlr": gradual("fit_stlr", FLAT), "freez + cos": gradual("fit_flat_cos", FLAT),
    "freez + discr + stlr": gradual("fit_stlr", FALLING)}


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_trains_as_its_row_says(name):
    learn = Noted()
    assert STRATEGIES[name].fit(learn, 0.176, 7) is learn
    assert learn.fits == FITS[name]


def test_phases_of_one_epoch_each_end_with_all_groups():
    learn = Noted()
    Strategy("gradual").fit(learn, 1.0, 1)
    assert [epochs for _, epochs, _ in learn.fits] == [1, 1, 1, 1]


@pytest.mark.parametrize("wrong", [{"layers": "first"}, {"schedule": "triangle"}, {"discr": "yes"}])
def test_a_strategy_that_cannot_be_is_refused(wrong):
    with pytest.raises(ArgumentError, match="E60[12]"):
        Strategy(**wrong)
