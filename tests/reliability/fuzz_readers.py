"""Readers under random bytes: each answers, or refuses with a code, and does nothing else.

As a program it is a target of atheris, which changes bytes until they reach new lines of the library:
`fuzz_readers.py TARGET CORPUS -runs=100000` (libFuzzer's options).
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

GOOD = Path(__file__).parents[1] / "goldens" / "artefacts" / "0.1.0-before-checksums" / "classifier"  # no hash to miss


def bundle(data: bytes):
    """The first byte says which of the three files the others take the place of."""
    from ulmfit_easy.bundle.artefact import FILES
    from ulmfit_easy.errors import UlmfitError
    from ulmfit_easy.learner.text import load_learner

    folder = _place("bundle")
    for name in FILES:
        shutil.copy(GOOD / name, folder / name)
    if data:
        (folder / FILES[data[0] % 3]).write_bytes(data[1:])
    try:
        load_learner(folder)
    except UlmfitError:
        pass


def words(data: bytes):
    """A pickled word list."""
    from ulmfit_easy.bundle.wordlist import read_words
    from ulmfit_easy.errors import UlmfitError

    file = _place("words") / "itos.pkl"
    file.write_bytes(data)
    try:
        assert all(isinstance(word, str) for word in read_words(file))
    except UlmfitError:
        pass


def archive(data: bytes):
    """A tar or a zip; nothing may appear beside it."""
    from ulmfit_easy.archives import extract_archive
    from ulmfit_easy.errors import UlmfitError

    folder = _place("archive")
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "a").write_bytes(data)
    try:
        extract_archive(folder / "a", folder / "out", max_bytes=1 << 20, max_files=50)
    except UlmfitError:
        pass
    assert {p.name for p in folder.iterdir()} <= {"a", "out"}


def rules(data: bytes):
    """A text, through all rules and back: never an error, and no control token that the text brought along."""
    from ulmfit_easy.text.tokenizers import Tokenizer
    from ulmfit_easy.text.words import BaseTokenizer

    tokenizer = Tokenizer(BaseTokenizer())
    tokens = tokenizer(data.decode("utf-8", "surrogateescape"))
    assert tokens[:1] == ["xxbos"] and not {"xxpad", "xxunk", "xxeos", "xxfld"} & {*tokens[1:]}
    tokenizer.detokenize(tokens)


TARGETS = {f.__name__: f for f in (bundle, words, archive, rules)}
_PLACES = {}


def _place(name: str) -> Path:
    if name not in _PLACES:
        in_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        _PLACES[name] = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-", dir=in_memory))
    return _PLACES[name]


def seeds(name: str) -> list[bytes]:
    """Good files for a target to start from."""
    import gzip
    import io
    import pickle
    import tarfile
    import zipfile

    if name == "bundle":
        return [bytes([i]) + (GOOD / file).read_bytes()
                for i, file in enumerate(("model.safetensors", "vocab.json", "config.json"))]
    if name == "words":
        return [pickle.dumps(["xxunk", "the", "the", "film"], protocol) for protocol in range(6)]
    if name == "rules":
        return [b"I don't LIKE it!!!! &amp; xxpad xxrep 3 a <br /> #39; (so so so) http://a.b", b"\xff\xfe", b""]
    tar, whole = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as out:
        info = tarfile.TarInfo("a/b.txt")
        info.size = 5
        out.addfile(info, io.BytesIO(b"hello"))
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a/b.txt", b"hello" * 20)
    return [tar.getvalue()[:2048], gzip.compress(tar.getvalue()[:2048]), whole.getvalue()]


def main():
    import atheris

    target = TARGETS[sys.argv.pop(1)]
    with atheris.instrument_imports(include=["ulmfit_easy", "tarfile", "zipfile", "pickletools"]):
        import ulmfit_easy.archives
        import ulmfit_easy.bundle.wordlist
        import ulmfit_easy.learner.text  # noqa: F401
    try:
        atheris.Setup(sys.argv, target)
        atheris.Fuzz()
    finally:
        for place in _PLACES.values():
            shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
