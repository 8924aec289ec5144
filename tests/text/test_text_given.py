import numpy as np
import pandas as pd
import pytest

from ulmfit_easy.errors import TextError
from ulmfit_easy.text.given import given_texts

TEXTS = ["one film", "two"]
DF = pd.DataFrame({"text": TEXTS, "label": ["pos", "neg"]})


@pytest.mark.parametrize("given", [
    TEXTS, tuple(TEXTS), np.array(TEXTS), np.array(TEXTS)[:, None], DF.text, DF, DF[["text"]], pd.Index(TEXTS),
    pd.DataFrame({"other": TEXTS}), iter(TEXTS)])
def test_several_texts_come_in_any_list(given):
    texts, alone = given_texts(given)
    assert list(texts) == TEXTS and not alone


@pytest.mark.parametrize("given", [
    "one film", np.str_("one film"), np.array("one film"), DF.iloc[0], {"text": "one film"}])
def test_one_text_comes_alone(given):
    texts, alone = given_texts(given)
    assert list(texts) == ["one film"] and alone


def test_rows_of_several_fields_are_tuples():
    row, cols = ("one film", "pos"), ("text", "label")
    for given in (row, DF.iloc[0], dict(DF.iloc[0])):
        assert given_texts(given, cols) == ([row], True)
    assert given_texts(DF, cols) == ([row, ("two", "neg")], False)


@pytest.mark.parametrize("given", [None, 3, b"film", {"one film"}])
def test_what_cannot_be_texts_is_e101(given):
    with pytest.raises(TextError, match="E101"):
        given_texts(given)


@pytest.mark.parametrize("given", [{"txt": "a", "label": "b"}, DF.rename(columns={"text": "txt"})])
def test_other_columns_are_e102_with_a_near_name(given):
    with pytest.raises(TextError, match="E102.*did you mean 'txt'"):
        given_texts(given)
