"""Two worker processes of Dask: the answers and the tokens of one process, also if a worker is killed."""

import os
import signal
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from ulmfit_easy import cluster
from ulmfit_easy.apps import parts
from ulmfit_easy.apps.cli import main
from ulmfit_easy.apps.frames import predict_frame
from ulmfit_easy.apps.saved_model import SavedModel
from ulmfit_easy.cluster import connected, in_any_order
from ulmfit_easy.data.toy import toy_reviews, toy_texts
from ulmfit_easy.errors import TextError, TrainingError
from ulmfit_easy.recipes.corpus.data import corpus_data
from ulmfit_easy.recipes.corpus.plan import Plan
from ulmfit_easy.text.store import TokenStore

pytestmark = pytest.mark.slow
N = 12


@pytest.fixture(scope="module")
def two():
    with connected("local", 2) as client:
        yield client


def test_a_worker_keeps_the_memory_that_it_frees(two):
    """Dask's `MALLOC_TRIM_THRESHOLD_` took half of a worker's time. Its other variables stay."""
    assert set(two.run(os.environ.get, "MALLOC_TRIM_THRESHOLD_").values()) == {None}
    assert set(two.run(os.environ.get, "OPENBLAS_NUM_THREADS").values()) == {"1"}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Twelve Parquet files of 25 reviews, numbered."""
    folder = tmp_path_factory.mktemp("given")
    df = toy_reviews(N * 25, seed=3).assign(id=range(N * 25))
    for i in range(N):
        df[i * 25:(i + 1) * 25].to_parquet(folder / f"{i:02}.parquet", index=False)
    return folder


@pytest.fixture
def in_two(two, monkeypatch):
    """Commands use the cluster that is there."""
    monkeypatch.setattr(cluster.optional_package("distributed"), "LocalCluster", lambda **_: _Open(two.cluster))


class _Open:
    def __init__(self, cluster):
        self.cluster = cluster

    def __enter__(self):
        return self.cluster

    def __exit__(self, *error):
        pass


def run(*args):
    return main([str(arg) for arg in args])


def once(item, folder):
    """Leave a file for each time that this was done, and kill the worker at the first time of item 3."""
    (done := Path(folder, f"{item}-{time.time_ns()}")).touch()
    if item == 3 and len(list(done.parent.glob("3-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return item * 10


def test_a_killed_worker_costs_its_item_alone(two, tmp_path):
    found = dict(in_any_order(once, [*range(8)], str(tmp_path), client=two))
    assert found == {i: i * 10 for i in range(8)}
    assert len(list(tmp_path.glob("3-*"))) == 2


def test_two_workers_answer_as_one_process_and_do_nothing_twice(in_two, trained, given, tmp_path, capsys):
    assert run("predict", trained, f"{given}/*.parquet", "--out", tmp_path / "one") == 0
    assert run("predict", trained, f"{given}/*.parquet", "--out", tmp_path / "two", "--scheduler", "local") == 0
    one, both = pd.read_parquet(tmp_path / "one"), pd.read_parquet(tmp_path / "two")
    pd.testing.assert_frame_equal(one, both)
    assert both["id"].tolist() == [*range(N * 25)] and both.columns.tolist()[-2:] == ["prediction", "probability"]
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "two").glob("*.parquet")}
    (tmp_path / "two" / "05.parquet").unlink()  # as if a crash had come before it
    assert run("predict", trained, f"{given}/*.parquet", "--out", tmp_path / "two", "--scheduler", "local") == 0
    assert f"300 rows in {N} parts" in (told := capsys.readouterr().out) and f"{N - 1} of them before" in told
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / "two").glob("*.parquet")}
    assert [path.name for path in times if times[path] != again[path]] == ["05.parquet"]
    pd.testing.assert_frame_equal(one, pd.read_parquet(tmp_path / "two"))


def test_a_worker_that_is_killed_in_the_middle_loses_and_repeats_no_row(two, in_two, trained, given, tmp_path):
    def kill():
        while not list((tmp_path / "out").glob("*.parquet")):
            time.sleep(0.01)
        os.kill(min(two.run(os.getpid).values()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    assert run("predict", trained, f"{given}/*.parquet", "--out", tmp_path / "out", "--scheduler", "local") == 0
    killer.join()
    assert pd.read_parquet(tmp_path / "out")["id"].tolist() == [*range(N * 25)]


def test_an_error_of_a_worker_names_its_file(in_two, trained, given, tmp_path, capsys):
    pd.DataFrame({"text": ["a"], "prediction": ["b"]}).to_parquet(tmp_path / "x.parquet")
    assert run("predict", trained, given / "01.parquet", tmp_path / "x.parquet", "--out", tmp_path / "out",
               "--scheduler", "local") == 2
    assert "E603" in (told := capsys.readouterr().err) and "x.parquet" in told


def test_nothing_at_an_address_is_told(trained, given, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "WAIT", 0.3)
    for address in ("tcp://127.0.0.1:1", "nowhere at all"):
        assert run("predict", trained, f"{given}/*", "--out", tmp_path / "out", "--scheduler", address) == 2
        assert "E514" in (told := capsys.readouterr().err) and "--scheduler local" in told


def killed(item):
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_item_that_kills_every_worker_ends_the_work(monkeypatch):
    """Its cluster is its own: Dask does not replace a worker that is killed while it starts."""
    monkeypatch.setitem(cluster.CONFIG, "distributed.scheduler.no-workers-timeout", "5s")
    with connected("local", 2) as client, pytest.raises(TrainingError, match="E508.*(at the same part|no worker left)"):
        list(in_any_order(killed, [0], client=client))


def test_a_cluster_that_starts_late_is_started_again(two, monkeypatch):
    """Dask fails with an AssertionError if its thread gets no processor for 10 seconds."""
    started = []

    def start(**settings):
        started.append(settings)
        if len(started) < 2:
            raise AssertionError
        return _Open(two.cluster)

    monkeypatch.setattr(cluster.optional_package("distributed"), "LocalCluster", start)
    with connected("local", 2) as client:
        assert client.submit(len, "ab").result() == 2
    assert len(started) == 2 and started[0] == started[1]


def test_a_cluster_that_never_starts_is_told(monkeypatch):
    def fails(**_):
        raise AssertionError

    monkeypatch.setattr(cluster.optional_package("distributed"), "LocalCluster", fails)
    with pytest.raises(TrainingError, match="E514.*two tries"), connected("local", 2):
        pass


def test_work_without_workers_ends(monkeypatch):
    monkeypatch.setitem(cluster.CONFIG, "distributed.scheduler.no-workers-timeout", "1s")
    with connected("local", 1) as client, pytest.raises(TrainingError, match="E508.*no worker left for 1 second\\."):
        client.retire_workers()
        list(in_any_order(len, ["a", "b"], client=client))


def test_a_dask_table_gets_the_same_answers(two, trained, given):
    import dask.dataframe as dd

    ddf = dd.read_parquet(sorted(map(str, given.glob("*.parquet"))))
    lazy = predict_frame(trained, ddf, proba=True)
    found = two.compute(lazy).result().reset_index(drop=True)
    whole = pd.concat(map(pd.read_parquet, sorted(given.glob("*.parquet"))), ignore_index=True)
    assert found["id"].tolist() == whole["id"].tolist() and [*lazy.columns] == [*found.columns]
    assert found["prediction"].tolist() == [p.label for p in SavedModel(trained).predict(whole["text"].tolist())]
    assert (found["probability_neg"] + found["probability_pos"]).round(3).eq(1).all()
    some = ddf[ddf["id"] < 30].set_index("id", sorted=True)  # most partitions have no rows
    assert (found := (lazy := predict_frame(trained, some, top_k=2)).compute(scheduler="sync")).index.name == "id"
    assert len(found) == 30 and (found.dtypes == lazy.dtypes).all() and "probability_2" in found
    with pytest.raises(TextError, match="E102"):
        predict_frame(trained, ddf[["id", "label"]])


def test_a_cluster_makes_the_same_tokens_byte_for_byte(two, tmp_path, monkeypatch):
    texts = toy_texts(90, seed=0)
    for i in range(6):
        pd.DataFrame({"text": [*texts[i * 15:(i + 1) * 15], texts[0]]}).to_parquet(tmp_path / f"{i}.parquet")
    plan, stores = Plan(corpus=f"{tmp_path}/*.parquet", emb=8, hid=8, layers=1, bs=4, seq_len=10, min_freq=1), []
    for client in (None, two):
        monkeypatch.setenv("ULMFIT_EASY_CACHE", str(tmp_path / f"cache of {'two' if client else 'one'}"))
        data = corpus_data(plan, client=client)
        folder, = (path for path in (tmp_path / f"cache of {'two' if client else 'one'}/tokens").iterdir()
                   if path.is_dir())
        stores.append({path.name: path.read_bytes() for path in folder.iterdir()})
        assert len(TokenStore(folder)) == len({*texts}) and data.names == (folder.name,)
    assert stores[0] == stores[1] and len(stores[0]) == 5


def test_the_model_of_a_worker_is_loaded_once(two, trained, given, tmp_path):
    sha256 = parts.sha256_of_model(trained)

    def info(_):
        parts.model_of(str(trained), sha256, 1)
        return os.getpid(), parts._loaded.cache_info().misses

    found = {result for _, result in in_any_order(info, [*range(8)], client=two)}
    assert len(found) == len({pid for pid, _ in found})  # the number of loads of a worker stays
