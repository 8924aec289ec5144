"""The data that the tests of the learners share."""

import sys

import pytest
from learner_toys import text_dls


@pytest.fixture(scope="module")
def lm_dls():
    return text_dls(is_lm=True, max_vocab=280)  # a multiple of 8: nothing filled up


@pytest.fixture(scope="module")
def clas_dls(lm_dls):
    return text_dls(text_vocab=lm_dls.vocab)


@pytest.fixture
def often():
    """Threads that take turns a hundred times as often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(before)
