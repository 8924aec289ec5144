"""Find the errors of a classifier: the largest losses and the classes that it confuses, from one inference pass."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ulmfit_easy.data.classify import ClassifierDataLoader
from ulmfit_easy.errors import TrainingError, some
from ulmfit_easy.learner.inference import loader_of
from ulmfit_easy.learner.learner import Learner
from ulmfit_easy.terminal import printable, say
from ulmfit_easy.viz import plot_confusion, show_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Interpretation:
    """The predictions and losses of a learner for every text of a labelled loader.

    The model reads the loader once, when this object is made. Later training of the model changes nothing in it.

    Args:
        learn: a learner of a classifier or a regression.
        dl: a loader with labels. By default the validation set.
        act: a function from logits (N, C) to probabilities, if those of the loss function do not fit.

    Attributes:
        preds: (N, C) probabilities, or for regression numbers.
        targs: (N,) class numbers, (N, C) zeros and ones, or (N,) numbers. Below 0 stands for a label that is not a
            class.
        decoded: the model's decisions, in the form of `targs`.
        losses: (N,) the loss of each text.
        rows: (N,) the position of each text in the data, counted from 0.

    Raises: E506 for a language model, or a loader without labels or rows. Methods that show texts raise E506 for a
        plain loader of torch, which has none.
    """

    def __init__(self, learn: Learner, dl: Iterable | None = None, act: Callable | None = None):
        if learn.dls.target is not None and not learn.dls.target.labelled:
            raise TrainingError("E506", received="a language model", expected="a learner that answers for a whole text",
                                fix="see learn.validate() for how well it guesses tokens")
        self.learn, self.dl = learn, loader_of(learn, 1, dl)
        self.preds, self.targs, self.decoded, self.losses = learn.get_preds(
            dl=self.dl, with_decoded=True, with_loss=True, act=act)
        if self.targs is None:
            raise TrainingError("E506", received="a loader without labels", expected="texts with their labels",
                                fix="pass dl=learn.dls.test_dl(df, with_labels=True)")
        self.rows = np.asarray(getattr(self.dl, "rows", range(len(self.preds))))

    @classmethod
    def from_learner(cls, learn: Learner, ds_idx: int = 1, dl: Iterable | None = None,
                     act: Callable | None = None) -> "Interpretation":
        """Return the interpretation of a learner's training set (0), validation set (1) or any other loader `dl`."""
        return cls(learn, loader_of(learn, ds_idx, dl), act)

    def top_losses(self, k: int | None = None, largest: bool = True, items: bool = False) -> tuple:
        """Return the k largest losses (k,) and the positions of their texts (k,). With `items` the texts as well.

        Args:
            k: None for all of them.
            largest: False for the smallest.
            items: a third value, the texts as the tokens that the model reads, with spaces between them.
        """
        k = len(self.losses) if k is None else min(k, len(self.losses))
        losses, idxs = self.losses.topk(k, largest=largest)
        return (losses, idxs, [self.learn.dls.words(self._ids(i)) for i in idxs.tolist()]) if items else (losses, idxs)

    def plot_top_losses(self, k: int, largest: bool = True, *, trunc_at: int = 150) -> None:
        """Show the k texts with the largest losses as readable text, at most `trunc_at` tokens of each.

        `row` is the row of the table that the loaders were made from, counted from 0: `df.iloc[row]`. Rows that were
        dropped do not count. Of a loader from `test_dl` it is the row of that table.
        """
        sure = self.learn.dls.target is None or self.learn.dls.target.has_classes
        columns = ["row", "text", "label", "predicted", *["probability"] * sure, "loss"]
        rows = []
        for i in self.top_losses(k, largest)[1].tolist():
            probability = [self._probability(i)] if sure else []
            rows.append([*self._shown(i, trunc_at), *probability, self.losses[i].item()])
        show_table(rows, columns)

    def show_results(self, idxs: Iterable[int], *, trunc_at: int = 150) -> None:
        """Show text, label and prediction at some positions, such as those of `top_losses`."""
        show_table([self._shown(int(i), trunc_at) for i in idxs], ["row", "text", "label", "predicted"])

    def _shown(self, i: int, trunc_at: int) -> list:
        decode = self.learn.dls.decode
        return [int(self.rows[i]), self._readable(i, trunc_at), decode(self.targs[i]), decode(self.decoded[i])]

    def _readable(self, i: int, trunc_at: int) -> str:
        """Return a text as detokenized. Words that the model does not know are in it, if the loader knows them."""
        ids, store = self._ids(i), getattr(self.dl.ids, "store", None)
        tokens = store.tokens(self.rows[i]) if store else [self.learn.dls.text_vocab[j] for j in ids.tolist()]
        cut = " \u2026" * (len(tokens) > trunc_at)
        return self.learn.dls.tokenizer.detokenize(tokens[:trunc_at]) + cut

    def _ids(self, i: int) -> np.ndarray:
        if not isinstance(self.dl, ClassifierDataLoader):
            raise TrainingError("E506", received="a plain loader, which keeps no texts", expected="loaders of texts",
                                fix="use TextDataLoaders.from_df; top_losses(k) needs no texts")
        return self.dl.ids[self.rows[i]]

    def _probability(self, i: int) -> float | list[float]:
        """Return the probability of the decision."""
        chosen = self.preds[i][self.decoded[i]]
        return chosen.item() if chosen.dim() == 0 else chosen.tolist()


class Confused(NamedTuple):
    """Return the number of texts that were given another class than their label."""

    label: object
    predicted: object
    count: int  # type: ignore[assignment]  # it hides a method of tuples


class ClassificationInterpretation(Interpretation):
    """An `Interpretation` of a classifier, with its confusion matrix. Texts without a known class are left out.

    Attributes:
        vocab: the names of the C classes.

    Raises: E506 for a regression. Its methods raise E506 if no text has a label that is one of the classes.
    """

    def __init__(self, learn: Learner, dl: Iterable | None = None, act: Callable | None = None):
        super().__init__(learn, dl, act)
        if self.learn.dls.target is not None and not self.learn.dls.target.has_classes:
            raise TrainingError("E506", received="a regression", expected="classes to tell apart",
                                fix="use Interpretation, which knows losses and results")
        self.vocab = self.learn.dls.classes or list(range(self.preds.shape[1]))

    @property
    def _several(self) -> bool:
        return self.targs.dim() > 1

    def _decided(self) -> tuple[Tensor, Tensor]:
        """Targets and decisions where the target is a class: (n,) twice, or (n, C) for several labels a text."""
        known = torch.ones(len(self.targs), dtype=torch.bool) if self._several else self.targs >= 0  # (N,)
        if not known.any():
            raise TrainingError("E506", received=f"{len(known):,} texts, none with a label that the learner knows",
                                expected="texts of its classes", fix=f"use the labels {some(map(repr, self.vocab))}")
        return self.targs[known].long(), self.decoded[known].long()

    def confusion_matrix(self) -> np.ndarray:
        """Count the texts of each class (rows) by predicted class (columns), (C, C) int64.

        If a text may have several labels, (C, 2, 2): for each class, absent or present (rows), not predicted or
        predicted (columns).
        """
        from sklearn.metrics import confusion_matrix

        targs, decoded = self._decided()
        if self._several:
            return np.stack([confusion_matrix(t, d, labels=[0, 1]) for t, d in zip(targs.T, decoded.T, strict=True)])
        return confusion_matrix(targs, decoded, labels=range(len(self.vocab)))

    def plot_confusion_matrix(self, normalize: bool = False, title: str = "Confusion matrix", cmap: str = "Blues",
                              norm_dec: int = 2, plot_txt: bool = True, *, ax: Any = None,
                              **figure: Any) -> "Axes | list[Axes]":
        """Plot the confusion matrix. Return the axes, or a list with one per class if texts have several labels.

        Args:
            normalize: show shares of each row with `norm_dec` decimals, instead of numbers of texts.
            plot_txt: write the numbers into the cells.
            ax: matplotlib axes to draw on. For several labels one for each class.
            figure: `figsize` (inches) and `dpi` of the new figure.
        """
        options = dict(cmap=cmap, normalize=normalize, norm_dec=norm_dec, plot_txt=plot_txt, **figure)
        matrix = self.confusion_matrix()
        if not self._several:
            return plot_confusion(matrix, self.vocab, title, ax=ax, **options)
        axes = [None] * len(matrix) if ax is None else ax
        return [plot_confusion(m, ["no", "yes"], printable(name), ax=one, **options)
                for m, name, one in zip(matrix, self.vocab, axes, strict=True)]

    def most_confused(self, min_val: int = 1) -> list[Confused]:
        """Return the mistakes made at least `min_val` times, `(label, predicted, count)`, the commonest first.

        Raises: E506 if a text may have several labels: then no class is taken for another.
        """
        if self._several:
            raise TrainingError("E506", received="texts with several labels", expected="one class for each text",
                                fix="look at confusion_matrix() or print_classification_report()")
        wrong = self.confusion_matrix()
        np.fill_diagonal(wrong, 0)
        found = [Confused(self.vocab[t], self.vocab[p], int(wrong[t, p]))
                 for t, p in zip(*wrong.nonzero(), strict=True)]
        return sorted([pair for pair in found if pair.count >= min_val], key=lambda pair: -pair.count)

    def print_classification_report(self):
        """Print precision, recall, F1 and number of texts of each class, from scikit-learn."""
        from sklearn.metrics import classification_report

        targs, decoded = self._decided()
        names = [printable(name) for name in self.vocab]
        say(classification_report(targs, decoded, labels=range(len(names)), target_names=names, zero_division=0))
