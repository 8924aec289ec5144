"""Callbacks that look into a model while it trains: a function of each layer's output, and its statistics."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ulmfit_easy.learner.events import Callback


class HookCallback(Callback):
    """Calls `hook(module, inputs, output)` after each forward of some layers in a fit, and keeps what it gives back.

    Args:
        modules: the layers; by default those with parameters of their own.
        every: look only at each `every`-th training batch; None for all, validation's too.
        hook: the function, where no subclass has it as a method.

    Attributes:
        stored: what the hook gave for the last batch that was looked at, one value a layer, None where it gave none.
    """

    in_lr_find, remove_on_fetch = False, True
    stored = ()

    def __init__(self, modules=None, every: int | None = None, *, hook: Callable | None = None):
        self.modules, self.every, self.handles = modules, every, []
        if hook is not None:
            self.hook = hook

    def before_fit(self):
        if self.modules is None:
            self.modules = [m for m in self.model.modules() if next(m.parameters(recurse=False), None) is not None]

    before_validate = before_fit  # it may be asked for without a fit

    def before_batch(self):
        if self.every is None or (self.training and self.train_iter % self.every == 0):
            self.stored = [None] * len(self.modules)
            self.handles = [m.register_forward_hook(self._store(i)) for i, m in enumerate(self.modules)]

    def cleanup_batch(self):
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def _store(self, i: int):
        def run(module, inputs, output):
            if module is self.modules[i]:  # not that of another thread's question
                self.stored[i] = self.hook(module, inputs, output)

        return run


class ActivationStats(HookCallback):
    """Mean, standard deviation and share of near zeros of each layer's output, for each training batch.

    Attributes:
        stats: one list a batch, in it a dict `{"mean", "std", "near_zero"}` for each layer, None for one that gave
            no tensor.
    """

    order, run_valid = -20, False

    def before_fit(self):
        super().before_fit()
        self.stats = []

    @torch.no_grad()
    def hook(self, module: nn.Module, inputs, output) -> dict | None:
        """The statistics of the first tensor of an output."""
        while isinstance(output, tuple | list) and output:
            output = output[0]
        if not isinstance(output, Tensor):
            return None
        x = output.float()
        return {"mean": x.mean().item(), "std": x.std(correction=int(x.numel() > 1)).item(),
                "near_zero": (x.abs() <= 0.05).float().mean().item()}

    def after_batch(self):
        if self.handles:
            self.stats.append(self.stored)

    def layer_stats(self, i: int) -> dict[str, list[float]]:
        """What became of layer `i`, batch by batch: `{"mean": [...], "std": [...], "near_zero": [...]}`."""
        seen = [row[i] for row in self.stats if row[i] is not None]
        return {name: [s[name] for s in seen] for name in ("mean", "std", "near_zero")}
