"""The example of each public name in docs/examples runs and prints what it says."""

import doctest
import sys
from pathlib import Path

import matplotlib
import pytest

DOCS = Path(__file__).parent.parent / "docs"
sys.path.insert(0, str(DOCS / "site"))
from public import EXAMPLES, addresses, examples, public_names  # noqa: E402

SLOW = {"callbacks", "fastai", "learner", "recipes", "tools"}  # a second each
FILES = [pytest.param(path.stem, marks=[pytest.mark.slow] * (path.stem in SLOW))
         for path in sorted(EXAMPLES.glob("*.md")) if path.stem != "preparation"]


def run(path: Path, names: dict) -> None:
    """Run the prompts of a file with these names, and compare what they print."""
    test = doctest.DocTestParser().get_doctest(path.read_text(encoding="utf-8"), {}, path.name, str(path), 0)
    test.globs = names
    doctest.DebugRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL).run(test, clear_globs=False)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The names that all examples share, and the folder with their files."""
    matplotlib.use("Agg")
    folder, names = tmp_path_factory.mktemp("examples"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(EXAMPLES / "preparation.md", names)
        yield names


@pytest.mark.parametrize("file", FILES)
def test_examples_print_what_they_say(file, prepared):
    run(EXAMPLES / f"{file}.md", dict(prepared))


def test_each_public_name_has_an_example():
    names, shown = public_names(), examples()
    bare = [name for name, (_, value) in names.items() if name not in shown and ">>> " not in (value.__doc__ or "")]
    assert not bare, f"write an example in docs/examples (or in the docstring) for {bare}"


def test_each_example_is_of_a_public_name():
    assert not examples().keys() - public_names().keys()


def test_each_example_has_a_prompt():
    assert not [name for name, example in examples().items() if ">>> " not in example]


def test_no_two_pages_of_the_reference_have_one_address():
    pages = [page.lower() for page in addresses(public_names()).values()]
    assert len(pages) == len(set(pages)) > 250
