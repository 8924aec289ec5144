"""BLEU: how many runs of up to four words a text shares with the one that was expected."""

import math
from collections import Counter

import torch

from ulmfit_easy.learner.metrics.metric import Metric
from ulmfit_easy.models.softmax import LMOutput


class CorpusBLEUMetric(Metric):
    """The BLEU score, 0-1, of the likeliest word at each place against the word that is there.

    Runs of 1 to 4 words are counted over the whole validation set; of a text that shares none of a length, 1/2, then
    1/4, ... counts instead (Papineni et al. 2002; smoothing as in NIST's mteval). Padding counts as words do.

    Args:
        vocab_sz: not needed, as fastai's: any vocabulary fits.
        axis: where the classes of a prediction (B, T, V) are.
    """

    def __init__(self, vocab_sz: int = 5000, axis: int = -1):
        self.axis, self._name = axis, "corpus_bleu"
        self.reset()

    def reset(self):
        self.shared, self.said, self.pred_len, self.targ_len = [0.0] * 4, [0] * 4, 0, 0

    @torch.no_grad()
    def accumulate(self, learn):
        if isinstance(learn.pred, LMOutput):  # the logits of one row at a time, (T, V)
            guesses = [learn.pred.decoder(row).argmax(-1).tolist() for row in learn.pred.dropped]
        else:
            guesses = learn.pred.argmax(self.axis).tolist()  # (B, T)
        for guess, target in zip(guesses, learn.yb[0].tolist(), strict=True):
            self._add(guess, target)

    def _add(self, guess: list, target: list):
        self.pred_len, self.targ_len, small = self.pred_len + len(guess), self.targ_len + len(target), 1.0
        for n in range(4):
            ours, theirs = (Counter(zip(*(ids[i:] for i in range(n + 1)), strict=False)) for ids in (guess, target))
            shared = (ours & theirs).total()
            if shared == 0:
                small /= 2
            self.shared[n] += shared or small
            self.said[n] += ours.total()

    @property
    def value(self):
        if 0 in self.said:
            return None
        precision = math.prod(a / b for a, b in zip(self.shared, self.said, strict=True)) ** 0.25
        return precision * min(1.0, math.exp(1 - self.targ_len / self.pred_len))
