"""The moments at which a callback can act, and the exceptions by which it can skip what comes next.

Names and order are fastai's, so that a callback written for it works here. Each of fit, epoch, validate and batch
has one event more, `cleanup_*`, which runs whatever happened inside: an error, Ctrl-C or a normal end.
"""

import difflib
import weakref
from collections.abc import Callable, Iterable
from types import MethodType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from ulmfit_easy._fastcore import camel2snake
from ulmfit_easy.absent import no_attribute
from ulmfit_easy.errors import AbsentError, refuse_stranger
from ulmfit_easy.user_code import warn_user

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner

# The bands of `Callback.order`, first to last. In a band, callbacks run in the order in which they were added.
# The numbers are near fastai's, so that a callback written for it keeps its place.
RANKS = -20  # joins what several processes measure and learn, before all others look at it
FIRST = -10  # the model's mode, which layers train, watches for numbers that are not finite
MODEL = 0  # what goes into the model and what comes out of it: the default
PENALTY = 1  # adds to `loss_grad`
ACCUMULATE = 6  # takes a share of the whole `loss_grad`, or keeps gradients, still scaled, for a later step
PRECISION = 10  # ends autocast when the loss is whole, scales it, unscales gradients
CLIP = 11  # sees gradients as they are
RECORD = 50  # measures losses and metrics
AVERAGE = 55  # puts other weights into the model, knowing the losses of this epoch
SCHEDULE = 60  # sets rates and momenta
REPORT = 65  # shows or stores what was recorded
TRACK = 70  # follows a measure: saves the best weights, lowers the rate
STOP = 900  # ends an epoch or a fit, once all above have had their turn
SAVE = 1000  # the state that all others leave

__all__ = ["Callback", "CancelBackwardException", "CancelBatchException", "CancelEpochException", "CancelFitException",
           "CancelStepException", "CancelTrainException", "CancelValidException", "event"]

EVENTS = (
    "after_create", "before_fit", "before_epoch", "before_train", "before_batch", "after_pred", "after_loss",
    "before_backward", "after_cancel_backward", "after_backward", "before_step", "after_cancel_step",
    "after_step", "after_cancel_batch", "after_batch", "after_cancel_train", "after_train", "before_validate",
    "after_cancel_validate", "after_validate", "after_cancel_epoch", "after_epoch", "after_cancel_fit",
    "after_fit", "cleanup_batch", "cleanup_validate", "cleanup_epoch", "cleanup_fit",
)  # fmt: skip
# those inside the loop over batches: run_train and run_valid apply
BATCH_EVENTS = frozenset(EVENTS[EVENTS.index("before_batch") : EVENTS.index("after_batch") + 1])
event = SimpleNamespace(**{name: name for name in EVENTS})  # `event.before_fit` is "before_fit", as in fastai


class CancelBackwardException(Exception):
    """Skip the rest of the backward pass, go to `after_backward`."""


class CancelStepException(Exception):
    """Skip the optimizer's step, go to `after_step`."""


class CancelBatchException(Exception):
    """Skip the rest of this batch, go to `after_batch`."""


class CancelTrainException(Exception):
    """Skip the rest of this epoch's training, go to `after_train`."""


class CancelValidException(Exception):
    """Skip the rest of the validation, go to `after_validate`."""


class CancelEpochException(Exception):
    """Skip the rest of this epoch, go to `after_epoch`."""


class CancelFitException(Exception):
    """Stop training, go to `after_fit`."""


CANCEL = {
    "backward": CancelBackwardException, "step": CancelStepException, "batch": CancelBatchException,
    "train": CancelTrainException, "validate": CancelValidException, "epoch": CancelEpochException,
    "fit": CancelFitException,
}  # fmt: skip


class Callback:
    """Base class of callbacks, which act at named moments (events) of training, such as `before_epoch`.

    In a subclass, write a method with the name of each event. `self.loss` reads the attribute of the learner. To change
    it, write `self.learn.loss = ...`. Callbacks run in the order of their `order`, a constant of this module such as
    `RECORD`. Those with one `order` run as they were added.

    Args:
        events: functions by the names of events, for a callback without a class: `Callback(before_epoch=lambda self:
            print(self.epoch))`.

    Raises: ArgumentError E604 if a name is not that of an event.
    """

    order = MODEL
    run = True  # False switches the callback off until the end of the fit
    run_train, run_valid = True, True  # whether the events of a batch run in training, in validation
    main_only = False  # True for one that shows or writes: of several processes, the main one alone runs it
    in_lr_find = True  # False leaves it out of `lr_find`: it is about real fits
    STATE: tuple[str, ...] = ()  # the attributes that a checkpoint keeps
    _learner: "_Weak | Callable | None" = None

    def __init__(self, **events: Callable):
        for name, function in events.items():
            refuse_stranger("the event ", name, EVENTS)
            setattr(self, name, MethodType(function, self))

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Warn, where a class is written, of methods that look like events and are none: nothing would call them."""
        super().__init_subclass__(**kwargs)
        for name, value in vars(cls).items():
            if callable(value) and (near := _misspelt(name)):
                warn_user(f"{cls.__name__}.{name}: training never calls it, for {name!r} is no event. Fix: rename "
                          f"it {near!r}; let the name of a helper of your own begin with _.")

    def state_dict(self) -> dict:
        """Return what a checkpoint keeps: nested dicts with strings as keys, lists, tensors and plain values."""
        return {name: getattr(self, name) for name in self.STATE}

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state_dict()`."""
        vars(self).update(state)

    @property
    def learn(self) -> "Learner | Any":
        """The learner that has this callback. It is held weakly: `del learn` frees the model at once."""
        return self._learner and self._learner()

    @learn.setter
    def learn(self, learner: "Learner | None") -> None:
        is_real = learner is None or hasattr(learner, "cbs")
        self._learner = _Weak(learner) if is_real else lambda: learner  # a stand-in, as tests make them

    @property
    def name(self) -> str:
        """The snake-case name under which the learner knows this callback, e.g. `csv_logger`."""
        return camel2snake(type(self).__name__.removesuffix("Callback") or "Callback")

    def __getattr__(self, attr: str) -> Any:
        learn = self.learn
        if learn is None and self._learner:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {attr!r}, and its learner, which "
                                 "may, is gone: keep the learner")
        if learn is None or attr.startswith("_") or attr in EVENTS:
            raise no_attribute(self, attr)
        try:
            return getattr(learn, attr)
        except AttributeError as e:
            own = no_attribute(self, attr)
            if isinstance(own, AbsentError) or (e.obj is learn and not isinstance(e, AbsentError)):
                raise own from None  # the callback was asked for it, not the learner
            raise

    def __setattr__(self, attr: str, value: object) -> None:
        if self.learn is not None and attr in vars(self.learn) and attr not in vars(self):
            warn_user(f"{type(self).__name__} sets its own {attr!r}, which hides the learner's and does not change "
                      f"it. Fix: write self.learn.{attr} = ..., or choose another name.")
        super().__setattr__(attr, value)

    def __call__(self, event: str) -> Any:
        """Run the method for this event, if there is one and it applies, and return what it returns."""
        in_batch = event in BATCH_EVENTS
        applies = not in_batch or (self.run_train if self.learn.training else self.run_valid)
        result = None
        if (self.run or event.startswith("cleanup")) and applies and (method := getattr(self, event, None)):
            result = method()
        if event == "cleanup_fit":
            self.run = True
        return result

    def __repr__(self) -> str:
        return type(self).__name__


Cbs = Callback | type[Callback] | Iterable[Callback | type[Callback]] | None  # one, several or none; classes are called


class _Weak:
    """Gives a learner back for as long as another holds it. Copied with its learner, it gives the copy."""

    def __init__(self, learner: "Learner | None"):
        self.ref = (lambda: None) if learner is None else weakref.ref(learner)

    def __call__(self) -> "Learner | None":
        return self.ref()

    def __reduce__(self) -> tuple:
        return _Weak, (self.ref(),)


def _misspelt(name: str) -> str | None:
    """Return the event that a name is meant to be, if it is none but begins like one or is nearly the same."""
    begins_so = name.startswith(("before_", "after_", "begin_"))
    if name.startswith("_") or not begins_so and any(event in name for event in EVENTS) or name in EVENTS:
        return None  # `log_after_batch` is a helper
    cutoff = 0 if begins_so else 0.85  # 0 finds the nearest, however far
    return next(iter(difflib.get_close_matches(name, EVENTS, 1, cutoff)), None)
