"""The contract of an encoder: token ids in, one state per token out.

To add an encoder, write a file with a subclass of `Encoder` and pass the class as `arch`. Nothing else changes.
The promises that it must keep are the tests in tests/contracts/. A learner tries the main ones (`models/tried.py`).
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, NamedTuple, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit_easy.errors import ArgumentError, some
from ulmfit_easy.known import Known

Groups = list[list[nn.Parameter]]  # input side first


class Memory(tuple[Tensor, ...]):
    """The tensors (B, ...) that a causal encoder carries from one window to the next. Only the encoder reads them."""

    @property
    def bs(self) -> int:
        """The number of rows B."""
        return self[0].shape[0]

    def rows(self, index: slice | list[int]) -> "Memory":
        """Return the memory of some rows, in the given order."""
        return Memory(t[index] for t in self)

    def detach(self) -> "Memory":
        """Return the same numbers without their gradient."""
        return Memory(t.detach() for t in self)

    def to(self, device: torch.device | str) -> "Memory":
        """Return the memory on a device."""
        return Memory(t.to(device) for t in self)

    @staticmethod
    def join(memories: Iterable["Memory"]) -> "Memory":
        """Return one memory of all rows, those of the first memory first.

        A tensor (B, ..., S, ...) of a shorter text gets zeros before its S columns.
        """
        return Memory(torch.cat(_of_one_size(tensors)) for tensors in zip(*memories, strict=True))


def _of_one_size(tensors: tuple[Tensor, ...]) -> list[Tensor]:
    """Return tensors (B, ...) with zeros before the numbers of the smaller ones."""
    sizes = [max(size) for size in zip(*(t.shape[1:] for t in tensors), strict=True)]
    return [F.pad(t, [n for size, own in zip(sizes[::-1], t.shape[:0:-1], strict=True) for n in (size - own, 0)])
            for t in tensors]


class Encoded(NamedTuple):
    """The result of an encoder for ids (B, T)."""

    raw: Tensor  # (B, T, E), the last layer, before the dropout of a decoder or a head
    memory: Memory | None = None  # after the last column; None if the encoder does not stream
    embedded: Tensor | None = None  # (B, T, E), the tokens' own rows, before any layer
    layers: tuple[Tensor, ...] = ()  # (B, T, H) each, the embedding first and `raw` last; empty if not asked for


class Part(nn.Module):
    """A part of a model that a file describes: an encoder or a head.

    Attributes:
        known: the classes that a file may name.
        settings: the arguments that it was built with, as JSON has them. Sizes that other parts decide are left out.
        decodes: True for a decoder, which has a row for each word, as the embedding has, and learns from texts alone.
    """

    known: ClassVar[Known]
    settings: dict | None = None
    decodes: ClassVar[bool] = False

    @classmethod
    def find(cls, part: "type[Part] | str") -> type[Self]:
        """Return a class of this kind, given itself or its name in any case. Raises E604 for anything else."""
        found = cls.known[part] if isinstance(part, str) else part
        if not (isinstance(found, type) and issubclass(found, cls) and found is not cls):
            raise ArgumentError("E604", received=f"the {cls.known.noun} {part!r}", expected=f"a subclass of "
                                f"{cls.__name__}, or one of {some(cls.known.filled(), 20)}", fix="pass one of these")
        return found

    @classmethod
    def is_copy(cls) -> bool:
        """Return True for a class that torch made of one of these under the same name: a file means the base."""
        return cls.__module__.partition(".")[0] == "torch"

    def config(self) -> dict:
        """Return the name and the settings, from which `build_model` builds the part again."""
        return {"name": type(self).__name__, "config": self.settings}


class Encoder(Part):
    """Turn ids into states, as a pure function: no row depends on padding or on another row.

    A subclass has its own configs, and a constructor that takes `vocab_sz` and the sizes and dropouts of these. It has
    an `embedding`, a `width`, and the methods `forward` and `groups`. Names of dropouts end in `_p`. The number of
    layers, if it is a setting, is `n_layers`. A default in a config is a bool, int, float, str, list or dict, and
    decides the kind of the setting.

    Attributes:
        lm_config, clas_config: default settings for a language model and for a classifier. Add yours to these, with
            `|`: `pad_token` is for the constructor, the others are for the decoder or the head. A name that ends in
            `_token` gets the id of the vocabulary's special token of that role, such as `sep_token`.
        streams: True for a causal encoder with a memory: reading in windows equals reading at once. A language model
            generates, scores and trains on streams with such an encoder only.
        penalties: the weights of activation and temporal activation regularisation, which is for recurrent layers.
        factor: `discriminative` rates are divided by it from each layer group to the one below. By default 2.6, as in
            Howard & Ruder 2018, section 3.2. An encoder with many layers needs a smaller one.
        preset: the name of the preset that the recipes take for it, in `PRESETS`.
        objective: the name of the target that `ulmfit pretrain` teaches it. "" is the next token if it streams, else
            hidden tokens.
        pretrain_lr: the highest rate of `ulmfit pretrain`.
        new_on_top: True if the last of the layer groups belongs to a task, such as the weights of a mix of layers. It
            trains with the head.
        one_way: the encoder of one direction, if a forward and a backward model of it, `joined`, make one of these.
        seq_len: tokens per window of a classifier, unless one is asked for. 72 as in fastai.
        width: E, the width of a state. With tied weights, the default of a language model, it equals the size of the
            embedding (`emb_sz`).
        embedding: the embedding (V, E). A decoder shares its weight, and its rows move to other vocabularies.
    """

    lm_config: ClassVar[dict] = dict(pad_token=1, output_p=0.1, tie_weights=True, out_bias=True)
    clas_config: ClassVar[dict] = dict(pad_token=1, output_p=0.4)
    streams: ClassVar[bool] = False
    penalties: ClassVar[tuple[float, float]] = (0.0, 0.0)
    factor: ClassVar[float] = 2.6
    preset: ClassVar[str] = "laptop"
    seq_len: ClassVar[int] = 72
    objective: ClassVar[str] = ""
    pretrain_lr: ClassVar[float] = 5e-3  # as MultiFiT (Eisenschlos et al. 2019) pretrained at a like batch size
    new_on_top: ClassVar[bool] = False
    one_way: ClassVar[type["Encoder"] | None] = None
    known: ClassVar[Known[type["Encoder"]]] = Known("encoder", "ulmfit_easy.models")  # those with a config
    width: int
    embedding: nn.Embedding

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if cls.clas_config is not Encoder.clas_config and not cls.is_copy():
            Encoder.known[cls.__name__] = cls

    def forward(self, ids: Tensor, lengths: Tensor | None = None, memory: Memory | None = None,
                layers: bool = False) -> Encoded:
        """Return the states for `ids` (B, T) int64.

        Args:
            lengths: (B,) real tokens per row, at least 1, or None if all T are real. A causal encoder may ignore them.
            memory: what the encoder returned for the tokens before these. None at the beginning of a text.
            layers: return the states of each layer too. A middle layer often knows most about meaning, and ELMo
                (Peters et al. 2018, section 3.1) reads them all. Nothing else passes it, so that an encoder of
                yours may do without this argument.
        """
        raise NotImplementedError

    def drawn(self) -> dict:
        """Return arguments that all windows of a batch share, such as dropped weights, if `forward` takes them."""
        return {}

    def groups(self) -> Groups:
        """Return the layer groups, input side first. The first group is the embedding."""
        raise NotImplementedError

    def part_of(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what this encoder takes over of the weights of another one: all. One with fewer layers may differ."""
        return weights

    @classmethod
    def joined(cls, ahead: dict[str, Tensor], back: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weights made of those of a forward and a backward encoder, of the class `one_way`."""
        raise NotImplementedError

    @classmethod
    def sized(cls, emb: int | None = None, hid: int | None = None, layers: int | None = None) -> dict:
        """Return the config for the sizes of `ulmfit pretrain`: of embedding and hidden layers, and their number."""
        sizes = {"emb_sz": emb, "n_hid": hid, "n_layers": layers}
        return {k: v for k, v in sizes.items() if v is not None}

    @classmethod
    def sizes_of(cls, shapes: Mapping[str, torch.Size]) -> dict:
        """Return the sizes of the encoder with these weights, for a file without a config. Empty if none are known."""
        return {}


class Headed(nn.Sequential):
    """An encoder (child `0`, which may be inside a reader) under a decoder or a head (child `1`)."""

    def config(self) -> dict:
        """Return what `build_model` needs to build this model again, besides its vocabulary and number of outputs."""
        return {"encoder": self.encoder.config(), "head": self.head.config()}

    @property
    def encoder(self) -> Encoder:
        """The encoder: what a language model and a classifier share."""
        return next(part for part in self[0].modules() if isinstance(part, Encoder))

    @property
    def head(self) -> Part:
        """The decoder of a language model, or the head of a classifier."""
        return cast(Part, self[1])


def text_split(model: Headed) -> Groups:
    """Return the layer groups of a language model or a classifier, input side first, each parameter once.

    A classifier has the groups of its encoder, and the head as the last one. In a language model the decoder and the
    embedding share their weights. They are the last group, which trains first.

    Raises: E603 if a parameter is in none of the encoder's groups, because it would never train.
    """
    words, *layers = model.encoder.groups() or [[]]
    head = [*(layers.pop() if model.encoder.new_on_top and layers else ()), *model.head.parameters()]
    groups = [*layers, [*words, *head]] if model.head.decodes else [words, *layers, head]
    first = {p: i for i, group in reversed([*enumerate(groups)]) for p in group}  # a tied weight is in several
    if left_out := [name for name, p in model.encoder.named_parameters() if p.requires_grad and p not in first]:
        raise ArgumentError("E603", received=f"{type(model.encoder).__name__}.groups() without {some(left_out)}",
                            expected="each parameter of the encoder in a group", fix="add them to a group; a tensor "
                            "that does not train is a buffer")
    return [[p for p in dict.fromkeys(group) if first[p] == i] for i, group in enumerate(groups)]


def needs_memory(encoder: Encoder | type[Encoder], what: str) -> None:
    """Raise E603 if an encoder has no memory: what is read in windows would be wrong without a sign."""
    if not encoder.streams:
        name = getattr(encoder, "__name__", type(encoder).__name__)
        raise ArgumentError("E603", received=f"{what} with {name}, an encoder without memory",
                            expected="an encoder that carries its memory from window to window (`streams = True`)",
                            fix="pass arch=AWD_LSTM or another encoder that streams; this one is for "
                            f'text_classifier_learner, and for data with is_lm=True, '
                            f'objective="{encoder.objective or "mlm"}"')
