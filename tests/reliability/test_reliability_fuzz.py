"""Whatever the bytes and whatever the settings: an answer, or an error with a code."""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import fuzz_readers
import pytest
from faults import tally
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ulmfit_easy.errors import UlmfitError
from ulmfit_easy.learner.text import load_learner

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None, "derandomize": True}


@pytest.fixture(scope="module", autouse=True)
def tidy():
    yield
    for place in fuzz_readers._PLACES.values():
        shutil.rmtree(place, ignore_errors=True)
    fuzz_readers._PLACES.clear()


def changed(seeds):
    """A good file with some bytes cut out, put in, or put over others."""
    edit = st.tuples(st.integers(0, 1 << 20), st.integers(0, 20), st.binary(max_size=20))

    def apply(data, edits):
        for at, cut, new in edits:
            at %= len(data) + 1
            data = data[:at] + new + data[at + cut:]
        return data

    return st.builds(apply, st.sampled_from(seeds), st.lists(edit, min_size=1, max_size=4)) | st.binary(max_size=300)


@pytest.mark.parametrize("n", [60, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", fuzz_readers.TARGETS)
def test_readers_under_changed_bytes(name, n):
    tried, failed = set(), []

    @settings(max_examples=n, **QUIET)
    @given(changed(fuzz_readers.seeds(name)))
    def run(data):
        tried.add(data)
        try:
            fuzz_readers.TARGETS[name](data)
        except Exception as e:
            failed.append((data, e))

    run()
    assert not failed, failed[0]
    tally("S3", f"changed bytes for the reader of {name}", len(tried), len(failed), "tried", "failed without a code")


# --- any value in any place of a config -------------------------------------------------------------------------

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                    | st.text(max_size=9) | st.sampled_from(["AWD_LSTM", "lm", "multi", "os.system", "SpacyTokenizer"]),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
                    max_leaves=8)


def paths(value, at=()):
    """Each place in a JSON value, as the keys that lead there."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*at, key)
        if isinstance(inner, dict | list):
            yield from paths(inner, (*at, key))


@pytest.mark.parametrize("n", [60, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["classifier", "language_model"])
def test_any_value_in_any_place_of_a_config(tmp_path, kind, n):
    folder = Path(shutil.copytree(fuzz_readers.GOOD.with_name(kind), tmp_path / "m"))
    good = json.loads((folder / "config.json").read_text())
    load_learner(folder).predict("it was")
    places, tried, failed = list(paths(good)), set(), []

    @settings(max_examples=n, **QUIET)
    @given(st.sampled_from(places), JSON)
    def run(path, value):
        config = at = copy.deepcopy(good)
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        content = json.dumps(config)
        tried.add(content)
        (folder / "config.json").write_text(content)
        try:
            load_learner(folder).predict("it was")
        except UlmfitError:
            pass
        except Exception as e:
            failed.append((path, value, e))

    run()
    assert not failed, failed[0]
    tally("S3", f"any value in any place of the config of a {kind.replace('_', ' ')}", len(tried), len(failed), "tried",
          "failed without a code")


# --- guided by what the bytes reach -----------------------------------------------------------------------------

RUNS = {"bundle": 4000, "words": 60_000, "archive": 15_000, "rules": 30_000}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", fuzz_readers.TARGETS)
def test_readers_under_bytes_that_look_for_new_lines(tmp_path, name):
    pytest.importorskip("atheris")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for i, seed in enumerate(fuzz_readers.seeds(name)):
        (corpus / f"{i}").write_bytes(seed)
    command = [sys.executable, Path(fuzz_readers.__file__), name, corpus, f"-runs={RUNS[name]}", "-max_total_time=30",
               "-max_len=60000", "-seed=1", "-rss_limit_mb=4096", "-timeout=60", f"-artifact_prefix={tmp_path}/"]
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=800, cwd=tmp_path)
    done = re.search(r"Done (\d+) runs", run.stderr)
    crashes = [p.name for p in tmp_path.iterdir() if p.is_file()]  # libFuzzer keeps what it failed on
    assert done and run.returncode == 0, run.stderr[-3000:]
    tally("S3", f"guided bytes for the reader of {name}", int(done[1]), len(crashes), "tried", "failed without a code")
