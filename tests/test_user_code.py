"""A warning shows the user's own line, through however many lines of libraries it came."""

import sysconfig
from pathlib import Path

import pytest

import ulmfit_easy
from ulmfit_easy.user_code import is_library, warn_user

PACKAGE = Path(ulmfit_easy.__file__).parent
IN_A_LIBRARY = {"package": f"{PACKAGE}/data/loaders.py", "installed": "/venv/lib/python3/site-packages/other/file.py",
                "debian": "/usr/lib/python3/dist-packages/other.py", "frozen": "<frozen runpy>",
                "python": f"{sysconfig.get_path('stdlib')}/json.py"}
OF_THE_USER = {"beside": f"{PACKAGE}_course/lesson.py", "file": f"{PACKAGE}.py", "cell": "/tmp/ipykernel_7/42.py",
               "prompt": "<stdin>"}


@pytest.mark.parametrize("kind", IN_A_LIBRARY)
def test_lines_of_libraries_are_not_the_users(kind):
    assert is_library(IN_A_LIBRARY[kind])


@pytest.mark.parametrize("kind", OF_THE_USER)
def test_other_lines_are_the_users(kind):
    assert not is_library(OF_THE_USER[kind])


@pytest.mark.parametrize("files", [("package",), ("package", "installed", "package"), ("python", "frozen")],
                         ids="-".join)
def test_a_warning_is_shown_at_the_innermost_line_of_the_user(files):
    call = warn_user
    for file in files:
        namespace = {"call": call}
        exec(compile("def f(message):\n    call(message)\n", IN_A_LIBRARY[file], "exec"), namespace)
        call = namespace["f"]
    with pytest.warns(UserWarning, match="look here") as told:
        call("look here")
    assert told[0].filename == __file__


def test_without_a_line_of_the_user_a_warning_is_still_given():
    namespace = {"warn_user": warn_user}
    exec(compile("import threading\nthread = threading.Thread(target=warn_user, args=['alone'])\n",
                 IN_A_LIBRARY["package"], "exec"), namespace)
    with pytest.warns(UserWarning, match="alone"):
        namespace["thread"].start()
        namespace["thread"].join()


def test_every_warning_of_the_package_goes_through_one_function():
    sources = [path for path in PACKAGE.rglob("*.py") if "warnings.warn(" in path.read_text(encoding="utf-8")]
    assert [path.name for path in sources] == ["user_code.py"]
