"""Folders of texts: the class is the first folder, and nothing is left out without a word."""

import warnings
from pathlib import Path

import pytest

from ulmfit_easy.data.folders import classes_of_files, folder_texts
from ulmfit_easy.data.sources import get_text_files
from ulmfit_easy.errors import LabelError, TextError
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.text.vocab import MemoryIds
from ulmfit_easy.text.words import BaseTokenizer


def tree(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("a film")
    return root


def classes(root, *parts):
    files, found = classes_of_files(root, get_text_files(root), parts)
    return dict(zip((str(f.relative_to(root)) for f in files), found, strict=True))


def test_the_class_is_the_first_folder_however_deep_a_text_lies(tmp_path):
    root = tree(tmp_path, "pos/1.txt", "neg/a/b/2.txt")
    assert classes(root) == {"pos/1.txt": "pos", "neg/a/b/2.txt": "neg"}


def test_parts_of_the_data_are_no_classes(tmp_path):
    root = tree(tmp_path, "train/pos/1.txt", "test/neg/x/2.txt")
    assert set(classes(root, "train", "test").values()) == {"pos", "neg"}
    with pytest.raises(LabelError, match=r"E207.*train, test.*such as .*train"):
        classes(root)


def test_a_class_may_have_the_name_of_a_part(tmp_path):
    root = tree(tmp_path, "train/1.txt", "bus/2.txt")
    assert set(classes(root, "train", "test").values()) == set(classes(root).values()) == {"train", "bus"}


def test_texts_beside_the_folders_are_counted_and_left_out(tmp_path):
    root = tree(tmp_path, "pos/1.txt", "urls.txt", "train/pos/2.txt", "train/urls.txt")
    with pytest.warns(UserWarning, match="2 texts in .*no folder of a class.*train/urls.txt, urls.txt"):
        assert classes(root, "train") == {"pos/1.txt": "pos", "train/pos/2.txt": "pos"}
    with pytest.raises(LabelError, match="E207.*1.txt"):
        classes(tree(tmp_path / "flat", "1.txt"))


def test_other_files_are_counted(tmp_path):
    root = tree(tmp_path, "pos/1.txt", "pos/2.html", "neg/.3.txt")
    with pytest.warns(UserWarning, match="2 files in .*without the ending .txt.*neg/.3.txt, pos/2.html"):
        assert [f.name for f in folder_texts(root)] == ["1.txt"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(folder_texts(root / "pos", extensions=(".txt", ".html"))) == 2
    with pytest.raises(TextError, match=r"E104.*files ending in .txt, but with a.html.*extensions="):
        folder_texts(tree(tmp_path / "html", "a.html"))


def test_loaders_take_the_same_classes_from_two_folders_and_from_all(tmp_path):
    for part in ("train", "test"):
        tree(tmp_path, *(f"{part}/{label}/sub{i}/{i}.txt" for label in ("neg", "pos") for i in range(4)))
    tree(tmp_path, "train/urls.txt")
    options = {"min_freq": 1, "bs": 4, "seed": 0, "tok_tfm": BaseTokenizer()}
    for where in ({"valid": "test"}, {"valid_pct": 0.5}):
        with pytest.warns(UserWarning, match="1 texts in .*train/urls.txt"):
            dls = TextDataLoaders.from_folder(tmp_path, **where, **options)
        assert dls.classes == ["neg", "pos"] and dls.train.n_rows == dls.valid.n_rows == 8
    files = [tmp_path / f"test/{label}/sub0/0.txt" for label in ("pos", "neg")]
    assert dls.prepare.targets(files, dls.prepare.ids(files)).tolist() == [1, 0]
    assert dls.prepare.targets([Path("x/1.txt")], MemoryIds([], 1)).tolist() == [-100]
