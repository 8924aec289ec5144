"""Callbacks about predictions: gather those of a validation, predict with dropout."""

import copy
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ulmfit_easy.errors import TrainingError
from ulmfit_easy.files import atomic_path
from ulmfit_easy.learner.events import REPORT, Callback
from ulmfit_easy.learner.losses import activation_of, decodes_of
from ulmfit_easy.models.softmax import CHUNK_FLOATS, LMOutput
from ulmfit_easy.places import file_place, hidden_folder

__all__ = ["GatherPredsCallback", "MCDropoutCallback"]


class Parts:
    """Tensors that come one after the other and end as one: in memory, or in a `.npy` file that memory need not hold.

    Args:
        file: where to write them. None keeps them in memory.

    Raises: FileError E411 for a place that cannot be written to.
    """

    def __init__(self, file: str | Path | None = None):
        self.parts, self.shapes = list[Any](), list[torch.Size]()  # tensors, or files that hold them
        self.file, self.stack = None if file is None else file_place(file), ExitStack()
        self.folder: Path | None = None

    def add(self, part: Tensor) -> None:
        """One more, of the same sizes but along the dimension of `joined`."""
        part = part.detach().cpu()
        self.shapes.append(part.shape)
        if self.file is not None:
            self.folder = self.folder or self.stack.enter_context(hidden_folder(self.file))
            place = self.folder / f"{len(self.parts)}.npy"
            np.save(place, part.numpy())
        self.parts.append(part if self.file is None else place)

    def joined(self, dim: int = 0, order: np.ndarray | None = None) -> Tensor | None:
        """Return all of them along `dim`, or None if there were none. With `order` (N,) their rows sorted by it."""
        if not self.parts:
            return None
        if self.file is None:
            whole = torch.cat(self.parts, dim)
            return whole if order is None else whole[torch.from_numpy(np.argsort(order, kind="stable"))]
        size, ends = list(self.shapes[0]), np.cumsum([shape[dim] for shape in self.shapes])
        size[dim] = int(ends[-1])
        place = np.arange(size[dim]) if order is None else np.argsort(np.argsort(order, kind="stable"))
        with atomic_path(self.file) as tmp:
            dtype = np.load(self.parts[0], mmap_mode="r").dtype
            merged = np.lib.format.open_memmap(tmp, "w+", dtype, tuple(size))
            if hasattr(os, "posix_fallocate"):  # on a full disk an error here, not the end of the process below
                with open(tmp, "rb+") as f:
                    os.posix_fallocate(f.fileno(), 0, tmp.stat().st_size)
            for file, shape, end in zip(self.parts, self.shapes, ends, strict=True):
                merged[(slice(None),) * dim + (place[end - shape[dim] : end],)] = np.load(file)
            merged.flush()
            del merged
        self.close()
        return torch.from_numpy(np.load(self.file, mmap_mode="c"))  # read as it is needed; the file never changes

    def close(self):
        """Forget the parts and what they took on the disk."""
        self.parts, self.folder = [], None
        self.stack.close()


class GatherPredsCallback(Callback):
    """Collect the predictions of a validation, batch by batch, on the CPU. `learn.get_preds` uses it.

    Args:
        with_input, with_loss, with_decoded, with_preds, with_targs: what to collect.
        save_preds, save_targs: `.npy` files for the predictions and the targets. They are then on disk and not in
            memory.
        concat_dim: the dimension along which batches are joined. For a language model always 1, time.
        act: a function from the model's output for a batch to what is kept of it. By default the activation of the
            loss, such as softmax. For a language model it gets the logits (n, V) of some tokens, and returns (n, ...),
            such as `lambda x: x.topk(5).indices`.
        reorder: True for rows in the order of the data, False for the order in which they were computed.

    Raises: TrainingError E505 for an `act` that keeps tokens x vocabulary numbers in memory.

    Attributes:
        preds, targets, losses, decoded: (N, ...) after the validation, or None if they were not to be collected. For a
            language model (B, T) or (B, T, ...): the T tokens of each of the B streams of the loader. Its `preds` are
            the log-probabilities of the tokens of the text, unless there is an `act`.
        inputs: a list with the tensors of each row.
    """

    order, run_train, in_lr_find = REPORT, False, False

    def __init__(self, with_input: bool = False, with_loss: bool = False, save_preds: str | Path | None = None,
                 save_targs: str | Path | None = None, with_preds: bool = True, with_targs: bool = True,
                 concat_dim: int = 0, *, with_decoded: bool = False, act: Callable[[Tensor], Tensor] | None = None,
                 reorder: bool = False):
        wanted = {"preds": with_preds or save_preds is not None, "targets": with_targs or save_targs is not None,
                  "losses": with_loss, "decoded": with_decoded, "inputs": with_input}
        self.wanted = {name for name, yes in wanted.items() if yes}
        self.files = {"preds": save_preds, "targets": save_targs}
        self.concat_dim, self.act, self.reorder = concat_dim, act, reorder
        self.parts = dict[str, Parts]()

    def before_validate(self):
        self.is_lm, self.n_rows, self.rows = False, 0, []
        self.parts = {name: Parts(self.files.get(name)) for name in self.wanted}
        vars(self).update(dict.fromkeys(("preds", "targets", "losses", "decoded", "inputs")))

    def after_batch(self):
        if self.pred is None:  # the batch was cancelled
            return
        self.is_lm, self.n_rows = isinstance(self.pred, LMOutput), self.n_rows + len(self.xb[0])
        n_inp = self.learn.dls.n_inp
        found = self._of_tokens() if self.is_lm else self._of_rows()
        if self.yb:
            found["targets"] = self.yb[0]
        if self.is_lm:
            found["inputs"] = self.xb[0]
        elif "inputs" in self.wanted:
            self.rows += [[t.cpu() for t in row] for row in zip(*self.xb[:n_inp], strict=True)]
        for name, part in found.items():
            if name in self.wanted:
                self.parts[name].add(part)

    def after_validate(self):
        dim = 1 if self.is_lm else self.concat_dim
        order = getattr(self.learn.dl, "order", None) if self.reorder and dim == 0 else None  # (N,)
        order = None if order is None else np.asarray(order)[: self.n_rows]  # fewer, if it was cut short
        vars(self).update({name: parts.joined(dim, order) for name, parts in self.parts.items()})
        if self.rows:
            self.inputs = self.rows if order is None else [self.rows[i] for i in np.argsort(order, kind="stable")]

    def cleanup_validate(self):
        for parts in self.parts.values():
            parts.close()

    def _of_rows(self) -> dict[str, Tensor]:
        """Return what is gathered of a batch of rows (B, ...)."""
        found = {}
        if "preds" in self.wanted:
            found["preds"] = (self.act or activation_of(self.loss_func))(self.pred)
        if "decoded" in self.wanted:
            found["decoded"] = decodes_of(self.loss_func)(self.pred)
        if "losses" in self.wanted and self.yb:
            found["losses"] = row_losses(self.loss_func, self.pred, self.yb[0])
        return found

    def _of_tokens(self) -> dict[str, Tensor]:
        """Return what is gathered of a language model's batch, (B, T, ...), from a few tokens at a time."""
        found: dict[str, list[Tensor]] = {name: [] for name in self.wanted & {"preds", "losses", "decoded"}}
        decoder, shape = self.pred.decoder, self.pred.dropped.shape[:2]  # (B, T)
        size = max(1, CHUNK_FLOATS // len(self.learn.dls.text_vocab))
        states, targets = self.pred.dropped.flatten(0, 1).float(), self.yb[0].flatten()  # (B * T, E), (B * T,)
        for x, y in zip(states.split(size), targets.split(size), strict=True):
            logits = decoder(x)  # (n, V)
            logp = logits.log_softmax(1).gather(1, y.unsqueeze(1)).squeeze(1)  # (n,)
            preds = logp if self.act is None else self.act(logits)
            if preds.numel() >= logits.numel() and self.files["preds"] is None:
                raise TrainingError("E505", received="act= that keeps a number for each word of the vocabulary",
                                    expected="some numbers a token, such as logits.topk(5).indices",
                                    fix="leave act= out for log-probabilities, or pass save_preds= for a file")
            for name, part in (("preds", preds), ("losses", -logp), ("decoded", logits.argmax(1))):
                if name in found:
                    found[name].append(part)
        return {name: torch.cat(parts).unflatten(0, shape) for name, parts in found.items()}


def row_losses(loss_func: Callable, pred: Tensor, target: Tensor) -> Tensor:
    """Return the loss of each row (B,) if the loss has a `reduction`. Otherwise return the batch's for each row."""
    reduction = getattr(loss_func, "reduction", None)
    if reduction is None:
        return loss_func(pred, target).expand(len(target))
    of_rows: Any = copy.copy(loss_func)  # the learner's own is not touched: another thread may ask it
    of_rows.reduction = "none"
    return of_rows(pred, target).reshape(len(target), -1).mean(1)


class MCDropoutCallback(Callback):
    """Leave every dropout on in validation (Monte Carlo dropout). Batch norm stays as in validation.

    `learn.get_preds(cbs=MCDropoutCallback())` then gives other predictions each time. Their spread shows how sure the
    model is. `predict_with_uncertainty` computes it. Source: Gal & Ghahramani 2016 (arXiv 1506.02142).
    """

    def before_validate(self):
        set_dropout(self.model, True)

    def cleanup_validate(self):
        set_dropout(self.model, False)


def set_dropout(model: nn.Module, on: bool) -> None:
    """Switch the dropouts of a model alone: modules whose class has "drop" in its name."""
    for module in model.modules():
        if "drop" in type(module).__name__.lower():
            module.training = on
