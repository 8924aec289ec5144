"""What the tests of the learners share: a folder of their own for token caches, and data."""

import pytest
from learner_toys import text_dls


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULMFIT_EASY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def lm_dls():
    return text_dls(is_lm=True, max_vocab=280)  # a multiple of 8: nothing filled up


@pytest.fixture(scope="module")
def clas_dls(lm_dls):
    return text_dls(text_vocab=lm_dls.vocab)
