"""The small learners of other tests."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "learner"))


@pytest.fixture(scope="module")
def lm_dls():
    from learner_toys import text_dls

    return text_dls(is_lm=True, max_vocab=280)
