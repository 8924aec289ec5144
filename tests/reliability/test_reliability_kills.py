"""`kill -9` at any moment: what was written before is there, or what came next, and a run goes on to the same end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faults import tally

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


def kills(script, *args) -> dict:
    """What a script of victims found; each has one thread."""
    path = os.pathsep.join(map(str, (HERE.parents[1], HERE.parent, HERE.parent / "learner")))
    run = subprocess.run([sys.executable, script, *map(str, args)], capture_output=True, text=True,
                         env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path})
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("n", [40, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["file", pytest.param("folder", marks=pytest.mark.skipif(
    sys.platform != "linux", reason="two folders can be exchanged in one step on Linux"))])
def test_a_kill_leaves_the_newest_checkpoint_or_the_next(kind, n, tmp_path):
    found = kills(HERE / "killed.py", kind, tmp_path, n, 0)
    tally("R3", f"a checkpoint of one {kind}", found["kills"], found["unreadable"] + found["wrong"],
          unit="kills", bad="unreadable or of a wrong step")


@pytest.mark.parametrize("n", [40, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["file_in_place", "folder_in_place"])
def test_this_way_of_killing_finds_what_is_written_in_place(kind, n, tmp_path):
    """The control: without `atomic_path` the same kills do leave what cannot be read."""
    found = kills(HERE / "killed.py", kind, tmp_path, n, 0)
    broken = found["unreadable"] + found["wrong"]
    tally("R3", f"control, a {kind.replace('_', ' ')}: kills that broke one", broken,
          int(broken < n / 20), unit="broken", bad="blind")


@pytest.mark.parametrize("n", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_fit_that_is_killed_again_and_again_comes_to_the_same_end(n, tmp_path):
    found = kills(HERE.parent / "learner" / "checkpoint_toys.py", tmp_path, n, 1)
    assert found["kills"] >= n
    tally("R3", "a fit, killed and started again until it was through", found["kills"],
          found["runs"] - found["same"], unit="kills", bad="other ends than without")


@pytest.mark.parametrize("n", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_a_tokenisation_that_is_killed_comes_to_the_same_bytes(n, tmp_path):
    found = kills(HERE / "killed.py", "tokens", tmp_path, n, 0)
    assert found["whole before"] < found["kills"]  # they came while it wrote
    tally("C2", "tokenisation killed and begun again", found["kills"], found["differing"] + found["litter"],
          unit="kills", bad="differing stores or litter")
