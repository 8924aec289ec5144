"""Real data sets, read from files that the user has: those of the ULMFiT paper, and the reviews of the demo."""

import tempfile
from pathlib import Path

import pandas as pd

from ulmfit_easy.archives import extract_archive
from ulmfit_easy.data.sources import get_text_files
from ulmfit_easy.data.tables import read_table
from ulmfit_easy.decoding import read_text
from ulmfit_easy.errors import FileError, some
from ulmfit_easy.files import check_sha256, existing

TREC = {"train": "train_5500.label", "test": "TREC_10.label"}
PARTS = {"train": ("train", "all"), "valid": ("valid", "dev"), "test": ("test", "test_sample"), "unsup": ("unsup",)}


def read_dataset(folder: str | Path) -> dict[str, pd.DataFrame]:
    """Read a data set of the ULMFiT paper from its official files, or one of your own.

    These are read:

    * TREC: `train_5500.label` and `TREC_10.label`. The fine classes are in the column `label_fine`.
    * IMDb: `train/pos/*.txt`, `train/neg`, `train/unsup`, `test/pos` and `test/neg`.
    * AG, DBpedia and both Yelp sets: `train.csv` and `test.csv` without a header, where the first field is the number
      of the class. All other fields are one text. `classes.txt` names the classes.
    * Your own: tables with the columns `text` and `label`, named train (or all), valid (or dev), test and unsup. They
      have any form that `read_table` reads.

    Returns:
        Tables by name: "train", and "valid", "test" and "unsup" if their files exist. Each has the columns `text` and
        `label`, "unsup" only `text`.

    Raises: E404 if a file is missing. E403 if one is not UTF-8. E407 if a line has another format than the official
        files.
    """
    folder = existing(folder)
    if (folder / TREC["train"]).exists():
        return {part: _questions(folder / name) for part, name in TREC.items() if (folder / name).exists()}
    if (folder / "train").is_dir():
        return _in_folders(folder)
    files = {part: file for part, names in PARTS.items()
             if (file := next((f for name in names for f in sorted(folder.glob(f"{name}.*"))), None))}
    if "train" not in files:
        raise FileError("E404", received=f"{folder} without a part to learn from, but with "
                        + some(sorted(file.name for file in folder.glob("*")) or ["nothing"]),
                        expected=f"{TREC['train']}, a folder train, or a table such as train.csv or all.csv",
                        fix="name the folder of a data set")
    return {part: _rows(file) for part, file in files.items()}


def _questions(file: Path) -> pd.DataFrame:
    """Return the questions of TREC: `NUM:dist How far is it from Denver to Aspen ?`."""
    rows = []
    for number, line in enumerate(read_text(file, "latin-1").splitlines(), 1):
        fine, _, text = line.partition(" ")
        if ":" not in fine or not text:
            raise _strange(file, number, "a class such as NUM:dist, a blank and a question")
        rows.append((text, fine.partition(":")[0], fine))
    return pd.DataFrame(rows, columns=["text", "label", "label_fine"])


def _in_folders(folder: Path) -> dict[str, pd.DataFrame]:
    """Return the texts of IMDb, whose folders are the classes. `unsup` in `train` has no labels."""
    found = {}
    for part in ("train", "valid", "test"):
        if (folder / part).is_dir():
            files = [file for file in get_text_files(folder / part) if file.parent != folder / part]
            df = pd.DataFrame({"text": map(read_text, files), "label": [file.parent.name for file in files]})
            found[part] = df[df["label"] != "unsup"].reset_index(drop=True)
            if part == "train":
                unsup = df.loc[df["label"] == "unsup", ["text"]].reset_index(drop=True)
    return {**found, "unsup": unsup} if len(unsup) else found


def _rows(file: Path) -> pd.DataFrame:
    """Return a table with names, or the rows of AG, DBpedia and Yelp: `"3","a title","a text"`, without names."""
    df = read_table(file, header=None)
    if "text" in df.columns:
        return df
    if "text" in df.iloc[0].tolist():
        return read_table(file)
    names_file = file.parent / "classes.txt"
    names = read_text(names_file).split("\n") if names_file.exists() else []
    numbers = df[0].str.fullmatch("[1-9][0-9]*") & (df.shape[1] > 1)
    if not numbers.all():
        raise _strange(file, 1 + int((~numbers).idxmax()), "the number of a class and a text, or a header with `text`")
    label = df[0].map(lambda n: names[int(n) - 1].strip() if int(n) <= len(names) else n)
    text = df.iloc[:, 1:].agg(" ".join, axis=1).str.replace("\\n", "\n", regex=False)  # as their readme tells
    return pd.DataFrame({"text": text, "label": label})


def _strange(file: Path, line: int, expected: str) -> FileError:
    return FileError("E407", received=f"{file}, whose line {line} is not as in the official files",
                     expected=expected, fix="fetch or write the file again")


VADER_SHA256 = "b960c954831f5ca58afee61780cc04ed48e551b91e783bfcbfb2c18bb8081a84"
VADER_FILES = {"tweets": "tweets", "movies": "movieReviewSnippets", "products": "amazonReviewSnippets",
               "news": "nytEditorialSnippets"}


def read_vader_reviews(archive: str | Path, *, sha256: str = VADER_SHA256) -> dict[str, pd.DataFrame]:
    """Return four tables by name: `tweets`, `movies`, `products` and `news`, with the columns id, score and text.

    Args:
        archive: the source distribution `vaderSentiment-2.5.tar.gz` (MIT licence).

    Raises: E404 if the file does not exist. E405 for an unsafe archive. E406 if its checksum differs. E407 if a line
        does not have three fields.
    Source: Hutto & Gilbert 2014. `score`, from -4 (negative) to 4, is the mean of 20 human ratings.
    """
    check_sha256(archive, sha256)
    with tempfile.TemporaryDirectory() as tmp:
        outer = extract_archive(archive, Path(tmp) / "outer")
        inner = extract_archive(outer / "vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz",
                            Path(tmp) / "inner") / "hutto_ICWSM_2014"
        return {name: _rated_lines(inner / f"{file}_GroundTruth.txt") for name, file in VADER_FILES.items()}


def _rated_lines(path: Path) -> pd.DataFrame:
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]  # nothing else ends a line
    rows = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            key, score, text = line.split("\t", 2)
            rows.append((key, float(score), text))
        except ValueError as e:
            raise FileError("E407", received=f"line {number} of {path.name}, which is not three fields",
                            expected="an id, a score and a text with tabs between them",
                            fix="fetch the archive again") from e
    return pd.DataFrame(rows, columns=["id", "score", "text"])
