"""What the tests of reliability share: the small learners of other tests, and a fast place for files."""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("learner", "recipes", "bundle")]


@pytest.fixture
def place(tmp_path):
    """A folder in memory where there is one: a disk takes milliseconds for each of thousands of renames."""
    shm = Path("/dev/shm")
    with TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else tmp_path) as folder:
        (Path(folder) / "place").mkdir()
        yield Path(folder) / "place"
