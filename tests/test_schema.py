"""Tables of checks: plain values out of Python's, errors that name the argument, and what a file may say."""

import json
import math
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from odd_values import ODD

from ulmfit_easy.data.prepare import Preparation
from ulmfit_easy.data.targets import TARGETS
from ulmfit_easy.errors import ArgumentError, ArgumentTypeError
from ulmfit_easy.models.archs import checks_of
from ulmfit_easy.models.awd_lstm import AWD_LSTM
from ulmfit_easy.models.awd_qrnn import AWD_QRNN
from ulmfit_easy.models.heads.pooling import PoolingLinearClassifier
from ulmfit_easy.models.readers import Whole
from ulmfit_easy.models.softmax import LMDecoder
from ulmfit_easy.schema import (
    any_of,
    ascending,
    checked,
    flag,
    function,
    language,
    list_of,
    misfits,
    name,
    names,
    none,
    number,
    one_of,
    only,
    optional,
    share,
    takes,
    text,
    whole,
)
from ulmfit_easy.text.words import BaseTokenizer, SpacyTokenizer


class Size(IntEnum):
    SMALL = 3


@pytest.mark.parametrize(("check", "given", "plain"), [
    (whole(), np.int64(3), 3), (whole(), 3.0, 3), (whole(), Size.SMALL, 3), (whole(0), np.uint8(0), 0),
    (whole(), torch.tensor(3), 3), (number(), np.float32(0.5), 0.5), (number(), 2, 2),
    (number(), np.float64(2), 2.0), (number(0, math.inf), math.inf, math.inf), (share, -0.0, 0.0),
    (flag, np.True_, True), (flag, 0, False), (text, np.str_("a"), "a"), (name, 1.5, 1.5), (name, True, True),
    (name, "", ""), (language, "ko", "ko"), (optional(whole()), None, None), (optional(whole()), np.int8(1), 1),
    (list_of(whole()), (1, np.int64(2)), [1, 2]), (list_of(whole()), np.array([1, 2]), [1, 2]),
    (list_of(share), pd.Series([0.5]), [0.5]), (list_of(share), (), []), (ascending, (0, np.float64(1)), [0, 1.0]),
    (names, ("a", 1), ["a", 1]), (any_of(whole(), text), "a", "a"), (one_of({"a": 1}), "a", "a"),
    (function, len, len),
])
def test_what_is_allowed_becomes_plain(check, given, plain):
    found = check(given)
    assert (found, type(found)) == (plain, type(plain))


@pytest.mark.parametrize(("check", "given", "allowed"), [
    (whole(), "3", "a whole number, 1 or more"), (whole(), True, "a whole number"),
    (whole(), np.True_, "a whole number"), (whole(), None, "a whole number"), (whole(), pd.NA, "a whole number"),
    (whole(), Decimal(3), "a whole number"), (number(), Fraction(1, 2), "a finite number"),
    (number(), 1j, "a finite number"), (number(), [1], "a finite number"), (flag, "yes", "True or False"),
    (flag, None, "True or False"), (flag, 2, "True or False"), (text, b"a", "a string"),
    (list_of(whole()), "12", "a list"), (list_of(whole()), {1}, "a list"),
    (optional(whole()), "a", "a whole number, 1 or more or None"), (one_of(["a", "b"]), 1, "one of a, b"),
    (function, "len", "a function"), (none, 0, "None"),
])
def test_another_type_is_e601_and_pythons_type_error(check, given, allowed):
    with pytest.raises(ArgumentTypeError, match=f"E601.*Received x=.*Expected {allowed}.*leave out x="):
        checked({"x": check}, x=given)


@pytest.mark.parametrize(("check", "given", "allowed"), [
    (whole(), 0, "a whole number, 1 or more"), (whole(), 1.5, "a whole number"),
    (whole(), math.nan, "a whole number"), (whole(), math.inf, "a whole number"),
    (whole(), 1 << 31, "a whole number"), (whole(1, 9), 10, "a whole number from 1 to 9"),
    (number(), math.nan, "a finite number"), (number(), -math.inf, "a finite number"),
    (number(), 10**400, "a finite number"), (number(0, math.inf), math.nan, "a number, 0 or more"),
    (number(0, 1, without=[1]), 1, "a number from 0 to below 1"), (share, 1.1, "a number from 0 to 1"),
    (text, "", "a string that is not empty"), (text, "\ud800", "a string"),
    (list_of(share, 1), [0, 0], "at most 1"), (list_of(share), [2], "a number from 0 to 1"),
    (names, ["a", "a"], "names that"), (name, "a\0", "a string"),
    (ascending, (1, 0), "two finite numbers, the lower one first"), (ascending, (1, 2, 3), "two finite numbers"),
    (language, "../x", "the code of a language"), (one_of(["a"]), "c", "one of a"),
    (any_of(share, list_of(share)), 2, "a number from 0 to 1 or a list"),
])
def test_another_value_is_e602(check, given, allowed):
    with pytest.raises(ArgumentError, match=f"E602.*Received x=.*Expected {allowed}") as e:
        checked({"x": check}, x=given)
    assert not isinstance(e.value, TypeError)


def test_given_arguments_are_checked_and_passed_on_as_plain_values():
    @takes({"bs": whole(), "ps": optional(list_of(share)), "more": share})
    def made(first, bs=-1, *rest, ps=None, **kwargs):
        return first, bs, rest, ps, kwargs

    assert made("x") == ("x", -1, (), None, {})  # a default is what its author wrote
    assert made("x", np.int64(2), 3, ps=(1,), more=0, other=5) == ("x", 2, (3,), [1], {"more": 0, "other": 5})
    for args, kwargs, wrong in (((1, 0), {}, "bs"), ((1,), {"bs": "2"}, "bs"), ((1,), {"more": 2}, "more")):
        with pytest.raises(ArgumentError, match=f"Received {wrong}="):
            made(*args, **kwargs)
    with pytest.raises(TypeError, match="made.*first"):
        made()


def test_a_row_for_no_argument_is_told_when_the_function_is_defined():
    with pytest.raises(KeyError, match="bss"):
        takes({"bss": whole()})(lambda bs: bs)


def test_a_table_of_parts_may_grow():
    parts = {}
    check = one_of(parts)
    parts["mine"] = 1
    assert check("mine") == "mine"


def test_a_file_must_hold_the_plain_values_themselves():
    table = {"n": whole(), "ps": optional(list_of(number())), "parts": only({"a": flag})}
    assert misfits({"n": 1, "ps": [1, 0.5], "parts": {"a": True}, "more": None}, table) == []
    wrong = {"n": 1.0, "ps": [True], "parts": {"a": True, "b": 1}}
    assert misfits(wrong, table) == ["n=1.0", "ps=[True]", "parts={'a': True, 'b': 1}"]
    assert misfits({"parts": {"a": 1}}, table) == ["parts={'a': 1}"]


def saved_tables() -> dict[str, dict]:
    """Return each table of settings that a file keeps, by its name."""
    encoders = {f"{arch.__name__}.{kind}": checks_of(getattr(arch, kind)) for arch in (AWD_LSTM, AWD_QRNN)
                for kind in ("lm_config", "clas_config")}
    parts = (Preparation, Whole, LMDecoder, PoolingLinearClassifier, SpacyTokenizer, BaseTokenizer, *TARGETS.values())
    return {**encoders, **{part.__name__: part.SETTINGS for part in parts}}


@pytest.mark.parametrize(("table", "name"), [(table, name) for table, rows in saved_tables().items() for name in rows])
def test_what_a_check_gives_a_file_can_hold_and_the_check_takes_again(table, name):
    check = saved_tables()[table][name]
    for value in ODD:
        try:
            plain = check(value)
        except (TypeError, ValueError):
            continue
        again = json.loads(json.dumps(plain, ensure_ascii=False, allow_nan=False).encode())  # refuses NaN, halves
        assert misfits({name: again}, {name: check}) == [], value
