"""Layer groups: the parameters that share a rate, and the optimizer over them."""

from torch import nn

from ulmfit_easy.learner.optim import norm_and_bias_params, norm_params


def trainable_params(model: nn.Module) -> list:
    """All parameters as one layer group: the splitter of a model without groups of its own."""
    return [[p for p in model.parameters() if p.requires_grad]]


def create_opt(learn):
    """See `Learner.create_opt`."""
    frozen_idx = 0 if learn.opt is None else learn.opt.frozen_idx
    always = norm_params(learn.model) if learn.train_bn else []
    no_decay = [] if learn.wd_bn_bias else norm_and_bias_params(learn.model)
    learn.opt = learn.opt_func(learn.splitter(learn.model), lr=learn.lr, no_decay=no_decay, always_train=always)
    if learn.wd is not None:
        learn.opt.set_hyper("wd", learn.wd)
    if frozen_idx:
        learn.opt.freeze_to(frozen_idx)
