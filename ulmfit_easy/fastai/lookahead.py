"""Lookahead: slow weights that follow the fast ones of another optimizer; and ranger, its best-known use."""

from collections.abc import Callable

import torch

from ulmfit_easy.fastai.optimizers import RAdam
from ulmfit_easy.learner.optim.optimizer import Adam, Optimizer, Rate
from ulmfit_easy.schema import share, takes, whole


class Lookahead(Optimizer):
    """An optimizer whose weights, every `k` steps, go back to `alpha` of the way that it made with them.

    Each round of k steps starts from the weights as they are, loaded ones too.
    Source: Zhang et al. 2019, arXiv 1907.08610.

    Args:
        opt: an `Optimizer`; or layer groups, so that `Lookahead`, or a partial of it, is an `opt_func` itself.
        k: steps between two returns.
        alpha: share of the way that is kept, 0-1.
        opt_func, kwargs: what makes an optimizer of layer groups, e.g. `partial(Lookahead, opt_func=SGD)`.
    """

    @takes({"k": whole(), "alpha": share})
    def __init__(self, opt: Optimizer | list, k: int = 6, alpha: float = 0.5, *, opt_func: Callable = Adam, **kwargs):
        opt = opt if isinstance(opt, Optimizer) else opt_func(opt, **kwargs)
        vars(self).update(vars(opt))  # its groups, its hyper-parameters and torch's optimizer are ours now
        self.k, self.alpha = k, alpha
        self.count, self.slow = 0, {}

    def _params(self):
        return [p for group in self.param_groups for p in group]

    @torch.no_grad()
    def step(self):
        """Make a step of the optimizer inside; the k-th one ends a round."""
        if self.count % self.k == 0:
            self.slow = {i: p.clone() for i, p in enumerate(self._params()) if p.requires_grad}
        super().step()
        self.count += 1
        if self.count % self.k == 0:
            params = self._params()
            for i, slow in self.slow.items():
                params[i].copy_(slow + self.alpha * (params[i] - slow))

    def clear_state(self):
        """Forget the moments of all parameters, and where the round began."""
        super().clear_state()
        self.weights_changed()

    def weights_changed(self):
        """Begin a new round: the weights where the last one began are of the past."""
        self.count, self.slow = 0, {}

    def state_dict(self) -> dict:
        """Return everything needed to go on later, in the middle of a round too."""
        return {**super().state_dict(), "count": self.count, "slow": {str(i): p for i, p in self.slow.items()}}

    def load_state_dict(self, sd: dict):
        """Restore what `state_dict` gave; from another optimizer's state, a new round begins."""
        super().load_state_dict(sd)
        params, slow = self._params(), sd.get("slow", {})
        self.count, self.slow = sd.get("count", 0), {int(i): p.to(params[int(i)]).clone() for i, p in slow.items()}


def ranger(params, lr: Rate, mom: float = 0.95, wd: float = 0.01, eps: float = 1e-6, k: int = 6, alpha: float = 0.5,
           **kwargs) -> Lookahead:
    """Rectified Adam with lookahead; `kwargs` are RAdam's. A friend of `fit_flat_cos` (Wright 2019)."""
    return Lookahead(RAdam(params, lr=lr, mom=mom, wd=wd, eps=eps, **kwargs), k=k, alpha=alpha)
