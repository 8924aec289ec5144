"""Values that a user may pass by mistake, or from numpy, pandas and torch: for tests of what arguments take."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import torch

NUMBERS = [0, 1, 2, 3, 20, -1, 0.1, 0.5, 2.0, 2.5, -0.0, math.nan, math.inf, -math.inf, 10**400, 1 << 31, -(1 << 70)]
ALMOST_NUMBERS = [True, False, None, "3", b"3", 1j, Decimal("0.5"), Fraction(1, 2), pd.NA, pd.NaT, object()]
OF_OTHERS = [np.int64(3), np.uint8(2), np.float32(0.5), np.float64(0.5), np.bool_(True), np.str_("a"), np.array(3),
             torch.tensor(3), torch.tensor(math.nan), np.datetime64("2020")]
TEXTS = ["", "a", "\ud800", "a\0", " "]
LISTS = [[], (), [1], (1,), [20], [0.1], (0, 5), (5, 0), [0.0, math.inf], (1, 2, 3), [True], [None], ["a"], ["1", "a"],
         np.array([20]), np.array([0.1, 0.2]), pd.Series([0.1]), pd.Series([0.0, 5.0]), [np.int64(1)],
         [np.float32(0.1)], torch.tensor([0.1]), range(2), {1}, {}, {"a": 1}]
ODD = [*NUMBERS, *ALMOST_NUMBERS, *OF_OTHERS, *TEXTS, *LISTS]
