"""The optimizer of a learner: any function of groups and rate makes it, and all that a learner promises holds."""

from functools import partial

import pytest
import torch
from learner_toys import lm, regression, same, state
from torch import nn

from ulmfit_easy.fastai.optim_wrapper import OptimWrapper
from ulmfit_easy.fastai.optimizers import Lookahead
from ulmfit_easy.learner.optim.optimizer import Adam

WRAPPED = partial(OptimWrapper, opt=torch.optim.AdamW, weight_decay=0.5)
OWN = {
    "a lambda": lambda params, lr: OptimWrapper(params, torch.optim.AdamW, lr=lr, weight_decay=0.5),
    "one that swallows": lambda params, lr, **kwargs: WRAPPED(params, lr=lr),
    "one of ours": lambda params, lr: Adam(params, lr, wd=0.5),
    "one inside another": lambda params, lr: Lookahead(WRAPPED(params, lr=lr)),
    "a partial": WRAPPED,
}
EACH = pytest.mark.parametrize("opt_func", OWN.values(), ids=OWN)


def net():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def by_layer(model):
    return [list(layer.parameters()) for layer in model]


def decays(learn) -> dict:
    found = {id(p): group["weight_decay"] for group in learn.opt.opt.param_groups for p in group["params"]}
    return {name: found[id(p)] for name, p in learn.model.named_parameters()}


@EACH
def test_biases_and_norms_do_not_decay_whatever_makes_the_optimizer(opt_func):
    options = dict(model=net(), splitter=by_layer, opt_func=opt_func)
    learn = regression(**options)
    learn.create_opt()
    assert {name for name, wd in decays(learn).items() if wd} == {"0.weight", "2.weight"}
    learn.opt.set_hyper("wd", 0.1)
    assert sorted(decays(learn).values()) == [0, 0, 0, 0, 0.1, 0.1]
    learn = regression(wd_bn_bias=True, **options)
    learn.create_opt()
    assert set(decays(learn).values()) == {0.5}


@EACH
@pytest.mark.parametrize("train_bn", [True, False])
def test_norms_train_in_frozen_groups_if_asked_to(opt_func, train_bn):
    learn = regression(model=net(), splitter=by_layer, opt_func=opt_func, train_bn=train_bn)
    learn.freeze()
    before = state(learn.model)
    learn.fit_one_cycle(1, slice(1e-3, 1e-2))
    changed = {name for name, p in learn.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"2.weight", "2.bias", *(["1.weight", "1.bias"] if train_bn else [])}


def test_a_function_and_a_partial_make_the_same_optimizer(tmp_path):
    def trained(opt_func):
        learn = lm(path=tmp_path, opt_func=opt_func)
        learn.fit_one_cycle(1, 1e-2)
        learn.save("it")
        return state(learn.load("it").model)

    assert same(trained(OWN["a lambda"]), trained(WRAPPED))
