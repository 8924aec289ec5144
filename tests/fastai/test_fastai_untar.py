import io
import tarfile

import pytest

from ulmfit_easy.errors import FileError
from ulmfit_easy.fastai.untar import URLs, untar_data
from ulmfit_easy.files import sha256_file


@pytest.fixture(autouse=True)
def no_other_place(tmp_path, monkeypatch, own_cache):
    monkeypatch.setenv("FASTAI_HOME", str(tmp_path / "fastai"))


def archive(path, **texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, text in texts.items():
            info = tarfile.TarInfo(name.replace("__", "/") + ".csv")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


def test_a_known_name_is_found_where_the_message_says_to_put_it(tmp_path):
    place = tmp_path / "cache" / "archive" / "imdb_sample.tgz"
    way = f"fetch {URLs.IMDB_SAMPLE} and put it there, or give its sha256="
    with pytest.raises(FileError, match=rf"\[E404\].*{place}.*{way}"):
        untar_data(URLs.IMDB_SAMPLE)
    archive(place, imdb_sample__texts="text,label\n")
    found = untar_data(URLs.IMDB_SAMPLE)
    assert (found / "texts.csv").read_text() == "text,label\n" and found.name == "imdb_sample"
    place.unlink()
    assert untar_data(URLs.IMDB_SAMPLE) == found
    with pytest.raises(FileError, match="E404"):
        untar_data(URLs.IMDB_SAMPLE, force_extract=True)


def test_an_archive_of_ones_own_is_extracted_once_and_a_folder_is_itself(tmp_path):
    mine = archive(tmp_path / "mine.tar.gz", a="1", b="2")
    found = untar_data(mine, base=tmp_path / "base")
    assert found == tmp_path / "base" / "data" / "mine"
    assert sorted(p.name for p in found.iterdir()) == ["a.csv", "b.csv"]
    archive(mine, a="changed", b="2")
    assert (untar_data(mine, base=tmp_path / "base") / "a.csv").read_text() == "1"
    (found / "thesis.txt").write_text("mine")
    with pytest.raises(FileError, match="E412.*a.csv differs"):  # nothing that is there is replaced
        untar_data(mine, base=tmp_path / "base", force_extract=True)
    (found / "a.csv").unlink()
    untar_data(mine, base=tmp_path / "base", force_extract=True)
    assert {p.name: p.read_text() for p in found.iterdir()} == {"a.csv": "changed", "b.csv": "2", "thesis.txt": "mine"}
    assert untar_data(found) == found and untar_data(mine, data=tmp_path / "here") == tmp_path / "here"
    assert untar_data(URLs.IMDB, archive=mine, data=tmp_path / "there") == tmp_path / "there"


def test_what_fastai_has_fetched_is_used(tmp_path):
    archive(tmp_path / "fastai" / "archive" / "human_numbers.tgz", human_numbers__train="one")
    assert (untar_data(URLs.HUMAN_NUMBERS) / "train.csv").exists()
    (tmp_path / "fastai" / "data" / "imdb").mkdir(parents=True)
    assert untar_data(URLs.IMDB) == tmp_path / "fastai" / "data" / "imdb"


def test_another_or_an_unsafe_archive_is_not_extracted(tmp_path):
    mine = archive(tmp_path / "mine.tgz", a="1")
    assert untar_data(mine, sha256=sha256_file(mine), data=tmp_path / "good").exists()
    with pytest.raises(FileError, match="E406"):
        untar_data(mine, sha256="0" * 64)
    with pytest.raises(FileError, match="E405"):
        untar_data(archive(tmp_path / "bad.tgz", **{"..__..__out": "1"}))
    bomb = archive(tmp_path / "bomb.tgz", zeros="0" * 3_000_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ulmfit_easy.archives.SMALL", 10_000)
        with pytest.raises(FileError, match="E405.*more than"):
            untar_data(bomb)
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").rglob("*.csv"))
