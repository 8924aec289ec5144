"""Random state: what may not draw from it."""

import random
import sys

from ulmfit_easy.data.random_state import python_random_kept


def test_a_module_that_draws_while_it_is_imported_changes_no_random_number(tmp_path, monkeypatch):
    (tmp_path / "drawing.py").write_text("import random\n\nDRAWN = random.random()\n")
    monkeypatch.syspath_prepend(tmp_path)
    random.seed(0)
    try:
        with python_random_kept():
            import drawing
        assert drawing.DRAWN == random.random()
    finally:
        del sys.modules["drawing"]
