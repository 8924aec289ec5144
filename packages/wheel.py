"""Build a wheel of weights from folders that `learn.export` or `ulmfit pretrain` wrote.

    python packages/wheel.py ulmfit-easy-ko 0.1 /path/to/fwd /path/to/bwd

`pip install ulmfit_easy_ko-0.1-py3-none-any.whl` then gives `ULMFiT(lang="ko")` these models. The wheel holds the
folders under their own names and no code. `ulmfit_easy.weights` is the entry point group in which they are found.
"""

import argparse
import base64
import hashlib
import re
import zipfile
from pathlib import Path

from ulmfit_easy.errors import UlmfitError
from ulmfit_easy.learner.pretrained import read_lm

METADATA = """Metadata-Version: 2.1
Name: {name}
Version: {version}
Summary: Language models for ulmfit_easy
Requires-Dist: ulmfit-easy
"""
WHEEL = "Wheel-Version: 1.0\nGenerator: ulmfit_easy\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build(name: str, version: str, folders: list[Path], out: Path = Path()) -> Path:
    """Write the wheel of a name and version into the folder `out`, and return its path.

    A folder holds a language model, or word vectors: `vectors.safetensors` and `words.json`, the most
    frequent word first.

    Raises: SystemExit for a name that is no name of a package, and for two folders of one name. FileError for a folder
        that is no exported language model.
    """
    package = re.sub("[-_.]+", "_", name).lower()
    if not package.isidentifier() or len({folder.name for folder in folders}) < len(folders):
        raise SystemExit(f"Received {name} with {[folder.name for folder in folders]}. Expected the name of a package, "
                         "and folders of different names. Fix: rename them.")
    for folder in folders:
        if not (folder / "vectors.safetensors").exists():
            read_lm(folder.resolve())
    info, record = f"{package}-{version}.dist-info", []
    path = out / f"{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        def add(file: str, data: bytes):
            wheel.writestr(file, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{file},sha256={digest},{len(data)}")

        for folder in folders:
            for file in sorted(file for file in folder.iterdir() if file.is_file()):
                add(f"{package}/{folder.name}/{file.name}", file.read_bytes())
        add(f"{info}/METADATA", METADATA.format(name=name, version=version).encode())
        add(f"{info}/WHEEL", WHEEL.encode())
        add(f"{info}/entry_points.txt", f"[ulmfit_easy.weights]\nweights = {package}\n".encode())
        wheel.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,\n"]))
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the wheel, such as ulmfit-easy-ko")
    parser.add_argument("version")
    parser.add_argument("folders", nargs="+", type=Path, help="of exported language models")
    parser.add_argument("--out", type=Path, default=Path())
    try:
        print(build(**vars(parser.parse_args())))
    except UlmfitError as e:
        raise SystemExit(str(e)) from None
