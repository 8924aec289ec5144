"""Every door that takes texts reads every container alike, or refuses it with a code."""

import warnings

import pytest
from containers import ONE, SEVERAL, WRONG, answers

from ulmfit_easy.errors import TextError

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def told():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return answers()


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_texts_are_read_alike_at_every_door(told, kind):
    assert [name for name, (ask, of_list, _) in told.items() if repr(ask(SEVERAL[kind]())) != of_list] == []


@pytest.mark.parametrize("kind", ONE)
def test_one_text_is_read_alike_at_every_door_or_refused_if_labels_stand_beside(told, kind):
    for name, (ask, _, of_one) in told.items():
        if of_one is not None:
            assert repr(ask(ONE[kind]())) == of_one, name
            continue
        with pytest.raises(TextError, match=r"E101.*pass \[text\]"):
            ask(ONE[kind]())


@pytest.mark.parametrize("kind", WRONG)
def test_what_holds_no_texts_has_the_same_code_at_every_door(told, kind):
    make, code = WRONG[kind]
    for ask, *_ in told.values():
        with pytest.raises(TextError, match=code):
            ask(make())
