"""What the tests of commands share: a tiny preset, and a model that `ulmfit train` wrote with it."""

import matplotlib
import pytest
from preset_toys import TINY

from ulmfit_easy.apps.cli import main
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.recipes import presets

matplotlib.use("Agg")  # no window


@pytest.fixture
def tiny(monkeypatch):
    """The default preset, made small."""
    monkeypatch.setitem(presets.PRESETS, "laptop", TINY)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A model of two classes; the table that it learned from is beside it, as r.csv."""
    folder = tmp_path_factory.mktemp("commands")
    toy_reviews(60, seed=0).to_csv(folder / "r.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "laptop", TINY)
        assert main(["train", str(folder / "r.csv"), "--seed", "0", "--quiet", "--out", str(folder / "m")]) == 0
    return folder / "m"
