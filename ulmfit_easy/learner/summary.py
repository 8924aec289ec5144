"""Describe the parts of a learner, and the order of its events, for readers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.func import functional_call

from ulmfit_easy.cleanup import surely
from ulmfit_easy.data.random_state import random_state, set_random_state
from ulmfit_easy.learner.events import EVENTS
from ulmfit_easy.models.encoder import Headed
from ulmfit_easy.models.evaluated import evaluated, without_gradients
from ulmfit_easy.models.softmax import LMOutput
from ulmfit_easy.reprs import compact, described
from ulmfit_easy.terminal import line_width, say, wrapped
from ulmfit_easy.viz import text_table

if TYPE_CHECKING:
    from ulmfit_easy.learner.learner import Learner

CONTAINERS = (nn.ParameterDict, nn.ParameterList)  # of parameters that belong to the module around them
TRAINS = {frozenset(): "", frozenset([True]): "yes", frozenset([False]): "no", frozenset([True, False]): "partly"}


class Summary(str):
    """A text that a notebook shows as it is, without quotes."""

    __repr__ = str.__str__


def one_line(learn: "Learner") -> str:
    """Return a learner's `repr`. It names layer groups once there is an optimizer."""
    n, opt = sum(p.numel() for p in learn.model.parameters()), learn.opt
    groups = opt and f"{len(opt.param_groups) - opt.frozen_idx} of {len(opt.param_groups)} layer groups train"
    return described(learn, type(learn.model.encoder if isinstance(learn.model, Headed) else learn.model).__name__,
                     f"{compact(n)} parameters", groups, learn.dls)


def show_training_loop(learn: "Learner") -> None:
    """Print each event of training and the callbacks that act at it."""
    for event in EVENTS:
        names = [repr(cb) for cb in learn._sorted_cbs() if callable(vars(cb).get(event) or getattr(type(cb), event, 0))]
        say(f"{event:<24}{', '.join(names)}".rstrip())


def summary(learn: "Learner") -> Summary:
    """Return a table of the model's layers (output shape, parameters, which train), with optimizer, loss and callbacks.

    The model reads one training batch in evaluation mode. No callback takes part.
    """
    shapes, batch = _shapes_of_a_batch(learn)
    rows, seen, tied = [], dict[int, str](), list[tuple[str, str]]()
    for name, module in learn.model.named_modules():
        if isinstance(module, CONTAINERS):
            continue
        holders = [module, *(child for child in module.children() if isinstance(child, CONTAINERS))]
        all_own = [p for holder in holders for p in holder.parameters(recurse=False)]
        own = [p for p in all_own if id(p) not in seen]
        tied += [(name, seen[id(p)]) for p in all_own if id(p) in seen]
        seen |= {id(p): name for p in own}  # a shared weight counts where it comes first
        if own or not any(True for _ in module.children()):
            rows.append([name, type(module).__name__, shapes.get(name, ""), f"{sum(p.numel() for p in own):,}",
                         TRAINS[frozenset(p.requires_grad for p in own)]])
    n_all = sum(p.numel() for p in learn.model.parameters())
    n_train = sum(p.numel() for p in learn.model.parameters() if p.requires_grad)
    opt = learn.opt
    frozen = "" if opt is None or not opt.frozen_idx else f", the first {opt.frozen_idx} frozen"
    made = opt and f"{type(opt.opt).__name__} over {len(opt.param_groups)} layer groups{frozen}"
    lines = [
        f"{type(learn).__name__} of a {type(learn.model).__name__}" + (f", for a batch of {batch}" if batch else ""),
        "", text_table(rows, ["part", "layer", "output", "parameters", "trains"], line_width()), "",
        *(f"{name} shares weights with {first}, where they are counted. They are in the layer group of {name}."
          for name, first in tied),
        f"Parameters: {n_all:,}; {n_train:,} train, {n_all - n_train:,} do not",
        f"Optimizer: {made or getattr(learn.opt_func, '__name__', learn.opt_func)}",
        f"Loss: {getattr(learn.loss_func, '__name__', type(learn.loss_func).__name__)}",
        f"Callbacks: {', '.join(repr(cb) for cb in learn._sorted_cbs() if getattr(cb, 'dtype', '') != 'fp32')}",
    ]
    return Summary(wrapped("\n".join(lines)))


def _shapes_of_a_batch(learn: "Learner") -> tuple[dict[str, str], str]:
    """Return the shape of each part's output for one batch, by the part's name, and that of the batch."""
    if not len(learn.dls.train):
        return {}, ""
    shapes, rng, model = dict[str, str](), random_state(), evaluated(learn.model)

    def note(name: str) -> Callable:
        def hook(module: nn.Module, inputs: tuple, output: object) -> None:
            shapes.setdefault(name, _shape(output))

        return hook

    for name, module in model.named_modules():
        module.register_forward_hook(note(name))

    @without_gradients
    def read() -> tuple[dict[str, str], str]:
        xb, _ = learn._split(learn.dls.one_batch())
        output = model(*xb)
        if isinstance(output, LMOutput):  # its decoder has not run: on this device it computes shapes only
            weights = {name: t.to("meta") for name, t in output.decoder.state_dict().items()}
            functional_call(output.decoder, weights, output.dropped.to("meta"))
        return shapes, _shape(xb)

    return surely(read, lambda: [(set_random_state, rng)])


def _shape(value: object) -> str:
    """Return the shapes of the tensors in a value, the first of many: `8 x 10 x 400`."""
    if isinstance(value, Tensor):
        return " x ".join(map(str, value.shape)) or "number"
    return next(filter(None, map(_shape, value)), "") if isinstance(value, list | tuple) else ""
