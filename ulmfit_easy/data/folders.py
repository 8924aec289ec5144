"""Folders of texts: which files are read, the class of each, and a word about the files that are left out."""

from collections.abc import Collection, Sequence
from pathlib import Path

from ulmfit_easy.data.sources import get_text_files, walked
from ulmfit_easy.errors import LabelError, TextError, counted, some
from ulmfit_easy.user_code import warn_user

PARTS = ("train", "valid", "test", "val", "dev")  # what data sets call them


def folder_texts(path: str | Path, folders: Sequence[str] | None = None,
                 extensions: Sequence[str] = (".txt",)) -> list[Path]:
    """Return the text files under `path`, as `get_text_files` finds them, with a warning that counts the other files.

    Raises: E104 for a folder without texts.
    """
    files = get_text_files(path, folders=folders, extensions=extensions)
    roots = [Path(path)] if folders is None else [Path(path) / folder for folder in folders]
    others = sorted({file for root in roots for file in walked(root)} - {*files})
    named = some(file.relative_to(path) for file in others)
    if not files:
        raise TextError("E104", received=f"{path} without files ending in {', '.join(extensions)}"
                        + (f", but with {named}" if others else ""), expected="text files",
                        fix=f"check the folder; name a table itself, not its folder; rename files of plain text to "
                        f"end in {extensions[0]}; pass extensions=")
    if others:
        warn_user(f"{counted(len(others), 'file')} in {path} left out, hidden or without the ending "
                  f"{', '.join(extensions)}: {named}")
    return files


def classes_of_files(path: str | Path, files: Sequence[Path], parts: Collection[str] = ()) -> tuple[list[Path],
                     list[str]]:
    """Return the files that have a class, and these classes: the first folder below `path`, however deep a file lies.

    Args:
        parts: folders below `path` that are parts of the data, such as `train`: a class is the first folder in them.

    Files in none of the folders are left out, with a warning that counts them.

    Raises: E207 if no file is in a folder, or if the first folders are parts of the data that nobody named.
    """
    inside = [Path(file).relative_to(path).parts for file in files]
    roots = sorted((Path(part).parts for part in parts), key=len, reverse=True)
    roots = [r for r in roots if any(i[:len(r)] == r and len(i) > len(r) + 1 for i in inside)]
    found = []
    for i in inside:
        root = next((r for r in roots if i[:len(r)] == r), ())
        found.append(i[len(root)] if len(i) > len(root) + 1 else None)
    kept = [(file, name) for file, name in zip(files, found, strict=True) if name is not None]
    loose = some("/".join(i) for i, name in zip(inside, found, strict=True) if name is None)
    if not kept:
        raise LabelError("E207", received=f"{loose} in {path}", expected="each text in a folder of its class",
                         fix="move these files to such folders")
    taken, classes = map(list, zip(*kept, strict=True))
    if "train" in classes and len(named := [part for part in PARTS if part in classes]) > 1:
        raise LabelError("E207", received=f"{path} with the folders {some(named)}, which are parts of the data",
                         expected="a folder for each class", fix=f"name one of them, such as {Path(path) / 'train'}; "
                         "TextDataLoaders.from_folder(path, train=, valid=) reads two")
    if len(kept) < len(files):
        warn_user(f"{len(files) - len(kept):,} texts in {path} are in no folder of a class, and were left out: "
                  f"{loose}")
    return taken, classes
