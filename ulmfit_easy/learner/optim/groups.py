"""Layer groups, the parameters that share a rate: the optimizer over them, and which of them train."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from torch import nn

from ulmfit_easy.learner.optim.optimizer import BATCH_NORMS, Optimizer, norm_and_bias_params, norm_params
from ulmfit_easy.models.encoder import Headed
from ulmfit_easy.schema import MOST, takes, whole

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner


L = TypeVar("L", bound="Learner")


def trainable_params(model: nn.Module) -> list:
    """Return all parameters of a model as one layer group. A learner splits by it if it knows no better."""
    return [[p for p in model.parameters() if p.requires_grad]]


def create_opt(learn: "Learner") -> None:
    """Make a new optimizer over the splitter's layer groups, with the same groups frozen as before."""
    frozen_idx = 0 if learn.opt is None else learn.opt.frozen_idx
    opt = learn.opt_func(learn.splitter(learn.model), lr=learn.lr)
    if not learn.wd_bn_bias:
        spare_from_decay(opt, norm_and_bias_params(learn.model))
    if isinstance(learn.model, Headed):
        opt.factor = learn.model.encoder.factor
    if learn.train_bn:  # not the norms of a transformer: a frozen one needs no backward pass
        opt._always |= {id(p) for p in norm_params(learn.model, BATCH_NORMS)}
    if learn.wd is not None:
        opt.set_hyper("wd", learn.wd)
    if frozen_idx:
        opt.freeze_to(frozen_idx)
    learn.opt = opt  # whole, or the one before


@takes({"n": whole(-MOST, MOST)})
def freeze_to(learn: L, n: int) -> L:
    """Train the layer groups from the n-th on only. -2 is the last two. Dropout stays on in frozen groups."""
    if learn.opt is None:
        learn.create_opt()
    learn.opt.freeze_to(n)
    return learn


def freeze(learn: L) -> L:
    """Train the last layer group only."""
    return learn.freeze_to(-1)


def unfreeze(learn: L) -> L:
    """Train all layer groups."""
    return learn.freeze_to(0)


def spare_from_decay(opt: Optimizer, params: Iterable[nn.Parameter]) -> None:
    """Move these parameters to the second torch group of their layer group, which does not decay."""
    spared = {id(p) for p in params}
    for decayed, plain in zip(opt.opt.param_groups[::2], opt.opt.param_groups[1::2], strict=True):
        plain["params"] += [p for p in decayed["params"] if id(p) in spared]
        decayed["params"] = [p for p in decayed["params"] if id(p) not in spared]
