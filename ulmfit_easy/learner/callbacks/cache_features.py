"""Keep what a head reads of each text while the encoder is frozen, so that later epochs need no encoder."""

from collections.abc import Iterable

import torch
from torch import Tensor

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.files import sha256_bytes
from ulmfit_easy.learner.events import CLIP, Callback
from ulmfit_easy.models.evaluated import evaluated, without_gradients
from ulmfit_easy.models.heads.head import Head

__all__ = ["CacheFeatures"]

Key = tuple[str, bool]  # the hash of a text's ids, and whether it was read in 16 bits


class CacheFeatures(Callback):
    """Read each text once while only the head trains, and keep the pooled states (F,) that the head reads.

    The first frozen epoch reads all texts of a loader, sorted by length. Later epochs run the head alone. It works with
    every encoder, and with every head that has `pooled` and `answer` in place of `forward`.
    `text_classifier_learner(..., cache_features=True)` adds it.

    The dropouts of the frozen encoder are off, so that the head sees the same numbers in each epoch. Those of the head
    stay on. Validation is the same as without it.

    Nothing is kept if the encoder trains: the next fit after `freeze_to(-2)` or `unfreeze()` frees the memory. The same
    happens if weights change, as in `load`. A change through `.data` is noticed at the next epoch, by the sums of rows.
    A text is known by its ids, so changed rows are read again. F numbers are kept for each text, such as 1,200 for an
    AWD-LSTM with states of 400: 5 MB for 1,000 texts. If an epoch had less than half of these texts, the others are
    forgotten. A checkpoint does not hold them. Each of several processes reads and keeps all texts. The mix of an
    `ELMo` trains with the head, so its texts are read in each epoch.

    Raises: ArgumentError E603 for a head that answers for each token or has its own `forward`, and for a language
        model.
    """

    order = CLIP  # within the precision of the model, which `MixedPrecision` begins
    in_lr_find = False
    in_fit = False

    def __init__(self):
        self.kept: dict[Key, Tensor] = {}
        self.seen: list[Tensor] = []  # the weights that they were made with, and
        self.state: list = []  # what tells that these have changed
        self.sums: list[Tensor] = []  # of the weights: autograd counts no change through `.data`
        self.used: set[Key] = set()  # in this epoch
        self.read: object = None  # the last loader that was read as a whole

    def before_fit(self):
        head = getattr(self.model, "head", None)
        if not isinstance(head, Head) or head.decodes:
            raise ArgumentError("E603", received="CacheFeatures for a model without a head that pools",
                                expected="a classifier of texts", fix="leave out CacheFeatures")
        head.check_pools("CacheFeatures")
        self.in_fit = True

    def before_train(self):
        if not all(map(torch.equal, _sums(self.seen), self.sums)):
            self.seen = []
        if len(self.kept) > 2 * len(self.used):
            self.kept = {key: self.kept[key] for key in self.used}
        self.used = set()

    def before_batch(self):
        if not self.in_fit or not self._is_current():
            return
        keys = self._keys(*self.xb)
        if any(key not in self.kept for key in keys):
            if self.dl is not self.read and hasattr(self.dl, "unshuffled"):
                self.read = self.dl  # first, so that the numbers are the same if a fit resumes in the middle
                self._read(self.dl.unshuffled())
            self._read([self.xb])  # a loader or a callback of the user may change its texts
        self.used.update(keys)
        self.learn.xb = (*self.xb, torch.stack([self.kept[key] for key in keys]))

    def after_pred(self):
        self.learn.xb = self.xb[:2]

    def cleanup_fit(self):
        self.in_fit = False

    def _is_current(self) -> bool:
        """Return True if the encoder is frozen. Forget what was read with other weights or another reader."""
        weights = [*self.model[0].parameters(), *self.model[0].buffers()]
        state = [self.model.config(), [(t.data_ptr(), t._version) for t in weights]]
        frozen = not any(t.requires_grad for t in weights)
        same = len(weights) == len(self.seen) and all(a is b for a, b in zip(weights, self.seen, strict=True))
        if not (frozen and same and state == self.state):
            self.kept, self.seen, self.state, self.read, self.used = {}, weights if frozen else [], state, None, set()
            self.sums = _sums(self.seen)
        return frozen

    @without_gradients
    def _read(self, batches: Iterable[tuple]) -> None:
        model = evaluated(self.model)
        for ids, lengths, *_ in batches:
            keys = self._keys(ids, lengths)
            if new := [i for i, key in enumerate(keys) if key not in self.kept]:
                found = model.features(ids[new, :max(1, int(lengths[new].max()))], lengths[new])
                self.kept.update(zip([keys[i] for i in new], found, strict=True))
            self.used.update(keys)

    def _keys(self, ids: Tensor, lengths: Tensor) -> list[Key]:
        in_16 = torch.is_autocast_enabled(ids.device.type)
        return [(sha256_bytes(row[:n].tobytes()), in_16)
                for row, n in zip(ids.cpu().numpy(), lengths.tolist(), strict=True)]


def _sums(weights: list[Tensor]) -> list[Tensor]:
    return [t.detach().sum(-1, dtype=torch.float32) for t in weights]
