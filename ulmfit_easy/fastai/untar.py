"""Archives of well-known texts: those that the user has, or fetches by address and SHA-256."""

import os
import re
from pathlib import Path, PurePosixPath

from ulmfit_easy.archives import extract_archive
from ulmfit_easy.errors import FileError
from ulmfit_easy.fastai.downloads import download
from ulmfit_easy.files import cache_dir, check_sha256
from ulmfit_easy.places import members

__all__ = ["URLs", "untar_data"]


class URLs:
    """The addresses of well-known datasets of texts, for `untar_data`."""

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
    """Extract an archive, if that was not done before, and return the folder.

    It is downloaded only if you give `sha256`.

    Args:
        url: an archive (tar or zip) or a folder on this machine, or a web address such as one of `URLs`. For an
            address, the file of that name in `base/archive` or in fastai's folder `~/.fastai/archive` is used, or a
            folder that fastai has extracted.
        archive: the path of the archive, if it is somewhere else.
        data: the folder to extract into. By default `base/data/<name of the archive>`.
        base: by default the user's cache folder.
        sha256: the checksum of the archive, which is checked before anything is extracted. With it, an archive that is
            in none of these places is downloaded into `base/archive` (see `download`).
        force_extract: extract again, to add missing files. No existing file is replaced.

    Returns: the one folder that is in the archive, or else the folder that it was extracted into.
    Raises: E404 if the archive is not found: the message says where to put it. E405 if it is unsafe. E406 if its
        checksum differs. E410 if it cannot be downloaded. E412 if the folder has a file that differs from the one in
        the archive.
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
