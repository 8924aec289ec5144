"""Exact match and F1 of answers, as the official scripts of SQuAD and KorQuAD count them."""

import pytest

from ulmfit_easy.errors import LabelError
from ulmfit_easy.learner.metrics.squad import squad_score

TWO_THIRDS = pytest.approx(2 / 3)


@pytest.mark.parametrize(("said", "answers", "exact", "f1"), [
    ("The Panthers!", ["panthers"], 1, 1),                           # case, punctuation, article
    ("a  an the", ["The"], 1, 1),                                    # nothing is left: there is no answer
    ("Broncos", ["Panthers"], 0, 0),
    ("Denver Broncos", ["Broncos"], 0, TWO_THIRDS),                  # precision 1/2, recall 1
    ("the the Broncos of Denver", ["Denver Broncos"], 0, pytest.approx(4 / 5)),  # order does not count
    ("no no", ["no"], 0, TWO_THIRDS),                                # a word counts as often as it is in both
    ("over 308", ["308 points", "over 308 points"], 0, pytest.approx(4 / 5)),    # the best of several
    ("U.S.", ["US"], 1, 1),                                          # punctuation leaves no blank
    ("well-known", ["well known"], 0, 0),
    ("“308”", ["308"], 0, 0),                                        # these quotes are no ASCII punctuation
    ("", [], 1, 1), ("", ["308"], 0, 0), ("308", [], 0, 0),          # v2: no answer
    (".", [], 1, 1), ("308", ["the", "308"], 1, 1),
])
def test_words_are_compared_as_in_squad(said, answers, exact, f1):
    for cell in (answers, [{"text": text, "answer_start": 0} for text in answers], {"text": answers}):
        assert squad_score([said], [cell]) == (exact, f1)


@pytest.mark.parametrize(("said", "answer", "exact", "f1"), [
    ("《서울》", "서울", 1, 1), ("서울시", "서울", 0, pytest.approx(4 / 5)), ("서울 시", "서울시", 0, 1),
    ("the A", "a", 0, pytest.approx(2 / 5)), ("", "서울", 0, 0),      # articles count
])
def test_characters_are_compared_as_in_korquad(said, answer, exact, f1):
    assert squad_score([said], [[answer]], chars=True) == (exact, f1)


def test_the_score_is_the_mean_over_questions():
    score = squad_score(["308", ("Denver Broncos", 0, 5, 0.9), ""], [["308"], ["Broncos"], ["x"]])
    assert score == (pytest.approx(1 / 3), pytest.approx((1 + 2 / 3) / 3))


@pytest.mark.parametrize("said", [[], ["a", "b"]], ids=["none", "more"])
def test_other_numbers_of_answers_are_e205(said):
    with pytest.raises(LabelError, match="E205.*squad_score"):
        squad_score(said, [["a"]])
