"""The baseline is the settled one, and an ensemble averages probabilities."""

import copy
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from recipes_tiny import LABELS, TEXTS, TINY

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.recipes.baseline import baseline
from ulmfit_easy.recipes.ensemble import ensemble
from ulmfit_easy.recipes.estimator import ULMFiT
from ulmfit_easy.text.given import given_texts


def settings_of(step):
    default = type(step)().get_params()
    return {k: v for k, v in step.get_params().items() if v != default[k]}


@pytest.mark.parametrize(("copies", "min_df"), [(1, 1), (16, 1), (17, 2)])  # 120, 1,920 and 2,040 texts
def test_the_baseline_is_exactly_the_settled_one(copies, min_df):
    words, regression = (step for _, step in baseline(TEXTS * copies, LABELS * copies).steps)
    assert type(words).__name__ == "TfidfVectorizer" and words.min_df == min_df
    assert settings_of(words) == {"ngram_range": (1, 2), "sublinear_tf": True} | ({"min_df": 2} if min_df > 1 else {})
    assert type(regression).__name__ == "LogisticRegression"
    assert settings_of(regression) == {"C": 10, "max_iter": 1000}


def test_the_baseline_counts_characters_where_no_blanks_stand_between_words():
    rooms, labels, new = ["房间很差", "房间很好"], ["bad", "good"], ["服务差", "服务好"]
    assert baseline(rooms, labels, lang="zh").predict(new).tolist() == labels
    assert baseline(rooms, labels).predict(new).tolist() != labels
    with pytest.raises(ArgumentError, match="E602.*lang"):
        baseline(rooms, labels, lang="Chinese")


def test_an_estimator_of_chinese_is_compared_with_characters():
    texts = [f"{place}很{'差好'[i % 2]}" for i, place in enumerate("房间服务位置早餐大堂电梯空调停车前台")]
    model = ULMFiT(lang="zh", preset=TINY, pretrained=False, seed=0, verbose=False).fit(texts, [0, 1] * 9)
    assert model.baseline_cv_accuracy_ == 1  # of words, no two texts have one


def test_the_baseline_takes_iterators_and_learns():
    assert baseline(iter(TEXTS), iter(LABELS)).score(TEXTS, LABELS) > 0.95


class Says:
    """A model that gives each text its own probability of the class "no", the rest to "yes"."""

    def __init__(self, classes=("no", "yes"), **probs):
        self.probs, self.classes, self.predictor = probs, list(classes), self
        self.prepare = SimpleNamespace(target=SimpleNamespace(per="text"))

    def read(self, given):
        return (texts := list(given_texts(given)[0])), SimpleNamespace(docs=texts), False

    def logits(self, texts):
        says = [{"no": self.probs[text], "yes": 1 - self.probs[text]} for text in texts]
        return torch.tensor([[row[c] for c in self.classes] for row in says])

    def activation(self, probs):
        return probs

    def warn_of_no_words(self, texts):
        pass


@pytest.mark.parametrize("texts", [list("cab"), iter("cab"), pd.DataFrame({"text": list("cab"), "year": 3})],
                         ids=lambda texts: type(texts).__name__)
@pytest.mark.parametrize("classes", [("no", "yes"), ("yes", "no")])
def test_an_ensemble_averages_probabilities_of_each_class_and_keeps_order(classes, texts):
    one, two = Says(a=0.99, b=0.2, c=0.5), Says(classes, a=0.5, b=0.4, c=0.1)
    found = ensemble([one, two], copy.copy(texts))
    assert found.shape == (3, 2)
    torch.testing.assert_close(found[:, 0], torch.tensor([0.3, 0.745, 0.3]))  # the mean of logits gives a 0.909


def test_one_text_is_one_row():
    assert ensemble([Says(abc=0.25)], "abc").tolist() == [[0.25, 0.75]]


@pytest.mark.parametrize("classes", [("no", "maybe"), ("no", "yes", "maybe"), ("no",)])
def test_learners_of_other_classes_are_no_ensemble(classes):
    with pytest.raises(ArgumentError, match="E603.*other classes"):
        ensemble([Says(a=0.5), Says(classes)], ["a"])
