"""Asking a trained model: validation, predictions of a whole loader, predictions of single texts."""

from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from ulmfit_easy._fastcore import listify
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.callbacks.recorder import Recorder
from ulmfit_easy.learner.events import Callback
from ulmfit_easy.learner.losses import activation_of, decodes_of


class Prediction(NamedTuple):
    """The prediction for one text; unpacks as `label, index, probs`.

    Attributes:
        label: the class's name; a list of names for several labels; a number (or list) for regression.
        index: the class's position in `learn.dls.classes`; a boolean for each class for several labels.
        probs: (C,) the probability of each class; for regression the number again.
    """

    label: object
    index: Tensor
    probs: Tensor


class GatherPreds(Callback):
    """Collects predictions, targets and losses (and inputs) of a validation, batch by batch, on the CPU."""

    order, run_train = 70, False

    def __init__(self, with_input: bool = False):
        self.with_input = with_input

    def before_validate(self):
        self.inputs, self.preds, self.targs, self.losses = [], [], [], []

    def after_batch(self):
        if self.with_input:
            self.inputs += [[t.cpu() for t in row] for row in zip(*self.xb, strict=True)]
        self.preds.append(self.pred.cpu())
        if self.yb:
            self.targs.append(self.yb[0].cpu())
            self.losses.append(_row_losses(self.loss_func, self.pred, self.yb[0]).cpu())


def _row_losses(loss_func, pred, target) -> Tensor:
    """The loss of each row (B,), for a loss that has a `reduction`; of the whole batch for each row otherwise."""
    reduction = getattr(loss_func, "reduction", None)
    if reduction is None:
        return loss_func(pred, target).expand(len(target))
    try:
        loss_func.reduction = "none"
        return loss_func(pred, target).reshape(len(target), -1).mean(1)
    finally:
        loss_func.reduction = reduction


def loader_of(learn, ds_idx, dl):
    """The loader asked for: `dl`, or the learner's training (0) or validation set (1); never in random order.

    Raises:
        TrainingError: E506 where that set is empty, as in a learner from `load_learner`.
    """
    if dl is None:
        dl = learn.dls[ds_idx]
        if len(dl) == 0:
            raise TrainingError("E506", received=f"no {('training', 'validation')[ds_idx]} data in this learner",
                                expected="texts to ask about", fix="pass dl=learn.dls.test_dl(texts)")
    return dl.unshuffled() if hasattr(dl, "unshuffled") else dl


def validate(learn, ds_idx=1, dl=None, cbs=None) -> list[float]:
    """See `Learner.validate`."""
    with learn.added_cbs(cbs):
        before = learn.recorder.valid_values
        try:
            _run(learn, loader_of(learn, ds_idx, dl))
            return learn.recorder.valid_values
        finally:
            learn.recorder.valid_values = before


LOOP = ("dl", "iter", "n_iter", "xb", "yb", "pred", "loss", "loss_grad", "training")


def _run(learn, dl):
    """One validation outside the loop; a fit that is under way (its callbacks may ask) goes on as it was."""
    before, was_training = {name: getattr(learn, name) for name in LOOP}, learn.model.training
    try:
        learn._do_validate(dl)
    finally:
        vars(learn).update(before)
        learn.model.train(was_training)


def get_preds(learn, ds_idx=1, dl=None, with_input=False, with_decoded=False, with_loss=False, act=None,
              reorder=True, cbs=None):
    """See `Learner.get_preds`.

    Returns:
        `(preds, targets)`: (N, C) after the loss's activation (or `act`), and (N, ...), None without labels; with the
        inputs first, the decisions and the losses (N,) last where asked for. Rows are in the loader's own order of
        rows; `reorder=False` leaves them sorted by length, as they were computed.

    Raises:
        TrainingError: E505 for a language model, whose predictions are tokens x vocabulary numbers.
    """
    if getattr(learn.dls, "task", None) == "lm":
        raise TrainingError("E505", received="get_preds on a language model",
                            expected="a question whose answer is not tokens x vocabulary numbers",
                            fix="use learn.logprob(texts), learn.validate() or learn.predict(text, n_words)")
    dl = loader_of(learn, ds_idx, dl)
    gather = GatherPreds(with_input)
    with learn.removed_cbs(Recorder), learn.added_cbs([gather, *listify(cbs)]):
        _run(learn, dl)
    raw = torch.cat(gather.preds)
    found = [(act or activation_of(learn.loss_func))(raw), torch.cat(gather.targs) if gather.targs else None]
    if with_decoded:
        found.append(decodes_of(learn.loss_func)(raw))
    if with_loss:
        found.append(torch.cat(gather.losses) if gather.losses else None)
    order = getattr(dl, "order", None)
    back = torch.arange(len(raw)) if order is None or not reorder else torch.as_tensor(order).argsort()
    found = [None if f is None else f[back] for f in found]
    if with_input:
        found.insert(0, [gather.inputs[i] for i in back])
    return tuple(found)


@torch.no_grad()
def predict(learn, item, with_input=False):
    """See `Learner.predict`. A lean path: no callbacks, no bar, and the model's mode is put back afterwards."""
    alone = learn.dls.is_one_text(item)
    texts = [item] if alone else item if hasattr(item, "__len__") else list(item)
    was_training = learn.model.training
    learn.model.eval()
    try:
        dl = learn.dls.test_dl(texts)
        raw = torch.cat([_logits(learn.model(*batch[: dl.n_inp])) for batch in dl]).float().cpu()
    finally:
        learn.model.train(was_training)
    raw = raw[torch.as_tensor(dl.order).argsort()]
    probs, decided = activation_of(learn.loss_func)(raw), decodes_of(learn.loss_func)(raw)
    found = [Prediction(learn.dls.decode(d), d, p) for d, p in zip(decided, probs, strict=True)]
    if with_input:
        texts = texts.itertuples(index=False) if hasattr(texts, "itertuples") else texts
        found = [(text, *p) for text, p in zip(texts, found, strict=True)]
    return found[0] if alone else found


def _logits(output):
    return getattr(output, "logits", output)


def show_results(learn, ds_idx=1, dl=None, max_n=9, trunc_at=150):
    """See `Learner.show_results`: text, target and prediction; for a language model text, next words, guesses."""
    from ulmfit_easy.viz import show_table

    dl = loader_of(learn, ds_idx, dl)
    was_training = learn.model.training
    learn.model.eval()
    try:
        rows = _result_rows(learn, dl, max_n, trunc_at)
    finally:
        learn.model.train(was_training)
    columns = ["text", "next words", "predicted"] if learn.dls.task == "lm" else ["text", "target", "predicted"]
    return show_table(rows[:max_n], columns)


@torch.no_grad()
def _result_rows(learn, dl, max_n, trunc_at) -> list:
    """The first rows of the first batch in words: text, what comes next or the target, what the model says."""
    dls, rows = learn.dls, []
    for batch in islice(dl, 1):
        xb, yb = batch[: dl.n_inp], batch[dl.n_inp :]
        output = learn.model(*xb)
        if dls.task == "lm":
            n = min(trunc_at, xb[0].shape[1])
            guesses = output.decoder(output.dropped[:max_n, :n]).argmax(-1)  # (max_n, n)
            rows = [[dls.words(t[:n]) for t in row] for row in zip(xb[0], yb[0], guesses, strict=False)]
        else:
            decided = decodes_of(learn.loss_func)(_logits(output).float().cpu())[:max_n]
            lengths = xb[1].tolist()
            for i, d in enumerate(decided):
                text, target = dls.words(xb[0][i][: min(lengths[i], trunc_at)]), dls.decode(yb[0][i]) if yb else ""
                rows.append([text, target, dls.decode(d)])
    return rows
