"""Later texts and labels are read as those of training were, here and where only the config is left."""

import json

import pytest

from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.data.sources import get_text_files, parent_label
from ulmfit_easy.data.targets import CategoryBlock, MultiCategoryBlock
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import FileError, LabelError
from ulmfit_easy.fastai.block import DataBlock, TextBlock
from ulmfit_easy.fastai.getters import ColReader
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.text.words import BaseTokenizer

COMMON = {"bs": 8, "seed": 0, "min_freq": 1, "tok_tfm": BaseTokenizer()}


def revived(dls, *without):
    """Loaders without data from the JSON of a config, with some of its values left out."""
    config = json.loads(json.dumps(dls.config()))
    text = {k: v for k, v in config["text"].items() if k not in without}
    return DataLoaders([], [], prepare=Preparation.from_config({**config, "text": text}, dls.text_vocab))


@pytest.fixture
def latin(tmp_path):
    for i, row in toy_reviews(40, seed=0).iterrows():
        file = tmp_path / "texts" / ("valid" if i % 5 == 0 else "train") / row.label / f"{i}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"caf\u00e9 {row.text}", encoding="latin-1")
    return tmp_path / "texts"


@pytest.mark.parametrize("door", ["from_folder", "DataBlock", "get_x"])
def test_later_files_are_read_in_the_encoding_of_training(latin, door):
    if door == "from_folder":
        dls = TextDataLoaders.from_folder(latin, encoding="latin-1", **COMMON)
    else:
        dls = DataBlock((TextBlock(encoding="latin-1"), CategoryBlock), get_items=get_text_files, get_y=parent_label,
                        get_x={"get_x": lambda file: file}.get(door)).dataloaders(latin, **COMMON)
    files = get_text_files(latin)
    for each in (dls, revived(dls)):
        ids, lengths, _ = next(iter(each.test_dl(files, with_labels=True)))
        assert "caf\u00e9" in each.words(ids[0, :lengths[0]])


def test_a_config_of_before_encodings_were_kept_means_utf_8(latin):
    dls = revived(TextDataLoaders.from_folder(latin, encoding="latin-1", **COMMON), "encoding")
    with pytest.raises(FileError, match="E403"):
        dls.test_dl(get_text_files(latin))
    assert dls.config()["text"]["encoding"] == "utf-8"


@pytest.mark.parametrize("door", ["from_df", "column", "function"])
@pytest.mark.parametrize("kind", [CategoryBlock, MultiCategoryBlock])
def test_missing_labels_that_training_took_are_taken_later_too(kind, door):
    df = toy_reviews(40, seed=0).astype(object)
    df.loc[[3, 10, 20], "label"] = None
    if door == "from_df":
        dls = TextDataLoaders.from_df(df, text_col="text", label_col="label", y_block=kind(add_na=True), **COMMON)
    else:
        get_y = ColReader("label") if door == "column" else lambda row: row["label"]
        dls = DataBlock((TextBlock.from_df("text"), kind(add_na=True)), get_y=get_y).dataloaders(df, **COMMON)
    for each in [dls] + [revived(dls)] * (door != "function"):
        y = each.test_dl(df, with_labels=True).targets
        na = y[:, 0] == 1 if kind.kind == "multi" else y == 0
        assert each.classes[0] == "#na#" and na.nonzero().flatten().tolist() == [3, 10, 20]


def test_missing_labels_that_training_had_no_class_for_are_refused_later_too():
    df = toy_reviews(40, seed=0).astype(object)
    dls = TextDataLoaders.from_df(df, text_col="text", label_col="label", **COMMON)
    df.loc[3, "label"] = None
    with pytest.raises(LabelError, match="E202.*row 3"):
        revived(dls).test_dl(df, with_labels=True)
