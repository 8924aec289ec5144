"""What the two doors, `import ulmfit_easy` and `from ulmfit_easy.all import *`, bring and what they leave outside."""

import ast
import inspect
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from package_source import modules

import ulmfit_easy
import ulmfit_easy.all as door
from ulmfit_easy.absent import STAND_INS

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "pandas", "spacy", "matplotlib", "sklearn", "transformers", "peft")
PROBE = """
import json, sys, time
start = time.perf_counter()
{statement}
seconds = time.perf_counter() - start
print(json.dumps([seconds, [m for m in {heavy} if m in sys.modules], sorted(globals())]))
"""


def enter(statement):
    """Seconds, heavy modules and names after a statement in a fresh interpreter."""
    code = PROBE.format(statement=statement, heavy=HEAVY)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_importing_the_package_is_instant_and_loads_nothing_heavy():
    found = [enter("import ulmfit_easy") for _ in range(3)]
    assert all(heavy == [] for _, heavy, _ in found)
    assert min(seconds for seconds, _, _ in found) < 0.3


def test_the_notebooks_door_loads_torch_and_pandas_only():
    _, heavy, names = enter("from ulmfit_easy.all import *")
    assert set(heavy) == {"torch", "pandas"}
    assert set(door.__all__) <= set(names)


def test_the_notebooks_door_brings_the_intended_names_and_no_others():
    assert len(door.__all__) == len(set(door.__all__))
    assert {"pd", "np", "torch", "Path"} <= set(door.__all__)
    imported = {name for node in ast.parse(inspect.getsource(door)).body
                if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names
                for name in (import_module(node.module).__all__ if alias.name == "*" else [alias.asname or alias.name])}
    imported = {name for name in imported if not name.startswith("_")}
    assert set(door.__all__) == imported | set(STAND_INS)  # nothing leaks in from a star import or a module's own name


TYPED = """
import ulmfit_easy.all
from ulmfit_easy import *
from ulmfit_easy.all import *

reveal_type([{names}])
reveal_type(text_classifier_learner(TextDataLoaders.from_df(pd.DataFrame()), AWD_LSTM, metrics=accuracy))
reveal_type(load_learner("model"))
ulmfit_easy.all.no_such_name
"""


@pytest.mark.slow
def test_a_type_checker_knows_every_name_of_the_doors(tmp_path):
    pytest.importorskip("mypy")
    names = {*door.__all__, *ulmfit_easy.__all__} - {*STAND_INS, "__version__"}
    (tmp_path / "notebook.py").write_text(TYPED.format(names=", ".join(sorted(names))))
    says = subprocess.run([sys.executable, "-m", "mypy", "--config-file=", "--ignore-missing-imports",
                           f"--cache-dir={tmp_path}", tmp_path / "notebook.py"],
                          cwd=ROOT, capture_output=True, text=True).stdout
    assert says.count("ulmfit_easy.learner.text_learner.TextLearner") == 2
    assert [line.split(": ", 1)[1] for line in says.splitlines() if " error: " in line] == [
        'error: Module has no attribute "no_such_name"  [attr-defined]'], says


def test_every_name_of_the_package_resolves():
    for name in ulmfit_easy.__all__:
        assert getattr(ulmfit_easy, name) is not None
        assert name in dir(ulmfit_easy)
        if name != "__version__":
            assert getattr(ulmfit_easy, name) is getattr(door, name)
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", ulmfit_easy.__version__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = ulmfit_easy.nonsense


DESIGNS_EXAMPLE = ("TextDataLoaders language_model_learner AWD_LSTM accuracy Perplexity text_classifier_learner "
                   "ULMFiT load_learner discriminative").split()


def test_the_door_has_what_the_designs_example_uses():
    assert set(DESIGNS_EXAMPLE) <= set(door.__all__)


@pytest.mark.parametrize("path", sorted((ROOT / "nbs").glob("*.ipynb")), ids=lambda p: p.stem)
def test_the_door_has_every_name_that_a_lesson_uses(path):
    cells = [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
    source = "\n".join("".join(c["source"]) for c in cells)
    tree = ast.parse(re.sub(r"^( *)%.*", r"\1pass", source, flags=re.MULTILINE))  # no magic of IPython
    made = {alias.asname or alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    made |= {alias.name for n in ast.walk(tree)
             if isinstance(n, ast.ImportFrom) and not n.module.startswith("ulmfit_easy") for alias in n.names}
    made |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    made |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    made |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    made |= {n.name for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler)}
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    assert used - made - set(dir(__builtins__ if inspect.ismodule(__builtins__) else sys.modules["builtins"])) \
        <= set(door.__all__)


OURS = [name for name in door.__all__ if getattr(getattr(door, name), "__module__", "").startswith("ulmfit_easy")]


@pytest.mark.parametrize("name", OURS)
def test_every_public_class_and_function_says_what_it_is(name):
    thing = getattr(door, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        made_up = f"{name}("  # what a dataclass or a named tuple without a docstring has
        assert thing.__doc__ and not thing.__doc__.startswith(made_up)


DESIGN = (ROOT / "docs" / "DESIGN.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", sorted(set(re.findall(r"`([a-z_0-9/]+/[a-z_0-9]+\.(?:py|md))`", DESIGN))))
def test_each_file_that_the_design_names_is_there(file):
    assert (ROOT / file).exists() or (ROOT / "ulmfit_easy" / file).exists()


def test_every_module_says_what_it_is_for():
    assert [file.name for file, tree in modules().items()
            if file.name != "__init__.py" and not ast.get_docstring(tree)] == []


def test_no_file_of_the_package_has_more_than_300_lines():
    long = [file.name for file in modules() if file.read_text(encoding="utf-8").count("\n") > 300]
    assert not long, "one idea a file: split these"
