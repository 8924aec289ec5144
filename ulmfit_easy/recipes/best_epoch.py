"""Early stopping that keeps the best epoch."""

from torch import Tensor

from ulmfit_easy.learner.callbacks.tracking import EarlyStoppingCallback


class BestEpoch(EarlyStoppingCallback):
    """Stop a fit as `EarlyStoppingCallback` does, and end with the weights of its best epoch, kept in memory."""

    STATE = (*EarlyStoppingCallback.STATE, "weights")
    weights: dict[str, Tensor] | None

    def before_fit(self):
        super().before_fit()
        self.weights = None

    def after_epoch(self):
        try:
            super().after_epoch()
        finally:  # the epoch that stops a fit is no best one
            if self.new_best:
                self.weights = {name: t.detach().clone() for name, t in self.learn.model.state_dict().items()}

    def after_fit(self):
        if self.weights is not None:
            self.learn.model.load_state_dict(self.weights)
            self.weights = None
