"""Calibrate probabilities, and find the threshold for a wanted precision or recall."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ulmfit_easy.bundle.artefact import load_weights, save_weights
from ulmfit_easy.errors import ArgumentError, FileError, TrainingError, refuse_stranger
from ulmfit_easy.learner.learner import Learner
from ulmfit_easy.learner.losses import BCELossFlat
from ulmfit_easy.learner.predictor import Predictor
from ulmfit_easy.learner.weights import model_file, weights_sha256
from ulmfit_easy.recipes.base import TextEstimator
from ulmfit_easy.user_code import warn_user
from ulmfit_easy.viz import plot_reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLDEST, HOTTEST = 1 / 20, 20.0  # temperatures beyond these say that the texts cannot tell


class Reliability(NamedTuple):
    """Answers put into bins by how sure they are. K bins that are not empty."""

    confidence: np.ndarray  # (K,) the mean probability that was claimed
    accuracy: np.ndarray  # (K,) the share that was right
    count: np.ndarray  # type: ignore[assignment]  # (K,) answers; it hides a method of tuples


class Threshold(NamedTuple):
    """A probability from which on to believe that a text is of a class, and what that gave on the texts at hand."""

    threshold: float
    precision: float  # the share of the chosen texts that are of the class
    recall: float  # the share of the texts of the class that are chosen
    n: int  # texts chosen


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A classifier whose probabilities are corrected by a temperature. `calibrate` makes it from labelled texts.

    Attributes:
        learn: the learner, which stays as it is.
        temperature: above 1 the model was too sure, below 1 not sure enough.
        logits: (N, C) what the model gave for the texts that it was calibrated with, before softmax.
        targs: their labels: (N,) classes, or (N, C) zeros and ones if a text may have several.
    """

    learn: Learner = field(repr=False)
    temperature: float
    logits: Tensor = field(repr=False)
    targs: Tensor = field(repr=False)

    @property
    def predictor(self) -> Predictor:
        """The learner's `Predictor` with this temperature."""
        return replace(self.learn.predictor, temperature=self.temperature)

    @property
    def probs(self) -> Tensor:
        """The calibrated probabilities of the texts at hand, (N, C)."""
        return self.predictor.activation(self.logits / self.temperature)

    @property
    def uncalibrated(self) -> "Calibrated":
        """The probabilities before calibration, (N, C)."""
        return replace(self, temperature=1.0)

    def predict(self, item: Iterable, with_input: bool = False) -> Any:
        """As `learn.predict`, `(label, index, probs)` or a list of these, with calibrated probabilities."""
        return self.predictor.predict(item, with_input)

    def save(self, file: str | Path) -> Path:
        """Write the temperature, the logits and the labels to `path/model_dir/file.safetensors`.

        The model is not in it: keep that with `learn.export` or `learn.save`, the latter under another name.
        """
        return save_weights(model_file(self.learn, file), {"logits": self.logits, "targs": self.targs},
                            temperature=self.temperature, **_identity(self.learn))

    @classmethod
    def load(cls, learn: Learner, file: str | Path) -> "Calibrated":
        """Read a file of `save`, for a learner with the same weights, such as one from `load_learner`.

        Args:
            file: the name it was saved under, or the path of the file.

        Raises: E404 if the file does not exist. E401 if it is another kind of file. E402 for other classes or another
            vocabulary.
        """
        path = model_file(learn, file)
        answers, kept = load_weights(path)
        if "temperature" not in kept:
            raise FileError("E401", received=f"{path}, which holds no calibration",
                            expected="a file from calibrated.save", fix="name the file that calibrated.save wrote")
        own = _identity(learn)
        kept = {"weights_sha256": own["weights_sha256"], **kept}  # the first files did not say
        if any(kept.get(name) != value for name, value in own.items()):
            raise FileError("E402", received=f"{path}, the calibration of another model",
                            expected="the classes, the vocabulary and the weights of this learner",
                            fix="load it with the learner that was calibrated, or calibrate this one")
        if not _are_values(kept["temperature"], answers.get("logits"), answers.get("targs")):
            raise FileError("E401", received=f"{path} with temperature={kept['temperature']!r:.40}, or with answers "
                            "that are none", expected=f"a temperature from {COLDEST:g} to {HOTTEST:g}, and answers",
                            fix="calibrate the learner again and save that")
        return cls(learn, kept["temperature"], answers["logits"], answers["targs"])

    def on(self, dl: Iterable | None = None, ds_idx: int = 1) -> "Calibrated":
        """Return the same temperature with other texts, such as a test set: measure there how well it fits."""
        logits, targs = _answers(self.learn, ds_idx, dl)
        return replace(self, logits=logits, targs=targs)

    def ece(self, n_bins: int = 15) -> float:
        """Return the expected calibration error on these texts, 0 to 1. See `expected_calibration_error`."""
        return expected_calibration_error(self.probs, self.targs, n_bins)

    def plot_reliability(self, n_bins: int = 10, ax: "Axes | None" = None) -> "Axes":
        """Plot how often the model is right against how sure it is, before and after calibration. Return the axes."""
        curves = {f"before, error {self.uncalibrated.ece():.3f}": self.uncalibrated,
                  f"temperature {self.temperature:.2f}, error {self.ece():.3f}": self}
        return plot_reliability({name: reliability(c.probs, c.targs, n_bins) for name, c in curves.items()}, ax)

    def threshold_for(self, label: object, *, precision: float | None = None, recall: float | None = None) -> Threshold:
        """Return the probability from which to choose `label`, so that a given precision or recall is reached.

        Args:
            label: the name of a class.
            precision: the share of the chosen texts that must be right, 0 to 1. The recall is then as high as possible.
            recall: the share of the texts of this class that must be found, 0 to 1. The precision is then as high as
                possible. Pass one of the two.

        New texts will give about the same figures, less exactly if few texts were used here. Measure them on a test
        set with `calibrated.on(dl)`.

        Raises: E604 for an unknown class. E603 unless one of the two is given. E602 if no threshold reaches it.
        """
        classes = list(range(self.logits.shape[1])) if self.learn.dls.classes is None else self.learn.dls.classes
        refuse_stranger("the class ", label, classes)
        i = classes.index(label)
        truth = self.targs[:, i] > 0 if self.targs.dim() > 1 else self.targs == i
        return threshold_for(self.probs[:, i], truth, precision=precision, recall=recall)


def calibrate(learn: Learner, ds_idx: int = 1, dl: Iterable | None = None) -> Calibrated:
    """Correct a classifier's probabilities by temperature scaling: of answers with 0.8, about 80 % shall be right.

    All logits are divided by one number, the temperature. It is chosen so that the labels of the given texts are the
    likeliest. No weight changes. If each text has one class, no predicted class changes either. Use texts that the
    model was not trained with.

    Args:
        learn: a classifier's learner. If it is one of a `ULMFiT`'s `learners_`, the result corrects this learner
            alone. `ULMFiT.predict_proba` stays as it is.
        ds_idx, dl: the texts: the validation set (1), or any labelled loader.

    Raises: E506 for a regression, a language model, texts without labels, or a loss that takes probabilities.
    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv 1706.04599), section 4.2.
    """
    if isinstance(learn, TextEstimator):
        raise TrainingError("E506", received=f"a {type(learn).__name__}, whose probabilities no single temperature "
                            "decides", expected="a learner", fix="from scikit-learn take CalibratedClassifierCV("
                            "FrozenEstimator(model), method='temperature'), and fit it to other texts; "
                            "calibrate(model.learners_[0]) is for a part of it alone")
    if learn.dls.target is not None and not learn.dls.target.has_classes:
        raise TrainingError("E506", received=f"a learner for the task {learn.dls.task!r}",
                            expected="a classifier, which gives probabilities of classes",
                            fix="see learn.validate() for how far off it is")
    if isinstance(learn.loss_func, BCELossFlat):
        raise TrainingError("E506", received="a learner whose model gives probabilities, as BCELossFlat wants them",
                            expected="logits, which a temperature can divide",
                            fix="train without y_range= and with loss_func=BCEWithLogitsLossFlat()")
    logits, targs = _answers(learn, ds_idx, dl)
    return Calibrated(learn, best_temperature(logits, targs), logits, targs)


def _identity(learn: Learner) -> dict:
    """By what a learner is known again when its calibration is loaded."""
    return {"classes": learn.dls.classes, "vocab_sha256": getattr(learn.dls.text_vocab, "sha256", None),
            "weights_sha256": weights_sha256(learn.model)}


def _are_values(temperature: object, logits: Tensor | None, targs: Tensor | None) -> bool:
    """Tell if these can be what `calibrate` found: a temperature in its bounds, and logits with their labels."""
    if type(temperature) is not float or not COLDEST <= temperature <= HOTTEST or logits is None or targs is None:
        return False
    if logits.dim() != 2 or not logits.is_floating_point() or not torch.isfinite(logits).all():
        return False
    if targs.dim() == 2:
        return targs.shape == logits.shape
    known = not len(targs) or bool(0 <= targs.min() and targs.max() < logits.shape[1])
    return targs.dtype == torch.int64 and targs.shape == logits.shape[:1] and known


def _answers(learn: Learner, ds_idx: int, dl: Iterable | None) -> tuple[Tensor, Tensor]:
    logits, targs = learn.get_preds(ds_idx, dl, act=nn.Identity())
    if targs is None:
        raise TrainingError("E506", received="a loader without labels", expected="texts with their labels",
                            fix="pass dl=learn.dls.test_dl(df, with_labels=True)")
    known = slice(None) if targs.dim() > 1 else targs >= 0  # a label below 0 is no class
    return logits[known].double(), targs[known]


def best_temperature(logits: Tensor, targs: Tensor) -> float:
    """Return the temperature with the smallest negative log-likelihood of `targs` (N,) or (N, C) given `logits` (N, C).

    It is convex in the factor 1 / temperature, so that the zero of its slope is the best. Where the best would be
    beyond 1/20 or 20, these texts cannot tell: a warning, and 1.
    """
    from scipy.optimize import brentq

    z = logits.double()

    def slope(factor: float) -> float:  # it rises with the factor
        if targs.dim() > 1:
            return (z * ((z * factor).sigmoid() - targs)).mean().item()
        expected = ((z * factor).softmax(1) * z).sum(1)  # (N,)
        return (expected - z.gather(1, targs.unsqueeze(1)).squeeze(1)).mean().item()

    low, high = 1 / HOTTEST, 1 / COLDEST
    if not len(z) or slope(low) >= 0 or slope(high) <= 0:
        warn_user(f"these {len(z):,} texts cannot tell how sure to be: the model is right (or wrong) with nearly "
                  "all of them; probabilities stay as they are. More texts would help")
        return 1.0
    return 1 / brentq(slope, low, high)


def reliability(probs: Tensor | np.ndarray, targs: Tensor | np.ndarray, n_bins: int = 10) -> Reliability:
    """Return the answers in `n_bins` bins of equal width by how sure they are, empty ones left out.

    Args:
        probs: (N, C).
        targs: (N,) classes: an answer is the likeliest class. Or (N, C) flags: each class of each text is an answer.
    """
    probs, targs = torch.as_tensor(probs), torch.as_tensor(targs)
    if targs.dim() > 1:
        sure, right = probs.flatten().numpy(), (targs > 0).flatten().numpy()  # (N * C,)
    else:
        sure, right = probs.amax(1).numpy(), (probs.argmax(1) == targs).numpy()  # (N,)
    bins = np.minimum((sure * n_bins).astype(int), n_bins - 1)
    count = np.bincount(bins, minlength=n_bins)  # (n_bins,)
    full = count > 0
    confidence, accuracy = (np.bincount(bins, x, n_bins)[full] / count[full] for x in (sure, right))
    return Reliability(confidence, accuracy, count[full])


def expected_calibration_error(probs: Tensor | np.ndarray, targs: Tensor | np.ndarray, n_bins: int = 15) -> float:
    """Return the gap between confidence and accuracy, from 0 to 1, averaged over the answers in bins.

    `probs` (N, C) and `targs` as for `reliability`. Source: Guo et al. 2017, equation 3, with their 15 bins.
    """
    confidence, accuracy, count = reliability(probs, targs, n_bins)
    return float((abs(confidence - accuracy) * count).sum() / count.sum())


def threshold_for(probs: Tensor | np.ndarray, truth: Tensor | np.ndarray, *, precision: float | None = None,
                  recall: float | None = None) -> Threshold:
    """Return the threshold on `probs` (N,) at which one figure is reached and the other is as high as it can be.

    `truth` (N,) says which texts are of the class. Raises: E603 unless one figure is asked for, E602 if none reaches
    it.
    """
    from sklearn.metrics import precision_recall_curve

    if (precision is None) == (recall is None):
        raise ArgumentError("E603", received=f"precision={precision}, recall={recall}", expected="one of the two",
                            fix="name the figure that must be reached")
    probs, truth = np.asarray(probs, dtype=float), np.asarray(truth, dtype=bool)
    name, least = ("recall", recall) if precision is None else ("precision", precision)
    if truth.any():  # from the highest threshold to the lowest; sklearn adds a last point that chooses nothing
        precisions, recalls, thresholds = (x[::-1] for x in precision_recall_curve(truth, probs))
        precisions, recalls = precisions[1:], recalls[1:]
    else:
        precisions = recalls = thresholds = np.zeros(1)
    wanted, other = (recalls, precisions) if precision is None else (precisions, recalls)
    if wanted.max() < least:
        raise ArgumentError("E602", received=f"{name}={least} for {truth.sum():,} of {len(truth):,} texts",
                            expected=f"at most {wanted.max():.3f}, the best that any threshold reaches",
                            fix="ask for less, or train a better model")
    best = int(np.argmax(np.where(wanted >= least, other, -1)))
    chosen = int((probs >= thresholds[best]).sum())
    return Threshold(float(thresholds[best]), float(precisions[best]), float(recalls[best]), chosen)
