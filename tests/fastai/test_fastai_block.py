from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch

from ulmfit_easy.data.sources import get_text_files, parent_label
from ulmfit_easy.data.splits import ColSplitter, IndexSplitter, RandomSplitter
from ulmfit_easy.data.targets import CategoryBlock, MultiCategoryBlock, RegressionBlock
from ulmfit_easy.data.toy import toy_reviews
from ulmfit_easy.errors import ArgumentError, LabelError, TextError
from ulmfit_easy.fastai.block import DataBlock, TextBlock
from ulmfit_easy.fastai.getters import ColReader, ItemGetter, RegexLabeller
from ulmfit_easy.fastai.splits import GrandparentSplitter
from ulmfit_easy.learner.text_data import TextDataLoaders
from ulmfit_easy.text.tokenizers import BaseTokenizer

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def df():
    table = toy_reviews(60, seed=0)
    return table.assign(is_valid=[i % 5 == 0 for i in range(60)], stars=[float(y == "pos") for y in table.label],
                        tags=[f"{label};{topic}" for label, topic in zip(table.label, table.topic, strict=True)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, df):
    root = tmp_path_factory.mktemp("imdb")
    for i, row in df.iterrows():
        file = root / ("test" if row.is_valid else "train") / row.label / f"{i}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(row.text)
    return root


text = partial(TextBlock.from_df, min_freq=1, seq_len=20)


def block(y=CategoryBlock, x="text", **kwargs):
    kwargs = {"get_x": ColReader("text"), "get_y": ColReader("label"), "splitter": ColSplitter()} | kwargs
    return DataBlock(blocks=(text(x), y), **kwargs)


def same(a, b):
    """Whether two loaders yield the same batches in their first epoch."""
    a.epoch = b.epoch = 0
    return all(torch.equal(t, u) for x, y in zip(a, b, strict=True) for t, u in zip(x, y, strict=True))


def test_a_block_of_a_table_is_the_same_as_from_df(df):
    dls = block().dataloaders(df, bs=8, seed=3, path="here")
    other = TextDataLoaders.from_df(df, text_col="text", label_col="label", valid_col="is_valid", bs=8, seed=3,
                                    min_freq=1, seq_len=20)
    assert same(dls.train, other.train) and same(dls.valid, other.valid) and str(dls.path) == "here"
    assert dls.config() == other.config() and dls.vocab == other.vocab


def test_a_block_of_a_folder_is_the_same_as_from_folder_as_the_book_writes_it(folder):
    files = partial(get_text_files, folders=["train", "test"])
    dls_lm = DataBlock(blocks=TextBlock.from_folder(folder, is_lm=True, min_freq=1), get_items=files,
                       splitter=RandomSplitter(0.1, seed=0)).dataloaders(folder, path=folder, bs=4, seq_len=10)
    assert dls_lm.task == "lm" and dls_lm.one_batch()[0].shape == (4, 10) and dls_lm.seq_len == 10
    dls = DataBlock(blocks=(TextBlock.from_folder(folder, vocab=dls_lm.vocab), CategoryBlock), get_y=parent_label,
                    get_items=files, splitter=GrandparentSplitter(valid_name="test")).dataloaders(folder, bs=8, seed=0)
    other = TextDataLoaders.from_folder(folder, valid="test", text_vocab=dls_lm.vocab, bs=8, seed=0)
    assert same(dls.train, other.train) and same(dls.valid, other.valid) and dls.classes == ["neg", "pos"]
    assert dls.valid.n_rows == 12
    assert same(dls.test_dl(files(folder), with_labels=True), other.test_dl(files(folder), with_labels=True))


def test_several_classes_and_numbers_come_from_columns_or_functions(df):
    by_column = block(MultiCategoryBlock, get_y=ColReader("tags", label_delim=";")).dataloaders(df, bs=8, seed=0)
    by_function = block(MultiCategoryBlock, get_y=lambda row: row["tags"].split(";")).dataloaders(df, bs=8, seed=0)
    assert by_column.task == "multi" and {"neg", "pos"} < set(by_column.classes)
    assert same(by_column.train, by_function.train)
    numbers = block(RegressionBlock(n_out=1), get_y=ColReader("stars")).dataloaders(df, bs=8)
    assert numbers.task == "regression" and set(numbers.train.targets.tolist()) == {0.0, 1.0}
    flags = df.assign(good=df.stars.astype(int), bad=1 - df.stars.astype(int))
    columns = block(MultiCategoryBlock(encoded=True, vocab=["good", "bad"]), get_y=ColReader(["good", "bad"]))
    function = block(MultiCategoryBlock(encoded=True, vocab=["good", "bad"]), get_y=lambda row: [row.good, row.bad])
    columns, function = (each.dataloaders(flags, bs=8, seed=0) for each in (columns, function))
    assert columns.classes == function.classes == ["good", "bad"] and same(columns.train, function.train)
    assert (columns.train.targets.sum(1) == 1).all()


def test_the_text_column_may_have_any_name_and_get_x_may_name_it_either_way(df):
    table = df.rename(columns={"text": "review"})
    wanted = block().dataloaders(df, bs=8, seed=0)
    for get_x in (ColReader("text"), ColReader("review"), None, lambda row: row.review):
        dls = block(x="review", get_x=get_x).dataloaders(table, bs=8, seed=0)
        assert same(dls.train, wanted.train)
        assert same(dls.test_dl(table, with_labels=True), wanted.test_dl(df, with_labels=True))
    assert dls.text_vocab == wanted.text_vocab


def test_several_columns_or_tuples_are_fields(df):
    wanted = TextDataLoaders.from_df(df, text_col=["topic", "text"], label_col="label", valid_col="is_valid",
                                     bs=8, seed=0, min_freq=1, seq_len=20)
    for dls in (block(x=["topic", "text"]), block(x=None, get_x=ColReader(["topic", "text"])),
                block(x=None, get_x=lambda row: (row.topic, row.text))):
        dls = dls.dataloaders(df, bs=8, seed=0)
        assert same(dls.train, wanted.train)
        assert dls.is_one_text(("a", "b")) and dls.test_dl([("film", "Good")]).n_rows == 1


def test_items_may_be_pairs_and_getters_a_list(df):
    pairs = list(zip(df.text, df.label, strict=True))
    dls = DataBlock((text(None), CategoryBlock()), getters=[ItemGetter(0), ItemGetter(1)],
                    splitter=IndexSplitter(range(0, 60, 5))).dataloaders(pairs, bs=8, seed=0)
    assert same(dls.train, block().dataloaders(df, bs=8, seed=0).train)
    assert dls.test_dl(["A film."]).n_rows == 1
    assert dls.test_dl(pairs, with_labels=True).targets.tolist() == (df.label == "pos").astype(int).tolist()


def test_labels_by_pattern_are_read_from_later_files_too(folder):
    dls = DataBlock((TextBlock.from_folder(folder, min_freq=1), CategoryBlock), get_items=get_text_files,
                    get_y=RegexLabeller(r"/(p|n)\w+/\d+.txt$")).dataloaders(folder, bs=8, seed=0)
    assert dls.classes == ["n", "p"]
    files = get_text_files(folder, folders=["test"])
    targets = dls.test_dl(files, with_labels=True).targets.tolist()
    assert targets == [int(parent_label(file) == "pos") for file in files]


def test_rows_without_text_are_left_out_with_their_labels(df):
    table = df.assign(text=df.text.where(df.index != 2))
    with pytest.raises(TextError, match="E101.*row 2"):
        block().dataloaders(table)
    dls = DataBlock((text("text", on_missing="drop"), CategoryBlock), get_y=ColReader("label"),
                    splitter=ColSplitter()).dataloaders(table, bs=8)
    assert dls.train.n_rows == 47
    row = 10
    assert dls.classes[dls.train.targets[row]] == df.label[~df.is_valid & (df.index != 2)].iloc[row]
    pairs = [("a", "x"), (None, "none"), ("b", "y"), ("c", "x")]
    dls = DataBlock((TextBlock(min_freq=1, on_missing="drop"), CategoryBlock), getters=[ItemGetter(0), ItemGetter(1)],
                    splitter=IndexSplitter([2])).dataloaders(pairs)
    assert dls.classes == ["x", "y"] and dls.train.targets.tolist() == [0, 1] and dls.valid.targets.tolist() == [0]


def test_settings_of_the_text_block_are_used_and_those_of_the_call_win(df):
    dls = DataBlock((text("text", backwards=True, tok=BaseTokenizer(), rules=[]), CategoryBlock),
                    get_y=ColReader("label")).dataloaders(df, bs=8, max_vocab=32)
    assert dls.backwards and dls.tokenizer("A,b") == ["A,b"] and len(dls.text_vocab) == 32
    assert dls.valid.n_rows == 12 and dls.seq_len == 20


def test_datasets_give_texts_one_by_one(df):
    datasets = block().datasets(df)
    ids, y = datasets.train[0]
    assert len(datasets.train) == 48 and len(datasets.valid) == 12 and ids.dtype == torch.int64
    words, classes = datasets.vocab
    assert classes[y] == df.label[1] and words[ids[0]] == "xxbos" and len(datasets.train[-1][0]) > 1
    with pytest.raises(IndexError):
        datasets.train[48]
    lm = DataBlock(text("text", is_lm=True)).datasets(df)
    assert isinstance(lm.train[0], torch.Tensor)


def test_a_summary_shows_each_step_of_the_first_training_text(df, capsys):
    block().summary(df, bs=4, show_batch=True)
    out = capsys.readouterr().out
    for part in ("Items: 60", "ColSplitter: 48 to train on, 12 to", "number 1:", df.text[1][:40],
                 "label by ColReader: ",
                 "tokens: xxbos xxmaj", "ids: 2, ", "Vocabulary: ", "Classes: neg, pos", "Batch: ids (4, ",
                 "padding", "Batches: 12 to train on, 3 to"):
        assert part in out, part
    assert out.count("xxbos") > 4
    DataBlock(text("text", is_lm=True)).summary(df)
    assert "next tokens (4, 20) int64" in capsys.readouterr().out


def test_a_summary_tells_unknown_tokens_only_if_there_are_some(df, capsys):
    for min_freq in (1, 3):
        block().summary(df, bs=4, min_freq=min_freq)
    assert ["of the training tokens are not in it" in line for line in capsys.readouterr().out.splitlines()
            if line.startswith("Vocabulary: ")] == [False, True]


def test_a_summary_shows_how_far_it_came_before_an_error(df, capsys):
    table = df.assign(label=["odd" if flag else "even" for flag in df.is_valid])
    with pytest.raises(LabelError, match="E201"):
        block().summary(table)
    assert capsys.readouterr().out.endswith("the ids batches.\n")


def test_an_argument_that_loaders_do_not_have_is_named_with_the_one_that_was_meant(df):
    block = DataBlock((TextBlock.from_df("text"), CategoryBlock), get_y=ColReader("label"))
    with pytest.raises(TypeError, match="E604.*balance= for DataBlock.dataloaders.*did you mean 'balanced'?"):
        block.dataloaders(df, balance=True)
    with pytest.raises(TypeError, match="E604.*splitter= for DataBlock.dataloaders"):
        block.dataloaders(df, splitter=None)


@pytest.mark.parametrize("given", ["dl_type", "n_inp", "item_tfms", "batch_tfms"])
def test_what_texts_have_no_use_for_is_refused(given):
    with pytest.raises(ArgumentError, match=rf"\[E602\] Received {given}="):
        DataBlock((TextBlock.from_df("text"), CategoryBlock), **{given: [3]})


@pytest.mark.parametrize("blocks", [None, CategoryBlock, TextBlock.from_df("text"), (CategoryBlock, CategoryBlock),
                                    (TextBlock.from_df("a"), TextBlock.from_df("b")), ("text", "category"),
                                    (TextBlock.from_df("text", is_lm=True), CategoryBlock)])
def test_blocks_that_are_not_a_text_and_its_target_are_refused(blocks):
    with pytest.raises(ArgumentError, match=r"\[E602\] Received blocks"):
        DataBlock(blocks)


def test_sources_that_cannot_be_read_are_named(df, tmp_path):
    with pytest.raises(LabelError, match="E207.*get_y"):
        DataBlock((text("text"), CategoryBlock)).dataloaders(df)
    with pytest.raises(TextError, match="E102.*TextBlock.from_df"):
        DataBlock((TextBlock(), CategoryBlock), get_y=ColReader("label")).dataloaders(df)
    with pytest.raises(TextError, match="E104.*get_items"):
        DataBlock((TextBlock(), CategoryBlock), get_y=parent_label, get_items=get_text_files).dataloaders(tmp_path)
    with pytest.raises(TextError, match="E102.*did you mean 'label'"):
        block(get_y=ColReader("lable")).dataloaders(df)
    with pytest.raises(LabelError, match="E207.*n_out=2"):
        block(RegressionBlock(n_out=2), get_y=ColReader("stars")).dataloaders(df)


def test_a_categorical_column_and_a_vocab_name_classes_that_training_lacks(df):
    table = df.assign(label=pd.Categorical(df.label, categories=["pos", "none", "neg"]))
    assert block().dataloaders(table, bs=8).classes == ["pos", "none", "neg"]
    assert block(CategoryBlock(vocab=["b", "neg", "pos"])).dataloaders(df, bs=8).classes == ["b", "neg", "pos"]
    assert block().dataloaders(df, bs=8, labels=["pos", "neg"]).classes == ["pos", "neg"]


def test_one_column_of_flag_lists_or_of_one_flag_names_the_classes_of_the_block(df):
    flags = df.assign(flags=[[int(s), 1 - int(s)] for s in df.stars], good=df.stars.astype(int))
    lists = block(MultiCategoryBlock(encoded=True, vocab=["good", "bad"]), get_y=ColReader("flags"))
    columns = block(MultiCategoryBlock(encoded=True, vocab=["good", "bad"]), get_y=lambda row: row["flags"])
    lists, columns = (each.dataloaders(flags, bs=8, seed=0) for each in (lists, columns))
    assert lists.classes == ["good", "bad"] and same(lists.train, columns.train)
    assert lists.test_dl(flags, with_labels=True).targets.tolist() == flags["flags"].tolist()
    one = block(MultiCategoryBlock(encoded=True, vocab=["good"]), get_y=ColReader("good")).dataloaders(flags)
    assert one.classes == ["good"] and one.test_dl(flags, with_labels=True).targets[:, 0].tolist() == df.stars.tolist()
    with pytest.raises(LabelError, match="E207.*2 zeros and ones.*3, one for"):
        block(MultiCategoryBlock(encoded=True, vocab=["a", "b", "c"]), get_y=ColReader("flags")).dataloaders(flags)


def test_files_may_come_from_get_x(folder, df):
    names = df.assign(file=[f"{'test' if row.is_valid else 'train'}/{row.label}/{i}.txt" for i, row in df.iterrows()])
    dls = block(x=None, get_x=lambda row: Path(folder) / row.file).dataloaders(names, bs=8, seed=0)
    assert same(dls.train, block().dataloaders(df, bs=8, seed=0).train)
    assert same(dls.test_dl(names), block().dataloaders(df, bs=8, seed=0).test_dl(df))
