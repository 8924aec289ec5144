"""Open the file of a table by its first bytes: plain, compressed, in a zip archive, or a workbook."""

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from ulmfit_easy.archives import unpacked
from ulmfit_easy.errors import FileError, UlmfitError, some
from ulmfit_easy.files import existing, regular_file

ENDINGS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zip": "zip"}
ZIP, XLS = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
UNREADABLE = {b"%PDF-": "a PDF document", b"\x28\xb5\x2f\xfd": "compressed with zstd",
              b"7z\xbc\xaf\x27\x1c": "a 7z archive", b"Rar!": "a RAR archive"}
BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


@contextmanager
def opened(path: str | Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Open the table in a file, without its compression, and give its name and its bytes.

    The first bytes decide, whatever the name says. A workbook keeps its bytes and gets the name `.xlsx`.

    Raises: E404 for a folder, or if nothing is there. E401 for a pipe or a device. E407 for damaged data, for an
        archive without exactly one file and for kinds of files that are no tables.
    """
    path = existing(path)
    if path.is_dir():
        raise FileError("E404", received=f"the folder {path}", expected="a file", fix="name the file in it")
    with ExitStack() as stack:
        file: IO[bytes]
        file = plain = stack.enter_context(regular_file(path))
        try:
            start = file.read(8)
            file.seek(0)
            end = ENDINGS.get(path.suffix.lower())
            name = path.with_suffix("") if end else path
            if start.startswith(ZIP):
                name, file = _in_zip(path, stack.enter_context(zipfile.ZipFile(file)), file, stack)
            elif start == XLS:
                raise _refused(path, "a workbook of an old Excel or another Office document", "save it as CSV (UTF-8)")
            for magic, kind in UNREADABLE.items():
                if start.startswith(magic):
                    raise _refused(path, kind, "unpack it, or save it as CSV (UTF-8)")
            file = stack.enter_context(unpacked(file, start))
            if end and file is plain:
                raise FileError("E407", received=f"{path}, whose {end} data is incomplete or damaged",
                                expected=f"a {path.suffix} file",
                                fix="fetch it again, or rename it if it is not compressed")
            yield name, file
        except UlmfitError:
            raise
        except BROKEN as e:
            raise FileError("E407", received=f"{path}, which cannot be read to its end ({e})",
                            expected="a whole file", fix="fetch or write it again") from e


def _in_zip(path: Path, archive: zipfile.ZipFile, file: IO[bytes], stack: ExitStack) -> tuple[Path, IO[bytes]]:
    """Return the name and the bytes of the only file in a zip archive. A workbook is an archive, too."""
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if "[Content_Types].xml" in names or "mimetype" in names:
        if not any(name.startswith("xl/") for name in names):
            raise _refused(path, "an Office document", "save its table as CSV (UTF-8)")
        file.seek(0)
        return path.with_suffix(".xlsx"), file
    if len(names) != 1:
        raise _refused(path, f"a zip archive of {len(names)} files ({some(names, 3)})",
                       "unpack it and name one of them")
    return Path(names[0]), stack.enter_context(archive.open(names[0]))


def _refused(path: Path, what: str, fix: str) -> FileError:
    return FileError("E407", received=f"{path}, which is {what}", expected="CSV, JSON lines or Parquet", fix=fix)
