"""Print each step of a `DataBlock` from a source to a batch, for the first training text."""

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ulmfit_easy.data.checks import shown_share
from ulmfit_easy.data.dataloaders import DataLoaders
from ulmfit_easy.data.loaders import Source
from ulmfit_easy.data.splits import Split
from ulmfit_easy.errors import some
from ulmfit_easy.terminal import printable, say
from ulmfit_easy.text.store import IdStore

if TYPE_CHECKING:
    from ulmfit_easy.fastai.block import DataBlock

SHOWN = 300  # characters of a text, and of a line of tokens, that are printed


def show_source(block: "DataBlock", source: Source, split: Split) -> None:
    """Print the items, the split, and the text and label of the first training item."""
    train, valid = split
    first = int(train[0])
    say(f"Items: {len(source.items):,}" + (f" from {_name(block.get_items)}" if block.get_items else ""))
    splitter = _name(block.splitter or "DefaultSplitter")
    say(f"Split by {splitter}: {len(train):,} to train on, {len(valid):,} to validate with")
    say(f"The first training item is number {first:,}:")
    say(f"  text{_by(block.get_x)}: {_cut(next(islice(source.texts, first, None)))}")
    if source.labels is not None:
        say(f"  label{_by(block.get_y)}: {printable(source.labels[first])}")
    say("Now the texts become tokens, the tokens ids, and the ids batches.")


def show_rows(dls: DataLoaders) -> None:
    """Print tokens, ids and label of the first training text, the vocabulary and the shape of a batch."""
    ids = dls.train.ids[dls.train.rows[0]]  # (T,)
    say(f"  tokens: {_cut(dls.words(ids))}")
    say(f"  ids: {some(ids.tolist(), 20)}")
    if dls.target.labelled:
        target = dls.train.targets[0]
        say(f"  label: {printable(dls.decode(target))}, as {target.tolist()}")
    assert isinstance(dls.train.ids, IdStore)
    unknown = shown_share(dls.train.ids.unk_rate(dls.train.rows))
    more = f"; {unknown} of the training tokens are not in it" if unknown else ""
    say(f"Vocabulary: {len(dls.text_vocab):,} tokens{more}")
    if dls.classes:
        say(f"Classes: {some(map(printable, dls.classes), 20)}")
    x, *rest = dls.one_batch()
    shapes = [f"{name} {_shape(t)}" for name, t in zip(["ids", *dls.target.tensors], [x, *rest], strict=True)]
    say(f"Batch: {', '.join(shapes)}")
    if dls.target.labelled:
        say(f"  padding: {1 - int(rest[0].sum()) / x.numel():.1%}")
    say(f"Batches: {len(dls.train):,} to train on, {len(dls.valid):,} to validate with")


def _shape(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _by(getter: Callable | None) -> str:
    return "" if getter is None else f" by {_name(getter)}"


def _name(part: Any) -> str:
    part = getattr(part, "func", part)  # of a partial
    names = part.split() if isinstance(part, str) else getattr(part, "__qualname__", type(part).__name__).split(".")
    return names[0] if names[0].endswith("Splitter") else names[-1]  # a splitter is a function in a function


def _cut(text: str | tuple) -> str:
    text = printable(list(text) if isinstance(text, tuple) else text)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ... ({len(text):,} characters)"
