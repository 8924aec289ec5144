"""Validate a learner, and predict: a whole loader, or single texts."""

import copy
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ulmfit_easy._fastcore import listify
from ulmfit_easy.data.classify import ClassifierDataLoader
from ulmfit_easy.errors import TrainingError
from ulmfit_easy.learner.callbacks.preds import GatherPredsCallback
from ulmfit_easy.learner.callbacks.recorder import Recorder
from ulmfit_easy.learner.contexts import asking
from ulmfit_easy.learner.events import Cbs
from ulmfit_easy.learner.losses import activation_of, decodes_of
from ulmfit_easy.learner.metrics.metric import as_metric
from ulmfit_easy.learner.predictor import Predictor
from ulmfit_easy.models.evaluated import evaluated, without_gradients

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner


def loader_of(learn: "Learner", ds_idx: int, dl: Iterable | None) -> Any:
    """Return the loader asked for: `dl`, or the learner's training (0) or validation set (1). Never in random order.

    Raises: TrainingError E506 where that set is empty, as in a learner from `load_learner`.
    """
    if dl is None:
        dl = learn.dls[ds_idx]
        if len(dl) == 0:
            raise TrainingError("E506", received=f"no {('training', 'validation')[ds_idx]} data in this learner",
                                expected="texts to ask about", fix="pass dl=learn.dls.test_dl(texts)")
    return dl.unshuffled() if hasattr(dl, "unshuffled") else dl


def validate(learn: "Learner", ds_idx: int = 1, dl: Iterable | None = None, cbs: Cbs = None) -> list[float]:
    """Return the loss, then each metric, on the validation set or another loader.

    You can call it during a fit: the recorder and the metrics of the fit do not change.

    Args:
        ds_idx: 1 for the validation set (default), 0 for the training set.
        dl: a loader to use instead.
        cbs: callbacks for this call only.

    Raises: TrainingError E506 if there are no such data, or while another thread trains this learner.
    """
    return asking(learn, lambda: _validate(learn, ds_idx, dl, cbs))


def _validate(learn: "Learner", ds_idx: int, dl: Iterable | None, cbs: Cbs) -> list[float]:
    recorder = Recorder()
    learn.metrics = [copy.copy(as_metric(m)) for m in listify(learn.metrics)]
    learn.remove_cbs([cb for cb in learn.cbs if isinstance(cb, Recorder)]).add_cbs([recorder, *listify(cbs)])
    learn._do_validate(loader_of(learn, ds_idx, dl))
    return recorder.valid_values


def get_preds(learn: "Learner", ds_idx: int = 1, dl: Iterable | None = None, with_input: bool = False,
              with_decoded: bool = False, with_loss: bool = False, act: Callable | None = None, inner: bool = False,
              reorder: bool = True, cbs: Cbs = None, save_preds: str | Path | None = None,
              save_targs: str | Path | None = None, with_preds: bool = True, with_targs: bool = True,
              concat_dim: int = 0) -> tuple:
    """Return the predictions and targets of a whole loader, in the order of its rows.

    Args:
        ds_idx: 1 for the validation set (default), 0 for the training set.
        dl: a loader to use instead.
        cbs: callbacks for this call only.
        inner: Ignored; kept for fastai compatibility.
        with_input, with_decoded, with_loss, act, reorder, save_preds, save_targs, with_preds, with_targs, concat_dim:
            see `GatherPredsCallback`.

    Returns:
        `(preds, targets)`. `preds` (N, C) are probabilities, or what `act` returns. `targets` (N, ...) are None without
            labels. If asked for, the inputs come first, and the decisions and the losses (N,) last. Rows are in the
            order of the data, or with `reorder=False` in the order in which they were computed.

            For a language model both are (B, T), for T tokens of each of the B streams of the loader. `targets` are the
            tokens of the text, `preds` their log-probabilities, and a decision is the likeliest token.

    Raises: TrainingError E505 if `act` keeps a number for each word of the vocabulary, for each token.
    """
    one_answer_a_text(learn, "get_preds")
    found = GatherPredsCallback(with_input, with_loss, save_preds, save_targs, with_preds, with_targs, concat_dim,
                                with_decoded=with_decoded, act=act, reorder=reorder)

    def ask():
        learn.remove_cbs([Recorder, GatherPredsCallback]).add_cbs([found, *listify(cbs)])
        learn._do_validate(loader_of(learn, ds_idx, dl))

    asking(learn, ask)
    always, names = {"preds", "targets"}, ("inputs", "preds", "targets", "decoded", "losses")
    return tuple(getattr(found, name) for name in names if name in always | found.wanted)


def predictor(learn: "Learner") -> Predictor:
    """Return the `Predictor` of this learner. It shares the weights, and answers while another thread trains."""
    dls, loss_func = learn.dls, learn.loss_func
    return Predictor(dls.needs_text("predict()"), evaluated(learn.model), activation_of(loss_func),
                     decodes_of(loss_func), learn.task.prediction, dls.device, bs=dls.bs or Predictor.bs,
                     max_tokens=getattr(dls.train, "max_tokens", None))


def predict(learn: "Learner", item: Iterable, with_input: bool = False) -> Any:
    """Return a `Prediction`, `(label, index, probs)`, for one text, or a list of these for a list of texts.

    No callback takes part, so you can call it while another thread trains this learner.

    Args:
        item: one text. A list, tuple, array, Series or Index of texts. A table or row with the text columns.
        with_input: put each text before its prediction: `(text, label, index, probs)`.

    Raises: TextError E101 if a text is missing or not a string. E102 if a column is missing. E104 if there are no
        texts.
    """
    return predictor(learn).predict(item, with_input)


def one_answer_a_text(learn: "Learner", call: str) -> None:
    """Raise E506 if the task has an answer for each token, which `call` cannot use."""
    target = learn.dls.target
    if target is not None and target.labelled and target.per != "text":
        raise TrainingError("E506", received=f"{call} of a learner with an answer per {target.per}",
                            expected="one answer per text", fix="use learn.predict(texts) or learn.validate()")


def show_results(learn: "Learner", ds_idx: int = 1, dl: Iterable | None = None, max_n: int = 9, shuffle: bool = True, *,
                 trunc_at: int = 150) -> None:
    """Show text, label and prediction of some rows of a loader. Of its first ones without `shuffle`.

    For a language model these are text, next words and guesses. An ellipsis stands for the
    tokens after the first `trunc_at`.
    """
    from ulmfit_easy.viz import show_table

    if learn.dls.task is None:
        raise TrainingError("E506", received="show_results() on plain loaders", expected="loaders of texts",
                            fix="use a method of TextDataLoaders, such as from_df")
    dl, rng = loader_of(learn, ds_idx, dl), np.random.default_rng(torch.initial_seed() % 2**63)
    if shuffle and type(dl) is ClassifierDataLoader:  # the same rows each time, until torch gets another seed
        pick = rng.permutation(dl.n_rows)[:max_n]
        dl = ClassifierDataLoader(dl.ids, dl.rows[pick], None if dl.targets is None else dl.targets[pick],
                                  bs=max_n, backwards=dl.backwards, device=dl.device)
    rows = _result_rows(learn, evaluated(learn.model), dl, trunc_at)
    rows = [rows[i] for i in (rng.permutation(len(rows)) if shuffle else range(len(rows)))]
    return show_table(rows[:max_n], list(learn.task.columns))


@without_gradients
def _result_rows(learn: "Learner", model: nn.Module, dl: Any, trunc_at: int) -> list:
    """Return the rows of the first batch in words: text, what comes next or the target, what the model says."""
    dls, rows = learn.dls, list[Any]()
    for batch in islice(dl, 1):
        xb, yb = batch[: dl.n_inp], batch[dl.n_inp :]
        output = model(*xb)
        if not dls.target.labelled:
            some = output.dropped.flatten(0, 1).split(100)  # (n, E) each: never tokens x vocabulary
            decided = torch.cat([output.decoder(states).argmax(-1) for states in some]).view_as(yb[0])  # (B, T)
        else:
            decided = decodes_of(learn.loss_func)(getattr(output, "logits", output).float().cpu())  # (B, ...)
        rows = dls.target.shown(xb, yb[0] if yb else None, decided, words=partial(dls.words, trunc_at=trunc_at))
    return rows
