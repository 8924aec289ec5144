"""Real texts, read from an archive that the user has."""

import tempfile
from pathlib import Path

import pandas as pd

from ulmfit_easy.archives import extract_archive
from ulmfit_easy.decoding import read_text
from ulmfit_easy.errors import FileError
from ulmfit_easy.files import check_sha256

VADER_SHA256 = "b960c954831f5ca58afee61780cc04ed48e551b91e783bfcbfb2c18bb8081a84"
VADER_FILES = {"tweets": "tweets", "movies": "movieReviewSnippets", "products": "amazonReviewSnippets",
               "news": "nytEditorialSnippets"}


def read_vader_reviews(archive: str | Path, *, sha256: str = VADER_SHA256) -> dict[str, pd.DataFrame]:
    """Four tables `tweets`, `movies`, `products`, `news` with the columns id, score (-4 to 4) and text.

    Args:
        archive: the source distribution `vaderSentiment-2.5.tar.gz` (MIT licence).

    Raises: E404 no such file. E405 unsafe archive. E406 another file. E407 a line that is not three fields.
    Source: Hutto & Gilbert 2014. `score` is the mean of 20 human ratings.
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
