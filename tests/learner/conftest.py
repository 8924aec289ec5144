"""Token caches of these tests go to a folder of their own."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULMFIT_EASY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
