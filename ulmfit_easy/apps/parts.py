"""Answers for many files: one output file for each, in this process or in those of a Dask cluster.

An output file has the name of its input. Beside them the folder `_manifest` has a small JSON file for each. It tells of
which input, model and options the answers are. It is written before them, and again after them with their size. So a
crash costs no more than the parts that were under way. Readers of folders, such as pandas and Dask, pass over names
that begin with `_`.
"""

import os
import warnings
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from glob import glob
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from ulmfit_easy.apps.answers import Answers, separator
from ulmfit_easy.apps.sources import is_there
from ulmfit_easy.apps.tables import FORMS
from ulmfit_easy.errors import FileError, counted, some
from ulmfit_easy.files import existing, read_json, sha256_bytes, sha256_file, write_json
from ulmfit_easy.places import writable
from ulmfit_easy.text.corpus import matching
from ulmfit_easy.user_code import warn_user

if TYPE_CHECKING:
    from ulmfit_easy.apps.saved_model import SavedModel

MANIFEST = "_manifest"
WORKER = 600 << 20  # bytes of a worker without its model: Python, torch, pandas and a piece of a table
_loading = Lock()


@dataclass(frozen=True)
class Job:
    """The settings that all parts of a prediction share.

    Attributes:
        model, out: folders on a disk that every worker can read and write.
        model_sha256: the hash of all files of the model.
        answers: the columns to read and to write.
        kind: the kind of the model's labels.
        reading: encoding, quoting and delimiter of tables.
    """

    model: str
    out: str
    model_sha256: str
    answers: Answers
    kind: str
    reading: dict
    safe_cells: bool = False

    @cached_property
    def sha256(self) -> str:
        """The hash of all that decides the answers for a text."""
        from ulmfit_easy.bundle.record import versions

        same = {**asdict(self), "model": None, "out": None, "made_with": versions()}
        return sha256_bytes(repr(same).encode())


class Part(NamedTuple):
    """An input file, the name of its output in the folder of all, and the form of that."""

    source: str
    name: str
    form: str

    def manifest(self, out: str) -> Path:
        """Return the file that tells what the output is."""
        return Path(out, MANIFEST, f"{self.name}.json")


class Done(NamedTuple):
    """The result of a part: its rows, rows without text, warnings, and True if an earlier run did it."""

    n: int
    n_empty: int
    warned: list[str]
    before: bool


def parts_of(names: Sequence[str], out: Path) -> list[Part]:
    """Return the parts of some files and patterns. An output has the path of its input below the folder of all.

    Answers of an earlier run, which a pattern such as `**/*.csv` finds too, are left out.

    Raises: E404 if nothing is there. E412 for two files whose outputs would have one name.
    """
    files = [Path(os.path.abspath(existing(file))) for file in matching(*names)]
    files = [file for file in files if not _is_answer(file, out)]
    if not files:
        raise FileError("E404", received=f"nothing but answers in {out}", expected="files of tables",
                        fix="name the files that these are from")
    if folders := [file for file in files if file.is_dir()]:
        raise FileError("E404", received=f"the folder {folders[0]}", expected="files of tables",
                        fix=f"try '{folders[0]}/*.parquet'")
    top = os.path.commonpath([file.parent for file in files])
    parts = []
    for file in dict.fromkeys(files):
        form = next((form for form in FORMS if file.name.lower().endswith(form)), None)
        name = os.path.relpath(file, top)
        parts.append(Part(str(file), name if form else f"{os.path.splitext(name)[0]}.csv", form or ".csv"))
    names = [part.name for part in parts]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise FileError("E412", received=f"several inputs for the output {some(twice)}", expected="names that differ",
                        fix="rename one of these files")
    return parts


def _is_answer(file: Path, out: Path) -> bool:
    """Return True for a file that was written to the folder `out` by an earlier run."""
    name = os.path.relpath(file, out)
    return name.startswith(MANIFEST + os.sep) or Path(out, MANIFEST, f"{name}.json").exists()


def are_several(given: Sequence[str]) -> bool:
    """Return True if several files are named, or a pattern such as `in/*.parquet` that a file has."""
    there = [is_there(each) for each in given]
    return len(given) > 1 and all(there) or any(
        not exists and {*each} & {*"*?["} and glob(each, recursive=True)
        for each, exists in zip(given, there, strict=True))


def sha256_of_model(folder: Path) -> str:
    """Return the hash of all files in the folder of a model."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return sha256_bytes(repr([(str(path.relative_to(folder)), sha256_file(path)) for path in files]).encode())


def memory_of_model(folder: Path) -> int:
    """Return about how many bytes a worker needs for a model: its weights twice, while they are read."""
    return WORKER + 2 * sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def check_out(out: Path, job: Job, parts: Sequence[Part]) -> None:
    """Raise E412 for a folder with anything but parts of the same work in it, and E411 as `writable`."""
    writable(out / MANIFEST)
    own = {part.name for part in parts}
    there = [str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()]
    there = [name for name in there if not any(part.startswith(".") for part in Path(name).parts)]
    strange = [name for name in there if name.split(os.sep)[0] != MANIFEST and name not in own]
    strange += [part.name for part in parts if part.name in there and not part.manifest(job.out).exists()]
    for part in parts:
        found = _read(part.manifest(job.out))
        if part.name in there and found and found.get("job") != job.sha256:
            raise FileError("E412", received=f"{out} with answers of another model, version or other options, such as "
                            f"{part.name}", expected="a new folder, or one of the same work to go on with",
                            fix="choose another folder for --out, or delete this one")
    if strange:
        raise FileError("E412", received=f"{out} with {some(strange)}, which is none of the answers for these files",
                        expected="a new folder, or one of the same work to go on with",
                        fix="choose another folder for --out, or move these files away")


def _read(manifest: Path) -> dict[str, Any]:
    """Return what a manifest says. Nothing if it is not there or damaged."""
    try:
        found = read_json(manifest)
    except FileError:
        return {}
    return found if isinstance(found, dict) else {}


def predict_part(part: Part, job: Job, threads: int | None = None) -> Done:
    """Answer for one file, unless that was done before. `in_any_order` calls it, here or in a worker of `threads`."""
    out, manifest = Path(job.out, part.name), part.manifest(job.out)
    facts: dict[str, Any] = {"job": job.sha256, "input": sha256_file(part.source)}
    found = _read(manifest)
    if facts.items() <= found.items() and out.is_file() and out.stat().st_size == found.get("bytes"):
        return Done(found["rows"], found["without_text"], [], True)
    write_json(manifest, facts)  # a crash after the answers leaves something to know them by
    model = model_of(job.model, job.model_sha256, threads)
    from ulmfit_easy.apps.sources import read_in_pieces
    from ulmfit_easy.bars import rows_of

    answers = replace(job.answers, sep=separator(model, part.form))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        pieces = read_in_pieces(Path(part.source), job.answers.columns, Namespace(**job.reading),
                                len(job.answers.columns), job.kind)
        shown = pieces if threads else rows_of(pieces, part.name)  # a worker of a cluster shows nothing
        n, empty = answers.write(shown, model, part.source, out, part.form, job.safe_cells)
    write_json(manifest, {**facts, "source": part.source, "rows": n, "without_text": len(empty),
                          "bytes": out.stat().st_size})
    return Done(n, len(empty), [str(each.message) for each in told if each.category is UserWarning], False)


def model_of(folder: str, sha256: str, threads: int | None = None) -> "SavedModel":
    """Return a model, which a process loads once. It computes in that many threads. E406 if it was replaced."""
    with _loading:
        return _loaded(folder, sha256, threads)


@lru_cache(maxsize=1)
def _loaded(folder: str, sha256: str, threads: int | None) -> "SavedModel":
    import torch

    from ulmfit_easy.apps.saved_model import SavedModel

    if threads:
        torch.set_num_threads(threads)
    model = SavedModel(Path(folder))
    if sha256_of_model(Path(folder)) != sha256:  # a worker may load it hours later
        raise FileError("E406", received=f"{folder}, which has changed since the work began", expected="one model for "
                        "all answers", fix="put the model back; or start again with another folder for the answers")
    return model


def predict_parts(names: Sequence[str], job: Job, scheduler: str | None = None, workers: int | None = None) -> str:
    """Answer for files of tables, and return in one line what was done.

    Args:
        names: of files, and patterns.
        scheduler, workers: see `connected`. Without a scheduler this process does all.

    Raises: what `parts_of`, `check_out`, `connected` and `predict_part` do. The first error ends the work.
    """
    from ulmfit_easy.bars import progress_bar
    from ulmfit_easy.cluster import connected, in_any_order

    parts = parts_of(names, Path(job.out))
    check_parts(parts, job)
    folders = {job.model, job.out, *(part.source for part in parts[:1])}
    check_out(Path(job.out), job, parts)
    found = list[Done]()
    with (connected(scheduler, workers, paths=folders, memory=memory_of_model(Path(job.model))) as client,
          progress_bar(total=len(parts), desc="predicting", unit=" parts") as bar):
        for i, done in in_any_order(predict_part, parts, job, 1 if client else None, client=client):
            found.append(done)
            bar.update()
            if done.warned and sum(bool(each.warned) for each in found) <= 3:
                warn_user(f"{parts[i].name}: {'; '.join(dict.fromkeys(done.warned))}")
    n, n_empty, n_before = sum(d.n for d in found), sum(d.n_empty for d in found), sum(d.before for d in found)
    return (f"{counted(n, 'row')} in {counted(len(parts), 'part')} written to {job.out}"
            + (f", {n_before:,} of them before" if n_before else "")
            + (f", {n_empty:,} rows without text" if n_empty else ""))


def check_parts(parts: Sequence[Part], job: Job) -> None:
    """Raise E407 for a file without a byte, and E102 for CSV and Parquet without the columns, before anything slow."""
    from ulmfit_easy.apps.sources import check_columns, is_conll
    from ulmfit_easy.data.json_form import empty
    from ulmfit_easy.data.tables import kind_of, read_pieces
    from ulmfit_easy.extras import optional_package

    for file in (Path(part.source) for part in parts):
        kind = kind_of(file)
        if not file.stat().st_size:
            raise empty(file)
        if kind == "parquet":
            df = optional_package("pyarrow.parquet").read_schema(file).empty_table().to_pandas()
        elif kind == "csv" and not is_conll(file, job.kind):
            with warnings.catch_warnings(action="ignore"):  # whoever reads all of it warns
                df = next(read_pieces(file, 1, **job.reading))
        else:
            continue
        check_columns(df, job.answers.columns, len(job.answers.columns), file)
