"""What a checkpoint belongs to: texts in their order of words, labels, classes and loss."""

import pickle
import shutil

import pytest
import torch
from learner_toys import TINY, quiet, same, state

from ulmfit_easy.all import (
    AWD_LSTM,
    BaseTokenizer,
    CheckpointCallback,
    DataLoaders,
    FocalLossFlat,
    Learner,
    TextDataLoaders,
    text_classifier_learner,
    toy_reviews,
)
from ulmfit_easy.errors import FileError

DF = toy_reviews(30, seed=0)
FLIPPED = DF.label.map({"pos": "neg", "neg": "pos"})


def learner(path, vocab=None, change=None, **kwargs):
    dls = TextDataLoaders.from_df(DF.assign(**(change or {})), text_col="text", label_col="label", seed=0, min_freq=1,
                                  tok_tfm=BaseTokenizer(), bs=8, text_vocab=vocab)
    return quiet(text_classifier_learner(dls, AWD_LSTM, config=TINY, path=path, pretrained=False, **kwargs))


@pytest.mark.parametrize("other", [
    {"change": {"label": FLIPPED}}, {"change": {"label": DF.label + "2"}}, {"loss_func": FocalLossFlat()},
    {"change": {"text": [" ".join(text.split()[::-1]) for text in DF.text]}}, {"class_weight": {"pos": 9.0}},
], ids=["labels", "classes", "loss", "order of words", "class weights"])
def test_a_fit_goes_on_with_its_own_texts_labels_and_loss_only(other, tmp_path):
    first = learner(tmp_path)
    first.fit(1, 1e-2, cbs=CheckpointCallback("run"))
    vocab = first.dls.text_vocab
    with pytest.raises(FileError, match="E408"):
        learner(tmp_path, vocab, **other).fit(1, 1e-2, cbs=CheckpointCallback("run", resume=True))
    learner(tmp_path, vocab).fit(1, 2e-2, cbs=CheckpointCallback("run", resume=True))


def test_a_fit_with_unpickled_loaders_is_the_same_fit_without_a_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ULMFIT_EASY_CACHE", str(tmp_path / "cache"))
    first = learner(tmp_path)
    data = pickle.dumps(first.dls)
    shutil.rmtree(tmp_path / "cache")
    first.fit(1, 1e-2, cbs=CheckpointCallback("run"))
    again = text_classifier_learner(pickle.loads(data), AWD_LSTM, config=TINY, path=tmp_path, pretrained=False)
    quiet(again).fit(1, 1e-2, cbs=CheckpointCallback("run", resume=True))
    assert same(state(again.model), state(first.model))


class Lazy(torch.utils.data.Dataset):
    """Makes its rows when they are asked for, and holds none."""

    def __len__(self):
        return 8

    def __getitem__(self, i):
        return torch.full((2,), i / 8), torch.tensor(i % 2)


def of_torch(path, dataset):
    torch.manual_seed(0)
    dls = DataLoaders(torch.utils.data.DataLoader(dataset, 4), [], path=path)
    return Learner(dls, torch.nn.Linear(2, 2), torch.nn.CrossEntropyLoss())


def test_labels_of_plain_loaders_are_compared_or_a_line_says_that_they_are_not(tmp_path, capsys):
    labels = torch.arange(8) % 2
    held, flipped = ([(torch.ones(2), y) for y in each.tolist()] for each in (labels, 1 - labels))
    of_torch(tmp_path, held).fit(1, 1e-2, cbs=CheckpointCallback("run"))
    with pytest.raises(FileError, match="E408.*rows and labels"):
        of_torch(tmp_path, flipped).fit(1, 1e-2, cbs=CheckpointCallback("run", resume=True))
    capsys.readouterr()
    of_torch(tmp_path, held).fit(1, 1e-2, cbs=CheckpointCallback("run", resume=True))
    assert "not compared" not in capsys.readouterr().out
    for resume in (False, True):
        of_torch(tmp_path, Lazy()).fit(1, 1e-2, cbs=CheckpointCallback("lazy", resume=resume))
        told = capsys.readouterr().out
    assert told.count("not compared with the rows and labels") == 1


def test_what_a_dataset_loads_in_one_fit_does_not_make_the_next_one_another(tmp_path):
    class Keeps(Lazy):
        def __init__(self):
            self.loaded = {}

        def __getitem__(self, i):
            return self.loaded.setdefault(i, super().__getitem__(i))

    for resume in (False, True):
        learn = of_torch(tmp_path, Keeps())
        for _ in range(2):
            learn.fit(1, 1e-2, cbs=CheckpointCallback("run", resume=resume))
    assert learn.recorder.values
