"""Documents that are no more than their lengths."""

import numpy as np


class Ids:
    """The tokens of document i are all i + 10."""

    pad_id = 1

    def __init__(self, lengths):
        self.lengths = np.array(lengths, dtype=np.int64)

    def __getitem__(self, i):
        return np.full(self.lengths[i], i + 10, dtype=np.int32)
