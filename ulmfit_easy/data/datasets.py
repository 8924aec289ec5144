"""Real texts, read from archives: those that the user has, or fetches by address and SHA-256."""

import os
import re
import tempfile
from pathlib import Path, PurePosixPath

import pandas as pd

from ulmfit_easy.archives import extract_archive
from ulmfit_easy.decoding import read_text
from ulmfit_easy.downloads import download
from ulmfit_easy.errors import FileError
from ulmfit_easy.files import cache_dir, check_sha256
from ulmfit_easy.places import members


class URLs:
    """Where well-known sets of texts are published, for `untar_data`: as names of files that you have, or to fetch."""

    S3 = "https://s3.amazonaws.com/fast-ai-"
    URL, S3_NLP, S3_MODEL = f"{S3}sample/", f"{S3}nlp/", f"{S3}modelzoo/"
    IMDB, IMDB_SAMPLE, HUMAN_NUMBERS = f"{S3_NLP}imdb.tgz", f"{URL}imdb_sample.tgz", f"{URL}human_numbers.tgz"
    AG_NEWS, DBPEDIA = f"{S3_NLP}ag_news_csv.tgz", f"{S3_NLP}dbpedia_csv.tgz"
    AMAZON_REVIEWS = f"{S3_NLP}amazon_review_full_csv.tgz"
    AMAZON_REVIEWS_POLARITY = f"{S3_NLP}amazon_review_polarity_csv.tgz"
    YELP_REVIEWS = f"{S3_NLP}yelp_review_full_csv.tgz"
    YELP_REVIEWS_POLARITY = f"{S3_NLP}yelp_review_polarity_csv.tgz"
    SOGOU_NEWS, YAHOO_ANSWERS = f"{S3_NLP}sogou_news_csv.tgz", f"{S3_NLP}yahoo_answers_csv.tgz"
    WIKITEXT, WIKITEXT_TINY = f"{S3_NLP}wikitext-103.tgz", f"{S3_NLP}wikitext-2.tgz"
    WT103_FWD, WT103_BWD = f"{S3_MODEL}wt103-fwd.tgz", f"{S3_MODEL}wt103-bwd.tgz"


def untar_data(url: str | Path, archive: str | Path | None = None, data: str | Path | None = None, *,
               base: str | Path | None = None, sha256: str | None = None, force_extract: bool = False) -> Path:
    """Return the folder with the content of an archive, extracted once; fetched only where its SHA-256 is given.

    Args:
        url: an archive (tar or zip) or a folder that you have, or a web address such as one of `URLs`, whose file is
            looked for in `base/archive`, and in fastai's own folder, `~/.fastai/archive`. What fastai has extracted
            there is taken as it is.
        archive: the archive, wherever it is.
        data: the folder to extract into; by default `base/data/<name of the archive>`.
        base: by default the user's cache folder.
        sha256: of the archive, checked before anything is extracted. With it, a file that is in none of these places
            is fetched into `base/archive`, see `download`.
        force_extract: extract it again, to add what is missing. Nothing that is there is replaced.

    Returns: the one folder that is in the archive, or else the folder that it was extracted into.
    Raises: E404, with the place to put the file, where it is not; E405 for an unsafe archive; E406 for another file;
        E412 for a file in the folder that is not as it is in the archive; E410 for one that cannot be fetched.
    """
    name = PurePosixPath(str(url)).name
    stem = re.sub(r"(\.tar)?(\.(gz|bz2|xz))?$|\.(tgz|zip)$", "", name)
    base, theirs = Path(base or cache_dir()), Path(os.environ.get("FASTAI_HOME", "~/.fastai")).expanduser()
    if Path(url).is_dir():
        return Path(url)
    dest = Path(data) if data else base / "data" / stem
    places = [Path(archive)] if archive else [Path(url), base / "archive" / name, theirs / "archive" / name]
    found = next((place for place in places if place.is_file()), None)
    if found is not None and sha256 is not None:
        check_sha256(found, sha256)
    if not dest.is_dir() or force_extract:
        if found is None and not data and (theirs / "data" / stem).is_dir():
            return theirs / "data" / stem
        if found is None and sha256 is not None and not archive and "://" in str(url):
            found = download(str(url), places[1], sha256)
        if found is None:
            raise FileError("E404", received=f"no file {name}", expected=f"it as {places[min(1, len(places) - 1)]}, "
                            "or the path of an archive or a folder that you have",
                            fix=f"fetch {url} and put it there, or give its sha256= to have it fetched")
        extract_archive(found, dest)
    inside = members(dest)
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else dest


VADER_SHA256 = "b960c954831f5ca58afee61780cc04ed48e551b91e783bfcbfb2c18bb8081a84"
VADER_FILES = {"tweets": "tweets", "movies": "movieReviewSnippets", "products": "amazonReviewSnippets",
               "news": "nytEditorialSnippets"}


def read_vader_reviews(archive: str | Path, *, sha256: str = VADER_SHA256) -> dict[str, pd.DataFrame]:
    """Four tables `tweets`, `movies`, `products`, `news` with the columns id, score (-4 to 4) and text.

    Args:
        archive: the source distribution `vaderSentiment-2.5.tar.gz` (MIT licence).

    Raises: E404 no such file; E405 unsafe archive; E406 another file; E407 a line that is not three fields.
    Source: Hutto & Gilbert 2014; `score` is the mean of 20 human ratings.
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
