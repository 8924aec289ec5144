"""Clusters that cannot do the work are told from those that can, before anything is begun."""

import pkgutil

import pytest
import torch

from ulmfit_easy import __version__
from ulmfit_easy.cluster import _check, in_any_order
from ulmfit_easy.errors import ArgumentError, TrainingError


class Client:
    """Two workers, as Dask's client tells of them."""

    def __init__(self, limit=8 << 30, other=None, blind=False, workers=2):
        self.names = [f"tcp://10.0.0.{i}:1" for i in range(1, workers + 1)]
        self.limit, self.other, self.blind = limit, other or {}, blind

    def wait_for_workers(self, n, timeout):
        if len(self.names) < n:
            raise TimeoutError

    def run(self, function, *args, on_error="raise"):
        if function is not pkgutil.resolve_name:
            return {name: not (self.blind and i) for i, name in enumerate(self.names)}
        return {name: self.other.get(args[0], function(*args)) if i else function(*args)
                for i, name in enumerate(self.names)}

    def scheduler_info(self, n_workers):
        return {"workers": {name: {"memory_limit": self.limit} for name in self.names}}


def test_a_cluster_that_can_do_the_work_is_taken():
    _check(Client(), "local", ["in"], 4 << 30)
    _check(Client(limit=0), "local", [], 4 << 30)  # 0 is no limit


@pytest.mark.parametrize(("client", "error", "text"), [
    ({"workers": 0}, TrainingError, r"E514.*no workers.*dask worker tcp://a:1"),
    ({"other": {"torch:__version__": "1.0"}}, TrainingError, rf"E514.*torch 1\.0 on tcp://10\.0\.0\.2.*{torch.__version__[:3]}"),
    ({"other": {"ulmfit_easy:__version__": ImportError()}}, TrainingError, rf"E514.*no ulmfit_easy.*{__version__}"),
    ({"blind": True}, TrainingError, r"E514.*do not see .*/in: tcp://10\.0\.0\.2"),
    ({"limit": 1 << 30}, ArgumentError, r"E603.*needs 4\.3 GB.*1\.1 GB.*limit of 4\.3 GB")],
    ids=["no workers", "another torch", "no library", "another disk", "too little memory"])
def test_a_cluster_that_cannot_is_refused(client, error, text):
    with pytest.raises(error, match=text):
        _check(Client(**client), "tcp://a:1", ["in"], 4 << 30)


def test_without_a_cluster_this_process_does_the_work_in_order():
    assert list(in_any_order(lambda item, by: item * by, [1, 2], 3)) == [(0, 3), (1, 6)]
