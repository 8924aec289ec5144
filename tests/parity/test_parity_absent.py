"""A name of fastai that is not here says what to use instead."""

import copy
import re
from pathlib import Path

import pytest
from parity_toys import loaders

import ulmfit_easy.all as door
from ulmfit_easy import absent
from ulmfit_easy.all import *  # as a user has it
from ulmfit_easy.errors import AbsentError

NAMES = {name for name in absent.INSTEAD if "." not in name}
ATTRIBUTES = sorted(absent.INSTEAD.keys() - NAMES)


def test_no_name_is_here_and_in_the_table():
    real = {name for name in door.__all__ if name not in absent.STAND_INS}
    assert not real & NAMES and NAMES >= set(absent.STAND_INS)
    lines = Path(absent.__file__).with_suffix(".md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    assert len(absent.INSTEAD) == sum(row.partition(" | ")[0].count("`") // 2 for row in rows) > 150  # all, none twice


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_no_attribute_is_here_and_in_the_table(name):
    from ulmfit_easy.data.order import EpochOrder, TextDataset

    cls, _, attribute = name.rpartition(".")
    found = {"dls.train": EpochOrder, "dls.train_ds": TextDataset}.get(cls) or getattr(door, cls)
    assert name == "Learner.crit" or not hasattr(found, attribute)


@pytest.mark.parametrize("use", [
    lambda: TextList.from_df(None), lambda: TextLMDataBunch(1), lambda: DatasetType.Train, lambda: list(Datasets),
    lambda: door.tokenize1("text"), lambda: Tokenizer.from_folder("."),
])  # fmt: skip
def test_a_name_that_is_not_here_says_what_to_use(use):
    with pytest.raises(AbsentError, match="E510.* Fix: ") as told:
        use()
    assert isinstance(told.value, AttributeError)


def test_a_class_cannot_be_made_of_a_stand_in():
    with pytest.raises(AbsentError, match="plain tensors"):
        class Mine(TensorText): ...


def test_stand_ins_are_not_offered_by_completion_and_cost_no_import():
    assert not set(absent.STAND_INS) & set(dir(door)) and set(absent.STAND_INS) <= set(door.__all__)
    assert "TextDataLoaders" in repr(TextList)
    with pytest.raises(AttributeError, match="no attribute 'foo'"):
        _ = door.foo


def learner():
    return Learner(DataLoaders([], []), torch.nn.Linear(2, 2), loss_func=MSELossFlat())


@pytest.mark.parametrize(("use", "instead"), [
    (lambda: learner().data, "learn.dls"), (lambda: learner().one_batch(0, None), "learn.model"),
    (lambda: learner().crit, "learn.loss_func"), (lambda: setattr(learner(), "crit", 1), "learn.loss_func"),
    (lambda: learner().parameters(), "learn.model.parameters"),
    (lambda: (learn := learner()) and learn.recorder.plot(), "plot_lr_find"),
    (lambda: learner().export(), "text_classifier_learner"), (lambda: learner().dls.categorize, "dls.classes"),
    (lambda: SGD([torch.zeros(1)], 1e-3).param_lists, "param_groups"), (lambda: Tokenizer().decode([]), "detokenize"),
    (lambda: Vocab(SPECIAL_TOKENS).o2i, "stoi"), (lambda: loaders(is_lm=True).train.get_idxs(), "dl.order"),
    (lambda: loaders(is_lm=True).train_ds.items, "the table"),
])  # fmt: skip
def test_an_attribute_that_is_not_here_says_what_to_use(use, instead):
    with pytest.raises(AbsentError, match=f"E510.*{re.escape(instead)}"):
        use()


def test_an_unknown_attribute_is_that_of_the_object_that_was_asked():
    learn = learner()
    with pytest.raises(AttributeError, match="^'Recorder' object has no attribute 'foo'$"):
        _ = learn.recorder.foo
    with pytest.raises(AttributeError, match="^'Learner' object has no attribute 'foo'$"):
        _ = learn.foo
    with pytest.raises(AbsentError, match="learn.dls"):
        _ = learn.recorder.data  # the learner's
    assert not hasattr(learn, "data") and learn.recorder.lr == learn.lr
    assert copy.deepcopy(learn).recorder.lr == learn.lr
