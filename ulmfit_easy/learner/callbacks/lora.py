"""LoRA through the package `peft`: train small matrices next to the frozen weights of a transformer."""

from typing import Any

from ulmfit_easy.errors import ArgumentError
from ulmfit_easy.extras import optional_package
from ulmfit_easy.learner.events import FIRST, Callback
from ulmfit_easy.schema import positive, share, takes, whole

__all__ = ["LoRA"]


class LoRA(Callback):
    """Fine-tune a transformer with LoRA: train the head, and two small matrices for each linear layer of the encoder.

    The other weights of the encoder do not train. At the end of the fit the product of the two matrices is added to
    the weights of their layer. The model is then an ordinary one, which you save, export and train as usual. Weights
    that `learn.save` and `SaveModelCallback` write during the fit have the product too, without the optimizer. If such
    weights are loaded before the end, the matrices start again from zero. Layer groups, rates and `freeze_to` work as
    without LoRA, but the embedding does not train.

    Args:
        r: the rank. 8 as in the paper. A fit then trains about one weight of a hundred, and needs less memory.
        alpha: the product is multiplied by `alpha / r`.
        dropout: the dropout on the input of the matrices, 0 to 1.
    Raises: TrainingError E507 if peft is not installed. ArgumentError E603 if the encoder is not a transformer.
    Source: Hu et al. 2021 (arXiv 2106.09685).
    """

    order, in_lr_find = FIRST, False
    tuner: Any = None

    @takes({"r": whole(), "alpha": positive, "dropout": share})
    def __init__(self, r: int = 8, *, alpha: float = 16, dropout: float = 0.1):
        self.r, self.alpha, self.dropout = r, alpha, dropout

    def before_fit(self):
        peft, body = optional_package("peft"), getattr(getattr(self.learn, "encoder", None), "body", None)
        if body is None:
            raise ArgumentError("E603", received="LoRA for an encoder that is none of transformers",
                                expected="a Transformer or a CausalTransformer", fix="use freeze_to instead")
        self.before = before = self.learn.opt, self.learn.splitter
        self.tuner = peft.LoraModel(body, peft.LoraConfig(
            r=self.r, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules="all-linear"), "default")
        self.learn.splitter = lambda model: [[p for p in group if p.requires_grad] for group in before[1](model)]
        self.learn.create_opt()
        for name in before[0].hypers[0]:
            self.learn.opt.set_hyper(name, [hypers[name] for hypers in before[0].hypers])

    def cleanup_fit(self):
        if self.tuner is not None:
            self.learn.opt, self.learn.splitter = self.before
            self.tuner.merge_and_unload()
            self.learn.opt.freeze_to(self.learn.opt.frozen_idx)
            self.tuner = None
