"""Errors: a code, three parts, and a place in the documentation for each."""

import linecache
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ulmfit_easy
from ulmfit_easy.errors import (
    CODES,
    ArgumentError,
    ArgumentTypeError,
    FileError,
    LabelError,
    TextError,
    TrainingError,
    UlmfitError,
    VocabError,
    refuse_unknown,
    some,
)

PACKAGE, TESTS = Path(ulmfit_easy.__file__).parent, Path(__file__).parent
DOCS = (PACKAGE.parent / "docs" / "ERRORS.md").read_text(encoding="utf-8")
CLASSES = {"1": TextError, "2": LabelError, "3": VocabError, "4": FileError, "5": TrainingError, "6": ArgumentError}
PARTS = {"received": "2 rows", "expected": "3", "fix": "add one"}


def read(*files):
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


SOURCE = read(*(p for p in PACKAGE.rglob("*.py") if p.name != "errors.py"))
CLAIMS = read(*(p for p in TESTS.rglob("test_*.py") if p != Path(__file__)))


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_raised_tested_and_explained(code):
    classes = f"{CLASSES[code[1]].__name__}|AbsentError|ArgumentTypeError"
    assert re.search(rf'(?:{classes})\(\s*"{code}"|\w*Error\(code|warn_user\(\s*f?"\[{code}\]', SOURCE), code
    assert code in CLAIMS, f"no test names {code}"
    assert f"### {code}: {CODES[code]}\n" in DOCS


def test_no_unknown_code_is_used_or_explained():
    assert set(re.findall(r"\bE[1-6]\d\d\b", SOURCE + DOCS)) <= CODES.keys()
    assert re.findall(r"^### (E\d+)", DOCS, re.M) == list(CODES) == sorted(CODES)


def test_codes_are_raised_by_the_class_of_their_area():
    used = re.findall(r'\b(TextError|LabelError|VocabError|FileError|TrainingError|ArgumentError)\(\s*"(E\d+)"', SOURCE)
    assert len(used) > 60
    assert [(name, code) for name, code in used if CLASSES[code[1]].__name__ != name] == []


@pytest.mark.parametrize("code", CODES)
def test_a_message_has_three_parts_and_survives_pickling(code):
    error = CLASSES[code[1]](code, **PARTS)
    assert str(error) == f"[{code}] Received 2 rows. Expected 3. Fix: add one."
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error) and again.code == code
    assert (again.received, again.expected, again.fix) == tuple(PARTS.values())


@pytest.mark.parametrize(("cls", "builtin"), [(TextError, ValueError), (LabelError, ValueError),
                                              (VocabError, ValueError), (FileError, OSError),
                                              (TrainingError, RuntimeError), (ArgumentError, ValueError),
                                              (ArgumentTypeError, TypeError)])
def test_errors_are_pythons_too(cls, builtin):
    assert issubclass(cls, UlmfitError) and issubclass(cls, builtin)


def test_a_fix_ends_in_one_mark_be_it_a_question():
    assert str(TextError("E102", **{**PARTS, "fix": "did you mean 'a'?"})).endswith("Fix: did you mean 'a'?")
    assert not re.findall(r"""(?:fix|expected|received)=f?["'][^"'\n]*\.["'][,)]""", SOURCE)


def test_an_unknown_argument_is_refused_with_the_one_that_is_near_and_is_pythons_type_error():
    def outer(first, *, second, **kwargs): ...

    def inner(third=3): ...

    refuse_unknown({"second": 1, "third": 2}, outer, inner)
    for name, fix in (("sceond", "did you mean 'second'?"), ("thrid", "did you mean 'third'?"), ("x", "leave it out")):
        with pytest.raises(TypeError, match=f"E604.*{name}= for .*outer.*Fix: {re.escape(fix)}") as e:
            refuse_unknown({"second": 1, name: 2}, outer, inner)
        assert isinstance(e.value, ArgumentError)
        assert type(pickle.loads(pickle.dumps(e.value))) is ArgumentTypeError
    for name in ("kwargs", "third"):  # no argument, and one that the function gives itself
        with pytest.raises(ArgumentError, match=f"Received {name}= .*leave it out; it has first, second"):
            refuse_unknown({name: 1}, outer, inner, but=["third"])


def test_an_unknown_code_cannot_be_raised():
    with pytest.raises(KeyError, match="E999"):
        UlmfitError("E999", **PARTS)


def test_some_shows_the_first_few():
    assert some([3, 8]) == "3, 8" and some(range(17)) == "0, 1, 2, 3, 4 (and 12 more)" and some([]) == ""


def error_of(source: str, file: str) -> UlmfitError:
    """The error that these lines raise, as those of a file."""
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    with pytest.raises(UlmfitError) as e:
        exec(compile(source, file, "exec"), {"refuse_unknown": refuse_unknown})
    e.value.__traceback__ = e.value.__traceback__.tb_next  # not this function
    return e.value


def test_a_notebook_shows_the_users_lines_and_the_message_without_frames_of_the_library():
    source = "def mine():\n    refuse_unknown({'x': 1}, mine)\n\nmine()\n"
    error = error_of(source, "/home/me/mine.py")
    assert error._render_traceback_() == [
        "File /home/me/mine.py, line 4: mine()",
        "File /home/me/mine.py, line 2: refuse_unknown({'x': 1}, mine)",
        f"ArgumentTypeError: {error}", "", "To see every frame: import traceback; traceback.print_last()"]
    inside = error_of(source, "/venv/lib/python3/site-packages/other/file.py")
    assert inside._render_traceback_()[0] == f"ArgumentTypeError: {inside}"


@pytest.mark.slow
def test_ipython_shows_a_coded_error_in_short_and_keeps_every_frame(tmp_path):
    pytest.importorskip("IPython")
    script = tmp_path / "mine.ipy"
    script.write_text("from ulmfit_easy.errors import refuse_unknown\nrefuse_unknown({'x': 1}, print)\n")
    code = f"%run {script}\nimport traceback\ntraceback.print_last()"
    run = subprocess.run([sys.executable, "-m", "IPython", "--colors=nocolor", "--no-banner"], input=code, text=True,
                         capture_output=True, env={**os.environ, "IPYTHONDIR": str(tmp_path)}, timeout=100)
    short = run.stdout.split("To see every frame")[0]
    assert "line 2: refuse_unknown({'x': 1}, print)\nArgumentTypeError: [E604] Received x= for print" in short
    assert "raise ArgumentTypeError" not in short and "raise ArgumentTypeError" in run.stdout + run.stderr
