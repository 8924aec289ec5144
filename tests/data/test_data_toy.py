import hashlib
import os
from itertools import pairwise
from pathlib import Path

import pytest
from data_toys import tar_of
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from ulmfit_easy.data.datasets import VADER_FILES, VADER_SHA256, read_vader_reviews
from ulmfit_easy.data.toy import SENTIMENTS, TOPICS, toy_reviews, toy_texts
from ulmfit_easy.errors import FileError


def test_the_toy_corpus_is_the_same_for_the_same_seed():
    assert toy_reviews(50, seed=3).equals(toy_reviews(50, seed=3))
    assert toy_texts(50, seed=3) == toy_reviews(50, seed=3).text.tolist() != toy_texts(50, seed=4)
    assert toy_texts(0) == []


def test_it_has_two_sentiments_four_topics_and_hardly_a_duplicate():
    df = toy_reviews(2000)
    assert set(df.label) == set(SENTIMENTS) and set(df.topic) == set(TOPICS)
    assert df.label.value_counts().min() > 900 and df.topic.value_counts().min() > 400
    assert df.text.duplicated().mean() < 0.01 and not df.text.str.contains("[{}|]").any()
    assert 15 < df.text.str.split().str.len().mean() < 60


@pytest.mark.parametrize("target", ["label", "topic"])
def test_a_linear_model_learns_it_from_few_labels(target):
    train, test = toy_reviews(300, seed=0), toy_reviews(500, seed=1)
    count = CountVectorizer().fit(train.text)
    model = LogisticRegression(max_iter=200).fit(count.transform(train.text), train[target])
    assert model.score(count.transform(test.text), test[target]) > 0.9


def test_word_order_can_be_learned():
    def bigrams(texts):
        return [pair for text in texts for pair in pairwise(text.split())]
    known, new = set(bigrams(toy_texts(2000, seed=0))), bigrams(toy_texts(100, seed=1))
    assert sum(pair in known for pair in new) > 0.97 * len(new)
    vocabulary = {word for pair in known for word in pair}
    assert len(known) < 0.05 * len(vocabulary) ** 2


def archive(tmp_path, line='1\t-1.5\tit\'s "bad\x0b\tso\r\n2\t2.0\tcafé\r\n'):
    inner = tar_of({f"hutto_ICWSM_2014/{f}_GroundTruth.txt": line.encode() for f in VADER_FILES.values()})
    path = tmp_path / "vader.tar.gz"
    path.write_bytes(tar_of({"vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz": inner}))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_rated_lines_are_read_as_they_are(tmp_path):
    path, digest = archive(tmp_path)
    tables = read_vader_reviews(path, sha256=digest)
    assert list(tables) == ["tweets", "movies", "products", "news"]
    for df in tables.values():
        assert df.values.tolist() == [["1", -1.5, "it's \"bad\x0b\tso"], ["2", 2.0, "café"]]


def test_another_file_a_broken_line_and_no_file_have_codes(tmp_path):
    path, digest = archive(tmp_path)
    with pytest.raises(FileError, match="E406"):
        read_vader_reviews(path)
    path, digest = archive(tmp_path, "1\t2.0\tfine\r\n2 no tabs\r\n")
    with pytest.raises(FileError, match=r"E407.*line 2"):
        read_vader_reviews(path, sha256=digest)
    with pytest.raises(FileError, match="E404"):
        read_vader_reviews(tmp_path / "no")


def test_the_real_archive_has_every_line():
    default = Path(__file__).parents[2] / "demo-data" / "vaderSentiment-2.5.tar.gz"
    path = Path(os.environ.get("ULMFIT_EASY_VADER", default))
    if not path.exists():
        pytest.skip(f"no {path}; set ULMFIT_EASY_VADER to a copy of vaderSentiment-2.5.tar.gz")
    tables = read_vader_reviews(path, sha256=VADER_SHA256)
    counts = {name: len(df) for name, df in tables.items()}
    assert counts == {"tweets": 4200, "movies": 10605, "products": 3708, "news": 5190}
    assert all(df.text.str.len().min() > 0 and df.id.is_unique and df.score.between(-4, 4).all()
               for df in tables.values())
