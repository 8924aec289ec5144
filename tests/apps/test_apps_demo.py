"""The demo's texts: nothing that is tested has been read in training."""

import hashlib
import re

import pytest
from data_toys import tar_of

from ulmfit_easy.all import AWD_LSTM, TextDataLoaders, language_model_learner, toy_reviews
from ulmfit_easy.apps import demo
from ulmfit_easy.bundle import shipped
from ulmfit_easy.data.datasets import VADER_FILES
from ulmfit_easy.recipes.presets import Phase, Preset


def lines(*rows):
    return "".join(f"{i}\t{score}\t{text}\r\n" for i, (score, text) in enumerate(rows))


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """90 movie reviews of which 60 are rated clearly, ten of them twice."""
    movies = [((-2.5, 2.5, 0.4)[i % 3], f"film {i}") for i in range(90)]
    tables = {"movies": lines(*movies, *movies[:10]), "tweets": lines((0.0, "a tweet")),
              "products": lines((1.0, "a product")), "news": lines((0.0, "some news"))}
    inner = tar_of({f"hutto_ICWSM_2014/{VADER_FILES[k]}_GroundTruth.txt": v for k, v in tables.items()})
    path = tmp_path_factory.mktemp("demo") / "vader.tar.gz"
    path.write_bytes(tar_of({"vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz": inner}))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def texts(archive, monkeypatch):
    monkeypatch.setattr(demo, "N_LABELLED", 20)
    monkeypatch.setattr(demo, "N_TEST", 35)
    path, sha256 = archive
    return demo.demo_texts(path, sha256=sha256)


def test_no_test_text_is_in_any_other_part(texts):
    test = set(texts.test["text"])
    assert len(test) == 35 and not test & set(texts.movies) and not test & set(texts.train["text"])


def test_the_parts_have_their_sizes_and_nothing_else_is_lost(texts):
    assert len(texts.train) == 20
    assert len(texts.movies) == len(set(texts.movies)) == 90 - 35
    assert set(texts.train["text"]) <= set(texts.movies)


def test_labels_come_from_clear_ratings_only(texts):
    for df in (texts.train, texts.test):
        numbers = df["text"].str.split().str[1].astype(int)
        assert set(numbers % 3) == {0, 1}
        assert (df["label"] == (numbers % 3).map({0: "negative", 1: "positive"})).all()
        assert df.index.tolist() == list(range(len(df)))


def test_the_parts_are_the_same_for_a_seed_and_others_for_another(texts, archive):
    path, sha256 = archive
    again, other = demo.demo_texts(path, sha256=sha256), demo.demo_texts(path, 1, sha256)
    assert again.train.equals(texts.train) and again.test.equals(texts.test) and again.movies == texts.movies
    assert set(other.test["text"]) != set(texts.test["text"])


def test_the_demos_own_sizes_are_as_told():
    assert (demo.N_LABELLED, demo.N_TEST) == (500, 2000)


def test_the_demo_goes_on_with_the_librarys_model_prints_its_figures_and_draws_its_plots(archive, tmp_path,
                                                                                         monkeypatch, capsys):
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path)
    dls = TextDataLoaders.from_df(toy_reviews(20), text_col="text", is_lm=True, bs=2, seq_len=8, min_freq=1, seed=0)
    general = language_model_learner(dls, AWD_LSTM, config={"emb_sz": 8, "n_hid": 12, "n_layers": 1},
                                     pretrained=False, verbose=False, path=tmp_path)
    general.export("awd_lstm-fwd")
    monkeypatch.setattr(demo, "N_LABELLED", 20)
    monkeypatch.setattr(demo, "N_TEST", 30)
    quick = Preset("quick", "these tests", config={"emb_sz": 8, "n_hid": 12, "n_layers": 1}, min_freq=1, seq_len=8,
                   lm_bs=2, clas_bs=8, pretrain=(), lm=(Phase(1, 1e-2, freeze_to=-1),),
                   clas=(Phase(1, 1e-2, freeze_to=-1), Phase(1, 1e-2)))
    path, sha256 = archive
    found = demo.run_demo(path, tmp_path / "out", quick, sha256=sha256)
    told = capsys.readouterr().out
    assert "different words in your texts" in told
    assert re.search(r"It suggests 0[.]\d+ to be careful and [\d.]+ to be quick. The highest rate here is 0", told)
    assert "The demo takes less than a minute on this machine, " in told
    assert told.count(" (95% interval 0.") == 3
    assert re.search(r"beside TF-IDF\. (The two are|.*\(McNemar's exact test, p = )", told)
    assert "Next, with your own table: ulmfit train FILE." in told
    last = told.splitlines()[-1]
    assert last == (f"demo: accuracy {found['accuracy']:.3f}, tf-idf baseline {found['baseline']:.3f}, "
                    f"{found['seconds']:.0f} s")
    for name in ("lr_find.png", "loss.png", "schedule.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")
