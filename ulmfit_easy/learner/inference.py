"""Validate a learner, and predict: a whole loader, or single texts."""

import copy
import unicodedata
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy._fastcore import listify
from ulmfit_easy.data.classify import ClassifierDataLoader
from ulmfit_easy.errors import TrainingError, in_rows
from ulmfit_easy.learner.callbacks.preds import GatherPredsCallback
from ulmfit_easy.learner.callbacks.recorder import Recorder
from ulmfit_easy.learner.contexts import asking
from ulmfit_easy.learner.losses import activation_of, decodes_of
from ulmfit_easy.learner.metrics.metric import as_metric
from ulmfit_easy.models.evaluated import evaluated, without_gradients
from ulmfit_easy.reprs import described
from ulmfit_easy.user_code import warn_user
from ulmfit_easy.viz import escape, html_table


class Named:
    """Shows the probabilities of a prediction with the names of their classes, the five most likely ones first."""

    classes = None  # None: unknown, or a regression; not a part of the tuple

    def of(self, classes):
        """Return this prediction, which now knows the names of its classes."""
        self.classes = classes if classes and len(classes) == self.probs.numel() else None
        return self

    def _ranked(self) -> list[tuple]:
        pairs = zip(self.classes, self.probs.tolist(), strict=True)
        return [(name, round(p, 4)) for name, p in sorted(pairs, key=lambda pair: -pair[1])]

    def __repr__(self) -> str:
        shown = {name: value.tolist() if isinstance(value, Tensor) else value for name, value in self._asdict().items()}
        if self.classes:
            shown["probs"] = dict(self._ranked()[:5])
        more = f"and {len(self.classes) - 5} classes more" if len(self.classes or ()) > 5 else ""
        return described(self, *(f"{name}={value!r}" for name, value in shown.items()), more)

    def _repr_html_(self) -> str:
        if not self.classes:
            return escape(repr(self))
        return f"<b>{escape(self.label)}</b>{html_table(self._ranked()[:5], ['class', 'probability'])}"


class _Fields(NamedTuple):
    label: object
    index: Tensor
    probs: Tensor


class Prediction(Named, _Fields):
    """The prediction for one text; unpacks as `label, index, probs`.

    Attributes:
        label: the class's name; a list of names for several labels; a number (or list) for regression.
        index: the class's position in `learn.dls.classes`; a boolean for each class for several labels.
        probs: (C,) the probability of each class; for regression the number again.
    """


def loader_of(learn, ds_idx, dl):
    """Return the loader asked for: `dl`, or the learner's training (0) or validation set (1); never in random order.

    Raises:
        TrainingError: E506 where that set is empty, as in a learner from `load_learner`.
    """
    if dl is None:
        dl = learn.dls[ds_idx]
        if len(dl) == 0:
            raise TrainingError("E506", received=f"no {('training', 'validation')[ds_idx]} data in this learner",
                                expected="texts to ask about", fix="pass dl=learn.dls.test_dl(texts)")
    return dl.unshuffled() if hasattr(dl, "unshuffled") else dl


def validate(learn, ds_idx: int = 1, dl=None, cbs=None) -> list[float]:
    """Return the loss, then each metric, on the validation set or another loader.

    A fit that is under way keeps its own recorder and metrics.

    Args:
        ds_idx: 1 for the validation set (default), 0 for the training set.
        dl: a loader to use instead.
        cbs: callbacks for this call only.

    Raises:
        TrainingError: E506 if there are no such data, or while another thread trains this learner.
    """
    return asking(learn, lambda: _validate(learn, ds_idx, dl, cbs))


def _validate(learn, ds_idx, dl, cbs) -> list[float]:
    recorder = Recorder()
    learn.metrics = [copy.copy(as_metric(m)) for m in listify(learn.metrics)]
    learn.remove_cbs([cb for cb in learn.cbs if isinstance(cb, Recorder)]).add_cbs([recorder, *listify(cbs)])
    learn._do_validate(loader_of(learn, ds_idx, dl))
    return recorder.valid_values


def get_preds(learn, ds_idx: int = 1, dl=None, with_input: bool = False, with_decoded: bool = False,
              with_loss: bool = False, act: Callable | None = None, inner: bool = False, reorder: bool = True,
              cbs=None, save_preds: str | Path | None = None, save_targs: str | Path | None = None,
              with_preds: bool = True, with_targs: bool = True, concat_dim: int = 0) -> tuple:
    """Return the predictions and targets of a whole loader, in the order of its rows.

    Args:
        ds_idx: 1 for the validation set (default), 0 for the training set.
        dl: a loader to use instead.
        cbs: callbacks for this call only.
        inner: Ignored; kept for fastai compatibility.
        with_input, with_decoded, with_loss, act, reorder, save_preds, save_targs, with_preds, with_targs, concat_dim:
            see `GatherPredsCallback`.

    Returns:
        `(preds, targets)`: (N, C) after the loss's activation (or `act`), and (N, ...), None without labels; with the
        inputs first, the decisions and the losses (N,) last where asked for. Rows are in the order of the data;
        `reorder=False` leaves them sorted by length, as they were computed.

        For a language model (B, T), the T tokens of each of the loader's B streams: the log-probability of each token
        that came, and the token; the likeliest token as the decision. Its probabilities of all words are never held.

    Raises:
        TrainingError: E505 for an `act` that would keep the numbers of all words in memory.
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


def predict(learn, item, with_input: bool = False):
    """Return a `Prediction`, `(label, index, probs)`, for one text, or a list of these for a list of texts.

    No callback takes part, so you can call it while another thread trains this learner.

    Args:
        item: one text; a list, tuple, array, Series or Index of texts; a table or row with the text columns.
        with_input: put each text before its prediction: `(text, label, index, probs)`.

    Raises:
        TextError: E101, E102 or E104 for what are no texts, the wrong columns, or no texts at all.
    """
    texts, alone = learn.dls.given(item)
    dl = learn.dls.test_dl(texts)
    warn_of_no_words(dl)
    raw = raw_predictions(evaluated(learn.model), dl)
    act, decide = activation_of(learn.loss_func), decodes_of(learn.loss_func)
    probs, decided = (list(map(f, raw)) if isinstance(raw, list) else f(raw) for f in (act, decide))
    found = [learn.task.prediction(learn.dls.decode(d), d, p).of(learn.dls.classes)
             for d, p in zip(decided, probs, strict=True)]
    if with_input:
        texts = texts.itertuples(index=False) if hasattr(texts, "itertuples") else texts
        found = [(text, *p) for text, p in zip(texts, found, strict=True)]
    return found[0] if alone else found


def warn_of_no_words(dl):
    """Warn of the texts of a loader without a word that the model knows: empty ones too."""
    itos, special = dl.prepare.vocab.itos, {*dl.prepare.vocab.specials.values()}
    if rows := [i for i, ids in enumerate(dl.ids.docs) if not any(_is_word(itos[j], special) for j in ids)]:
        texts = "a text" if len(rows) == 1 else f"{len(rows):,} texts"
        warn_user(f"{texts} without a known word ({in_rows(rows)}): the "
                  "prediction is no more than a guess")


def _is_word(token: str, special: set[str]) -> bool:
    """Tell a word, a number or a symbol from special tokens, punctuation and the mark of a blank."""
    return token not in special and not all(unicodedata.category(c)[0] == "P" for c in token.strip("\u2581"))


@without_gradients
def raw_predictions(model, dl) -> Tensor | list[Tensor]:
    """Return a model's outputs for a loader of texts, in the order of the texts, on the CPU.

    Outputs for a text are (N, C). Outputs for each token are a list of N tensors (T, C).
    """
    parts, order = [(_logits(model(*batch[: dl.n_inp])), batch[1]) for batch in dl], np.argsort(dl.order)
    if parts[0][0].ndim < 3:
        return torch.cat([logits for logits, _ in parts]).float().cpu()[torch.from_numpy(order)]
    raw = [row for part in parts for row in _of_tokens(*part, dl.backwards)]
    return [raw[i].float().cpu() for i in order]


def _logits(output):
    return getattr(output, "logits", output)


def _of_tokens(x: Tensor, lengths: Tensor, backwards: bool) -> list[Tensor]:
    """Return the rows of a batch (B, T, ...) without padding, in the order in which the text was written."""
    rows = [row[:n] for row, n in zip(x, lengths.tolist(), strict=True)]
    return [row.flip(0) for row in rows] if backwards else rows


def one_answer_a_text(learn, call: str):
    """Raise E506 if the task has an answer for each token, which `call` cannot use."""
    target = learn.dls.target
    if target is not None and target.labelled and target.per != "text":
        raise TrainingError("E506", received=f"{call} of a learner with an answer per {target.per}",
                            expected="one answer per text", fix="use learn.predict(texts) or learn.validate()")


def show_results(learn, ds_idx=1, dl=None, max_n=9, shuffle=True, *, trunc_at=150):
    """Show inputs, targets and predictions of some rows of a loader; of its first ones without `shuffle`.

    For a language model these are text, next words and guesses.
    """
    from ulmfit_easy.viz import show_table

    if learn.dls.task is None:
        raise TrainingError("E506", received="show_results() on plain loaders", expected="loaders of texts",
                            fix="use a method of TextDataLoaders, such as from_df")
    dl, rng = loader_of(learn, ds_idx, dl), np.random.default_rng(torch.initial_seed() % 2**63)
    if shuffle and isinstance(dl, ClassifierDataLoader):  # the same rows each time, until torch gets another seed
        pick = rng.permutation(dl.n_rows)[:max_n]
        dl = ClassifierDataLoader(dl.ids, dl.rows[pick], None if dl.targets is None else dl.targets[pick],
                                  bs=max_n, backwards=dl.backwards, device=dl.device)
    rows = _result_rows(learn, evaluated(learn.model), dl, trunc_at)
    rows = [rows[i] for i in (rng.permutation(len(rows)) if shuffle else range(len(rows)))]
    return show_table(rows[:max_n], list(learn.task.columns))


@without_gradients
def _result_rows(learn, model, dl, trunc_at) -> list:
    """Return the rows of the first batch in words: text, what comes next or the target, what the model says."""
    dls, rows = learn.dls, []
    for batch in islice(dl, 1):
        xb, yb = batch[: dl.n_inp], batch[dl.n_inp :]
        output = model(*xb)
        if not dls.target.labelled:
            n = trunc_at
            guesses = [output.decoder(states).argmax(-1) for states in output.dropped[:, :n]]  # (n,) of (n, E)
            rows = [[dls.words(t[:n]) for t in row] for row in zip(xb[0], yb[0], guesses, strict=True)]
        else:
            decided = decodes_of(learn.loss_func)(_logits(output).float().cpu())  # (B, ...)
            lengths = xb[1].tolist()
            if dls.target.per != "text":
                decided = [d[:n] for d, n in zip(decided, lengths, strict=True)]
            for i, d in enumerate(decided):
                text, target = dls.words(xb[0][i][: min(lengths[i], trunc_at)]), dls.decode(yb[0][i]) if yb else ""
                rows.append([text, target, dls.decode(d)])
    return rows
