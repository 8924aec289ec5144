"""The data sets of the experiments, and which of their rows a cell learns from, chooses by and is tested with."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ulmfit_easy.data.datasets import read_dataset
from ulmfit_easy.errors import FileError

MOST_TESTED, MOST_VALID, MOST_TEXTS = 1000, 300, 10_000


class DataSet(NamedTuple):
    """A data set: its name, the names that its folder may have, labelled rows per class, and its language."""

    title: str
    folders: tuple[str, ...]
    per_class: int
    lang: str = "en"


DATA_SETS = {
    "trec": DataSet("TREC-6", ("trec",), 100),
    "ag": DataSet("AG News", ("ag_news", "ag_news_csv", "ag"), 125),
    "imdb": DataSet("IMDb", ("imdb", "aclImdb"), 250),
    "mr": DataSet("MR", ("mr",), 250),
    "newsgroups": DataSet("20 newsgroups", ("newsgroups20",), 25),
    "sms": DataSet("SMS spam", ("sms_spam", "sms"), 100),
    "nsmc": DataSet("NSMC", ("nsmc", "nsmc_own_split"), 250, "ko"),
    "dbpedia": DataSet("DBpedia", ("dbpedia_csv", "dbpedia", "dbpedia14_small"), 35),
    "yelp-bi": DataSet("Yelp, 2 classes", ("yelp_review_polarity_csv",), 250),
    "yelp-full": DataSet("Yelp, 5 classes", ("yelp_review_full_csv",), 100),
}


@dataclass(frozen=True, eq=False)
class Draw:
    """The rows of a data set for a seed. No text is in two of the parts.

    Attributes:
        labelled: a table with text and label to learn from, the same number of rows per class, if there are as many.
        valid: a tenth of the training part, 300 rows at most, by which rates and epochs are chosen.
        test: the rows to be tested with, the same for each seed. Nothing is chosen by them.
        texts: of the training part but for `valid`, for the language model. Their labels are not used.
        lang: the language of the texts.
        seed: what the rows were drawn with.
    """

    labelled: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame
    texts: tuple[str, ...]
    lang: str
    seed: int

    def rows(self) -> pd.DataFrame:
        """Return the labelled rows, then those to choose by."""
        return pd.concat([self.labelled, self.valid], ignore_index=True)


def parts_of(folder: Path, name: str) -> dict[str, pd.DataFrame]:
    """Return the parts "train", "test" and, if there is one, "unsup" of a data set, without copies of texts.

    If it has no test part, its validation part is that, or else rows that are drawn once and for all.

    Raises: FileError E404 if none of its folders is there. What `read_dataset` raises.
    """
    found = next((folder / each for each in DATA_SETS[name].folders if (folder / each).is_dir()), None)
    if found is None:
        raise FileError("E404", received=f"{folder} without {' or '.join(DATA_SETS[name].folders)}",
                        expected=f"a folder with {DATA_SETS[name].title}",
                        fix="name the folder above it: `ulmfit experiment --folder FOLDER`")
    parts = {part: df.astype({"text": str}).drop_duplicates("text") for part, df in read_dataset(found).items()}
    test = parts.get("test", parts.get("valid", parts["train"].sample(min(MOST_TESTED, len(parts["train"]) // 5),
                                                                      random_state=0)))
    test = test.sample(min(MOST_TESTED, len(test)), random_state=0)
    known = set(test["text"])
    return {"test": test, **{part: df[~df["text"].isin(known)] for part, df in parts.items() if part in (
        "train", "unsup")}}


def drawn(parts: dict[str, pd.DataFrame], seed: int, per_class: int, lang: str = "en") -> Draw:
    """Return what a seed draws of a data set."""
    df = parts["train"].sample(frac=1, random_state=seed)
    n = min(MOST_VALID, max(1, len(df) // 10))
    valid, df = df[:n], df[n:]
    labelled = df.groupby("label").head(per_class)
    valid = valid[valid["label"].isin(set(labelled["label"]))]
    others = [*df["text"], *parts.get("unsup", df[:0])["text"]]
    texts = np.random.default_rng(seed).permutation(len(others))[:MOST_TEXTS]
    return Draw(labelled, valid, parts["test"], tuple(others[i] for i in sorted(texts)), lang, seed)
