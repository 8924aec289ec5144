"""The wheel: what git tracks of the package, with its language models and licences, and nothing else."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"  # as pip does, offline


@pytest.fixture(scope="module")
def tracked():
    """The files that git tracks, but for those deleted since."""
    git = shutil.which("git")
    listed = git and subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout
    files = {name for name in (listed or "").split("\0") if name and (ROOT / name).exists()}
    if not any(name.startswith("ulmfit_easy/weights/") for name in files):
        pytest.skip("the wheel is built from a git checkout with weights, and this is none")
    return files


@pytest.fixture(scope="module")
def wheel(tracked, tmp_path_factory):
    """Built from a copy of all that git tracks, so that nothing is written into the checkout."""
    pytest.importorskip("setuptools", "70.1", "setuptools builds wheels by itself from 70.1 on")
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("out")
    for name in tracked:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    subprocess.run([sys.executable, "-c", BUILD, out], cwd=copy, check=True, capture_output=True)
    (file,) = out.glob("*.whl")
    return file


def test_the_wheel_holds_the_package_its_models_and_its_licences_and_nothing_else(wheel, tracked):
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {name for name in names if ".dist-info/" not in name}
    assert package == {name for name in tracked if name.startswith("ulmfit_easy/")}
    for model in ("awd_lstm-fwd", "awd_lstm-bwd", "awd_lstm-ko-fwd"):
        assert {f"ulmfit_easy/weights/{model}/{part}" for part in ("model.safetensors", "README.md")} <= package
    assert "ulmfit_easy/weights/vectors-en/vectors.safetensors" in package
    assert {Path(name).name for name in names - package} >= {"LICENSE", "NOTICE", "METADATA"}


def test_the_wheel_has_at_most_78_megabytes(wheel):
    assert wheel.stat().st_size <= 78e6


def test_an_editable_install_is_a_folder_on_the_path_which_type_checkers_can_see(tmp_path):
    pytest.importorskip("setuptools", "70.1", "setuptools builds wheels by itself from 70.1 on")
    copy = tmp_path / "copy"
    (copy / "ulmfit_easy").mkdir(parents=True)
    for name in ("setup.py", "settings.ini", "pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, copy / name)
    (copy / "ulmfit_easy" / "__init__.py").touch()
    build = BUILD.replace("build_wheel", "build_editable")
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=copy, check=True, capture_output=True)
    (file,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(file) as built:
        paths = [name for name in built.namelist() if name.endswith(".pth")]
        assert [built.read(name).decode().strip() for name in paths] == [str(copy)]


def test_no_script_hides_a_module_of_python():
    scripts = {path.stem for folder in ("bench", "runs", "nbs", "packages") for path in (ROOT / folder).glob("*.py")}
    assert scripts and not scripts & sys.stdlib_module_names
