"""The order in which a loader takes its rows, fixed or new each epoch and repeatable, and these rows one by one."""

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.absent import TellsAbsent
from ulmfit_easy.errors import ArgumentError, TrainingError
from ulmfit_easy.files import sha256_bytes
from ulmfit_easy.reprs import described
from ulmfit_easy.schema import flag, optional, random_seed, takes, whole

if TYPE_CHECKING:
    from ulmfit_easy.data.on_device import OnDevice
    from ulmfit_easy.data.prepare import Preparation


class Ids(Protocol):
    """The ids of N documents, as an `IdStore` has them: a classifier takes whole ones, a language model reads parts."""

    lengths: np.ndarray  # (N,)
    pad_id: int

    def __getitem__(self, i: int) -> np.ndarray: ...  # (T,)

    def read(self, doc: int, start: int, stop: int) -> np.ndarray: ...  # (stop - start,)


class TextDataset(TellsAbsent):
    """The documents of a loader in the order of its rows: ids (T,) int64, or a pair of ids and target.

    They are as the model would read them: for looking at data and for other people's loops.
    """

    def __init__(self, dl: "EpochOrder"):
        self.dl = dl

    def __len__(self) -> int:
        return self.dl.n_rows

    def __getitem__(self, i: int) -> Tensor | tuple[Tensor, Tensor]:
        i = range(len(self))[i]  # IndexError beyond the last
        doc = self.dl.ids[self.dl.rows[i]]
        ids = torch.from_numpy((doc[::-1] if self.dl.backwards else doc).astype("int64"))  # (T,)
        targets = self.dl.targets
        return ids if targets is None else (ids, of_tokens(targets[i], len(ids), self.dl.backwards))


def of_tokens(target: Tensor, n: int, backwards: bool) -> Tensor:
    """Return the target of a text. Of one per token, (T,) whole numbers, those of its n tokens as they are read."""
    if target.ndim != 1 or target.is_floating_point():
        return target
    return target[:n].flip(0) if backwards else target[:n]


def first_batch(dl: "EpochOrder | OnDevice") -> Any:
    """Return the first batch of a loader. The batches of its next epoch stay what they would have been."""
    state = dl.state_dict() if hasattr(dl, "state_dict") else None
    if (batch := next(iter(dl), None)) is None:
        raise TrainingError("E506", received="data without a batch, as load_learner gives", expected="texts to show",
                            fix="build the loaders with data")
    if state is not None:
        dl.load_state_dict(state)
    return batch


class EpochOrder(TellsAbsent):
    """Rows and their order. The order of an epoch depends on the seed and the number of the epoch alone.

    A `state_dict()` taken before an epoch starts gives that same epoch again after `load_state_dict`. If its `position`
    is above 0, the next iteration alone is the rest of the epoch that had begun last. It begins with the batch of that
    number. The batches before it are not read.

    Args:
        ids: an `IdStore`, or anything with its `lengths`.
        rows: the documents, (N,).
        shuffle: take them in a new order each epoch.
        seed: of these orders. By default one from torch's global generator.
    """

    bs: int
    backwards: bool
    n_inp: int
    targets: Tensor | Any = None  # (N, ...), of a classifier
    prepare: "Preparation | None"
    one_batch = first_batch

    @takes({"shuffle": flag, "seed": random_seed})
    def __init__(self, ids: Ids, rows: Sequence[int] | np.ndarray, *, shuffle: bool, seed: int | None,
                 device: torch.device | str | None):
        self.ids, self.rows, self.shuffle = ids, np.asarray(rows, dtype=np.int64), shuffle
        self.seed = int(torch.randint(2**31, ())) if seed is None and shuffle else seed
        self.epoch, self.position, self.recipe, self.prepare = 0, 0, dict[str, object](), None
        self.rank, self.world = 0, 1
        self.device = torch.device("cpu" if device is None else device)

    def __repr__(self) -> str:
        budget = getattr(self, "max_tokens", None)
        return described(self, f"{self.n_rows:,} rows", f"bs {self.bs}" if not budget else f"max_tokens {budget:,}",
                         hasattr(self, "seq_len") and f"seq_len {self.seq_len}", self.shuffle and "shuffled")

    def __len__(self) -> int:
        raise NotImplementedError  # a subclass knows the number of its batches

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        raise NotImplementedError

    @property
    def n_rows(self) -> int:
        """The number of documents."""
        return len(self.rows)

    @property
    def dataset(self) -> TextDataset:
        """The texts one by one, each as ids (T,), or as a pair of ids and target."""
        return TextDataset(self)

    @property
    def vocab(self) -> Any:
        """The vocabulary, as `dls.vocab`. None for a loader that no `DataLoaders` has."""
        return getattr(self.prepare, "vocabs", None)

    def show_batch(self, max_n: int = 9, trunc_at: int = 150) -> None:
        """Show some rows of a batch, as `DataLoaders.show_batch`."""
        if self.prepare is None:
            raise TrainingError("E506", received="show_batch() of a loader without a vocabulary",
                                expected="a loader of TextDataLoaders", fix="call it of dls.train or dls.valid")
        self.prepare.show(self.one_batch(), max_n, trunc_at)

    @takes({"bs": optional(whole())})
    def new(self, *, bs: int | None = None, shuffle: bool | None = None,
            device: torch.device | str | None = None) -> Self:
        """Return a loader of the same rows with another batch size, order or device. Its epochs count from 0."""
        other = copy.copy(self)
        other.epoch = other.position = 0
        if bs is not None:
            other.bs = bs
        if shuffle is not None:
            other.shuffle, other.seed = shuffle, int(torch.randint(2**31, ())) if self.seed is None else self.seed
        if device is not None:
            other.device = torch.device(device)
        return other

    def unshuffled(self) -> Self:
        """Return this loader with its rows in a fixed order, from the first one on. A part gives the whole."""
        fixed = copy.copy(self)
        fixed.shuffle, fixed.position = False, 0
        fixed.rank, fixed.world = 0, 1
        return fixed

    def shard(self, rank: int, world: int) -> Self:
        """Return a loader of the part of each batch that one of several processes reads.

        A batch of all processes has `world` times as many rows, and each row is in one part. `bs`, `max_tokens`, the
        number of batches and the fingerprint are those of the whole.

        Args:
            rank: the number of the process, from 0 on.
            world: the number of processes.

        Raises: ArgumentError E603 for fewer rows, or streams of text, than processes.
        """
        if self.world > 1:
            raise ArgumentError("E603", received="shard() of a part of a loader", expected="a whole loader",
                                fix="call it of the loader that was divided")
        part = copy.copy(self)
        part.rank, part.world, part.bs = rank, world, self.bs * world
        if getattr(part, "max_tokens", None):
            part.max_tokens *= world  # type: ignore[attr-defined]
        if self.shuffle and part.whole < world:
            raise ArgumentError("E603", received=f"text for batches of {part.whole} rows, and {world} processes",
                                expected="a row for each of them", fix="start fewer processes, or give more text")
        return part

    @property
    def whole(self) -> int:
        """The rows of which a batch of all processes can have some: the most that processes can share."""
        return self.n_rows

    def begin(self) -> int:
        """Return the batch at which this iteration starts: 0, in a new epoch, unless a position was set."""
        start, self.position = self.position, 0
        if not start:
            self.epoch += 1
        return start

    def rng(self, *at: int) -> np.random.Generator:
        """Return the random numbers of an epoch, counted from 1, or of a part of it."""
        assert self.seed is not None
        return np.random.default_rng([self.seed, *at])

    def state_dict(self) -> dict:
        """Return the seed, the number of epochs that have begun, and the position in the last one to continue at."""
        return {"seed": self.seed, "epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state_dict()`."""
        self.seed, self.epoch, self.position = state["seed"], state["epoch"], state.get("position", 0)

    def fingerprint(self) -> str:
        """Return a hash of the rows, their tokens in order and their targets. The seed does not change it.

        So do two ways to make batches of one data set: `recipe` has what a loader does unless left as it is.
        """
        lengths = np.asarray(self.ids.lengths, dtype=np.int64)[self.rows]  # (N,)
        recipe = repr(sorted(self.recipe.items())).encode() if self.recipe else b""
        labels = b"" if self.targets is None else self.targets.cpu().numpy().tobytes()
        return sha256_bytes(self.rows.tobytes() + lengths.tobytes() + recipe + labels + self._tokens().encode())

    def _tokens(self) -> str:
        """Return the hash of all tokens: the one that was written with their store, or else of the ids themselves."""
        store = getattr(self.ids, "store", None)
        if store is not None:
            return repr(store.members)
        ids: Any = self.ids  # a loader of streams only needs to `read` them
        if hasattr(ids, "__getitem__"):
            documents = (ids[int(row)] for row in self.rows)
        else:
            documents = (ids.read(int(row), 0, int(ids.lengths[row])) for row in self.rows)
        return sha256_bytes(b"".join(np.asarray(ids).tobytes() for ids in documents))
